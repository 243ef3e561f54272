"""The judge of the kills: known answers, also for calls that a gap touched."""

from typing import Any

import pytest

from tests.chaos.judgement import Gap, Row, unread, wrongs

SECOND = 1_000_000
FACTS: dict[str, Any] = {"direction": "inbound", "outcome": "answered", "talk_s": 5.0}
GAP = Gap(pbx="main", start=100 * SECOND, end=200 * SECOND)


def truth(start: float, end: float, *linkedids: str) -> Row:
    times = {"started_at": round(start * SECOND), "ended_at": round(end * SECOND)}
    return {**FACTS, **times, "linkedids": linkedids or ("1",)}


def call(call_id: str = "main:1", *quality: str, state: str = "final", **changed: Any) -> Row:
    return {
        "hold_s": 0.0,
        "queue_wait_s": 0.0,
        **FACTS,
        "call_id": call_id,
        "state": state,
        "quality": quality,
        **changed,
    }


def judged(line: Row, *calls: Row, entries: int = 1, gaps: tuple[Gap, ...] = (GAP,)) -> list[str]:
    written = [{"call_id": c["call_id"]} for c in calls for _ in range(entries)]
    return wrongs({"main:1": line}, calls, written, gaps)


QUIET = truth(10, 20)
TOUCHED = truth(90, 120)
INSIDE = truth(110, 190)


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        (QUIET, [call()]),
        (TOUCHED, [call("main:1", "gap", "estimated", talk_s=1.0)]),
        (TOUCHED, [call()]),
        (INSIDE, []),
        (INSIDE, [call("main:1", "gap")]),
        (truth(150, 300), [call("main:1", "gap")]),
        (truth(90, 120, "1", "2"), [call("main:1", "gap"), call("main:2", "gap")]),
    ],
    ids=["quiet", "flagged", "seen whole beside a gap", "lived in the gap", "found again", "began in it", "two parts"],
)
def test_what_can_be_known_is_right(line: Row, calls: list[Row]) -> None:
    """Nothing is told."""
    assert judged(line, *calls) == []


@pytest.mark.parametrize(
    ("line", "calls", "told"),
    [
        (QUIET, [], "main:1: lost"),
        (TOUCHED, [], "main:1: lost"),
        (truth(150, 201), [], "main:1: lost"),
        (QUIET, [call(), call()], "main:1: 2 times"),
        (QUIET, [call(), call("main:9")], "main:9: never happened"),
        (QUIET, [call(state="connected")], "main:1: still connected"),
        (QUIET, [call("main:1", "gap")], "main:1: is ['main:1'], flagged ['main:1']"),
        (QUIET, [call(outcome="busy")], "main:1: outcome is 'busy', was 'answered'"),
        (TOUCHED, [call(talk_s=1.0)], "main:1: talk_s is 1.0, was 5.0"),
        (TOUCHED, [call("main:1", "gap", state="ringing")], "main:1: still ringing"),
        (truth(10, 20, "1", "2"), [call(), call("main:2")], "main:1: is ['main:1', 'main:2'], flagged []"),
        (truth(90, 120, "1", "2"), [call("main:1", "gap"), call("main:2")], "flagged ['main:1']"),
    ],
)
def test_what_is_wrong_is_told(line: Row, calls: list[Row], told: str) -> None:
    """Each fault by its own words."""
    assert any(told in each for each in judged(line, *calls)), judged(line, *calls)


@pytest.mark.parametrize(("entries", "told"), [(0, "main:1: not in the journal"), (2, "main:1: 2 times")])
def test_the_journal_is_counted_too(entries: int, told: str) -> None:
    """Once, whatever happened."""
    assert judged(QUIET, call(), entries=entries) == [told]


def test_a_gap_of_another_pbx_excuses_nothing() -> None:
    """Each is read by its own adapter."""
    other = Gap(pbx="branch", start=0, end=1000 * SECOND)
    assert judged(INSIDE, gaps=(other,)) == ["main:1: lost"]
    assert judged(QUIET, call("main:1", "gap"), gaps=(other,)) == ["main:1: is ['main:1'], flagged ['main:1']"]


def test_what_another_adapter_read_is_no_gap() -> None:
    """Only what is left of it excuses anything, and only on the PBX itself."""
    parts = [(120, 150), (90, 100), (190, 300), (200, 210)]
    read = [Gap(pbx="main", start=start * SECOND, end=end * SECOND) for start, end in parts]
    left = unread([GAP], [*read, Gap(pbx="branch", start=0, end=1000 * SECOND)])
    assert [(gap.start // SECOND, gap.end // SECOND) for gap in left] == [(100, 120), (150, 190)]
    assert judged(truth(121, 149), call("main:1", "gap"), gaps=tuple(left)) == [
        "main:1: is ['main:1'], flagged ['main:1']"
    ]


@pytest.mark.parametrize("flag", ["gap", "gap_resolved"])
def test_a_call_that_records_completed_was_touched_too(flag: str) -> None:
    """It says so by another word."""
    assert judged(TOUCHED, call("main:1", flag, talk_s=1.0)) == []
    assert judged(QUIET, call("main:1", flag)) != []
