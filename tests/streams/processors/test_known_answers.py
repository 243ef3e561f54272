"""Recordings of other people's PBXs: what a person reads from the frames is what the record says, in the same words.

Beside each recording stands `calls.txt`, written by hand: comments (#), times for frames that have none
(`frame 2 at 2020-08-31 15:28:01.4`; the next ones follow it by a millisecond each), and the calls.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.explaining.words import clock, story, sums, title
from streams.processors.fold import Fold
from streams.runtime import config
from streams.runtime.errors import Reject
from tests.contracts import adapter_laws
from tests.streams.processors.folding.script import MICRO, START, feed, finals, tick

ADAPTER = "asterisk_ami"
CASES = sorted(path.parent.name for path in (adapter_laws.FOLDER / ADAPTER).glob("*/calls.txt"))
_FRAME = re.compile(r"frame (\d+) at (.*)")


def answer(case: str) -> tuple[dict[int, int], list[str]]:
    """(time in µs by number of the frame, lines of the calls)."""
    times, lines = {}, []
    for line in (adapter_laws.FOLDER / ADAPTER / case / "calls.txt").read_text(encoding="utf-8").splitlines():
        found = _FRAME.fullmatch(line)
        if found:
            moment = datetime.fromisoformat(found[2]).replace(tzinfo=UTC)
            times[int(found[1])] = round(moment.timestamp() * 1000) * 1000
        elif line and not line.startswith("#"):
            lines.append(line)
    return times, lines


def events(case: Path, times: dict[int, int]) -> Iterator[EnrichedCallEvent]:
    """What the adapter makes of the frames, which arrive at those times; enrichment knows nobody."""
    site = adapter_laws.site(ADAPTER, case)
    normalise = adapter_laws.adapter(ADAPTER).normalise
    now = min(times.values(), default=adapter_laws.RECEIVED_AT)
    for frame in adapter_laws.frames(case):
        now = times.get(frame.seq, now + 1000)
        try:
            found = list(normalise(replace(frame, received_at=now), site))
        except Reject:
            continue
        for event in found:
            yield EnrichedCallEvent(**codec.as_row(event))


def folded(found: Sequence[EnrichedCallEvent]) -> list[Call]:
    """Every revision, also of a call whose end is not in the recording: in the end it is closed for its silence."""
    task = Fold(config.Fold(), 0)
    said = feed(task, found)
    now = max((event.ts for event in found), default=START)
    for hours in (0, 7, 8):
        said += tick(task, now + 60 * MICRO + hours * 3600 * MICRO)
    return said


def told(call: Call) -> list[str]:
    """A record as `calls.txt` has it."""
    row = codec.as_row(call)
    flags = [f"flags: {', '.join(call.quality)}"] if call.quality else []
    return [title(row), *(f"{clock(at)}  {line}" for at, line in story(row)), sums(row), *flags]


@pytest.mark.parametrize("case", CASES)
def test_the_record_says_what_the_frames_say(case: str) -> None:
    """Each call of the recording, and no other."""
    times, lines = answer(case)
    calls = finals(folded(list(events(adapter_laws.FOLDER / ADAPTER / case, times))))
    known = sorted((call for call in calls.values() if call.state != "merged"), key=lambda call: call.started_at)
    said = [line for call in known for line in told(call)]
    assert (said or ["no call"]) == lines


def test_every_recording_has_its_answer() -> None:
    """Whoever made it knows what happened, or somebody has read its frames."""
    for case in adapter_laws.recordings(ADAPTER):
        assert (case / "truth.json").exists() or (case / "calls.txt").exists(), case
