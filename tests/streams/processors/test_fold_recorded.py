"""What a real Asterisk 16 sent while calls changed hands, through the adapter, against what was played.

Each folder of `recorded` is one recording: `frames.txt` as the adapter's user received it (without what no adapter reads),
and `known.txt`, which says in words what was played and, line by line, what the record must say of it. Seconds count from
the call's start.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from producers.adapter import Context, Frame, Ordinals
from producers.numbers import NumberPlan
from producers.pbx import asterisk_ami
from schemas import codec
from schemas.events import Call, EnrichedCallEvent, Segment
from tests.streams.processors.folding.script import MICRO, finals, fold

RECORDED = Path(__file__).with_name("recorded")
CASES = sorted(case.name for case in RECORDED.iterdir())
HOUSE = NumberPlan(
    country="BE",
    extensions=r"2\d\d",
    dids=("025550104", *(f"02555018{n}" for n in range(10))),
    trunk_contexts=("from-trunk",),
    closed_contexts=("closed",),
    outside_prefix="9",
)


def events(case: str) -> Iterator[EnrichedCallEvent]:
    """The recording's frames as the adapter reads them; enrichment knows nobody."""
    config = asterisk_ami.Config(host="pbx", username="trunkline", secret=SecretStr("-"))
    context = Context(tenant="t", pbx="main", numbers=HOUSE, config=config)
    ordinals = Ordinals()
    for seq, raw in enumerate((RECORDED / case / "frames.txt").read_bytes().split(b"\r\n\r\n")[:-1]):
        for event in asterisk_ami.normalise(Frame(raw, 0, seq, ordinals.of(raw)), context):
            yield EnrichedCallEvent(**{**codec.as_row(event), "received_at": event.ts})


def told(call: Call) -> Iterator[str]:
    """A record as lines that a person can check against what was played."""

    def at(moment: int | None) -> str:
        return "-" if moment is None else f"{(moment - call.started_at) / MICRO:.1f}"

    sides = {"customer": call.customer_number, "did": call.did, "dialled": call.dialled_number, "line": call.trunk}
    reached = {"reached": call.reached_number, "agent": call.agent, "queue": call.queue, "room": call.conference}
    yield f"{call.direction or '?'} {call.initiation}, {call.outcome}, hung up by {call.hangup_by or '?'}"
    yield " ".join(f"{key}={value}" for key, value in {**sides, **reached}.items() if value)
    yield f"up {at(call.answered_at)} talk from {at(call.connected_at)} over {at(call.ended_at)}"
    yield " ".join(f"{key}={value:.1f}" for key, value in lengths(call).items() if value)
    for part in call.segments:
        yield segment(part, at)
    for visit in call.queue_visits:
        yield f"queue {visit.queue or '?'} {at(visit.entered_at)}-{at(visit.left_at)} {visit.reason} {visit.agent}".rstrip()
    for move in call.transfers:
        yield f"transfer {move.kind} {move.by} to {move.to} at {at(move.at)}"
    for hold in call.holds:
        yield f"hold {at(hold.started_at)}-{at(hold.ended_at)}"
    for park in call.parks:
        by = f" by {park.retrieved_by}" if park.retrieved_by else ""
        yield f"parked at {park.space} by {park.by} {at(park.started_at)}-{at(park.ended_at)} {park.result}{by}"
    for turn in call.diversions:
        yield f"{turn.kind} of {turn.of} to {turn.to} at {at(turn.at)}"
    for recording in call.recordings:
        yield f"recording {recording.file or '?'} {at(recording.started_at)}-{at(recording.ended_at)}"
    yield from (f"flag {flag}" for flag in call.quality)


def lengths(call: Call) -> Mapping[str, float | None]:
    return {
        "ring": call.ring_s,
        "ivr": call.ivr_s,
        "queue": call.queue_wait_s,
        "talk": call.talk_s,
        "hold": call.hold_s,
        "parked": call.parked_s,
        "billable": call.billable_s,
    }


def segment(part: Segment, at: Callable[[int | None], str]) -> str:
    came = f"offered {at(part.offered_at)} rang {at(part.ringing_at)}"
    talked = f"talks {at(part.connected_at)}-{at(part.ended_at)}" if part.connected_at else f"until {at(part.ended_at)}"
    times = f"{came} {talked}"
    return f"{part.kind} {part.agent or part.number} {part.result or '?'}: {times}" + (
        f" for {part.queue}" if part.queue else ""
    )


def known(case: str) -> list[list[str]]:
    """The lines of each call."""
    text = (RECORDED / case / "known.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [call.splitlines() for call in "\n".join(lines).strip().split("\n\n")]


@pytest.mark.parametrize("case", CASES)
def test_the_record_is_what_was_played(case: str) -> None:
    """One record a call, word for word."""
    calls = [
        call for call in finals(fold(list(events(case)), short_abandon_seconds=0)).values() if call.state != "merged"
    ]
    assert {call.state for call in calls} == {"final"}
    assert [[line for line in told(call) if line] for call in calls] == known(case)
