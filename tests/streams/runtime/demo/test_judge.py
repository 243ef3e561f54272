"""The demo's judge: known answers. A judge that sees nothing would make every proof empty."""

from collections.abc import Mapping
from typing import Any

import pytest

from streams.runtime.demo.judge import Verdict, breaks, differences, judge, truths

Row = Mapping[str, Any]
TRUTH: Row = {
    "direction": "inbound",
    "outcome": "answered",
    "customer_number": "+32470000001",
    "match": "matched",
    "did": "+3225550100",
    "queue": "sales",
    "agent": "101",
    "talk_s": 12.0,
    "hold_s": 3.0,
    "queue_wait_s": 7.0,
}


def call(call_id: str = "main:1", /, **changed: Any) -> Row:
    return {"call_id": call_id, **TRUTH, **changed}


def verdict(calls: list[Row], entries: list[str], happened: tuple[str, ...] = ("main:1",)) -> Verdict:
    return judge(dict.fromkeys(happened, TRUTH), calls, [{"call_id": each} for each in entries])


def test_what_arrived_as_it_happened_differs_in_nothing() -> None:
    """And is counted."""
    found = verdict([call("main:1"), call("main:2")], ["main:2", "main:1"], ("main:1", "main:2"))
    assert found.differing == {}
    assert (found.happened, found.in_warehouse, found.in_journal) == (2, 2, 2)
    assert (found.matches, found.outcomes) == ({"matched": 2}, {"answered": 2})


@pytest.mark.parametrize(
    ("calls", "entries", "told"),
    [
        ([], ["main:1"], "not in the warehouse"),
        ([call()], [], "not in the journal"),
        ([], [], "not in the warehouse; not in the journal"),
        ([call(), call()], ["main:1"], "2 times in the warehouse"),
        ([call()], ["main:1", "main:1", "main:1"], "3 times in the journal"),
    ],
    ids=["lost row", "lost entry", "lost", "double row", "triple entry"],
)
def test_a_call_that_is_not_once_in_each_place_is_told(calls: list[Row], entries: list[str], told: str) -> None:
    """Lost and double are different faults."""
    assert verdict(calls, entries).differing == {"main:1": told}


def test_a_call_that_never_happened_is_told() -> None:
    """In the warehouse, in the journal, or in both."""
    found = verdict([call(), call("main:8")], ["main:1", "main:8", "main:9"])
    assert found.differing == {
        "main:8": "in the warehouse, and never happened; in the journal, and never happened",
        "main:9": "in the journal, and never happened",
    }


@pytest.mark.parametrize("name", ["direction", "outcome", "customer_number", "match", "did", "queue", "agent"])
def test_every_fact_is_compared(name: str) -> None:
    """One wrong word is enough."""
    assert verdict([call(**{name: "wrong"})], ["main:1"]).differing == {
        "main:1": f"{name} is 'wrong', was {TRUTH[name]!r}"
    }


@pytest.mark.parametrize("name", ["talk_s", "hold_s", "queue_wait_s"])
def test_every_time_is_compared_to_a_second(name: str) -> None:
    """The PBX's own times are not exacter; nothing is no time at all."""
    assert differences(TRUTH, call(**{name: TRUTH[name] + 0.9})) == []
    assert differences(TRUTH, call(**{name: TRUTH[name] - 0.9})) == []
    assert differences(TRUTH, call(**{name: TRUTH[name] + 1.1})) == [
        f"{name} is {TRUTH[name] + 1.1}, was {TRUTH[name]}"
    ]
    assert differences(TRUTH, call(**{name: None})) == [f"{name} is None, was {TRUTH[name]}"]


def test_what_the_truth_does_not_tell_is_not_compared() -> None:
    """A truth without a queue says nothing of it."""
    assert differences({"direction": "inbound"}, call(talk_s=0.0, hold_s=None, queue_wait_s=0.5)) == []


def test_breaks_are_compared_to_the_microsecond() -> None:
    """State, reason and moment: one that is off by as little counts as not told."""
    line = {"agent": "101", "state": "paused", "reason": "lunch", "at": 1_000_000}
    row = {"pbx": "main", "agent_id": "101", "state": "paused", "reason": "lunch", "since_us": 1_000_000}
    assert breaks([("main", line)], [row]) == (1, 1)
    for wrong in ({"since_us": 1_000_001}, {"reason": ""}, {"state": "logged_out"}, {"pbx": "branch"}):
        assert breaks([("main", line)], [row | wrong]) == (1, 0)


def test_the_last_line_of_a_call_is_its_truth() -> None:
    """Two PBXs may use the same ids."""
    lines: list[tuple[str, Row]] = [
        ("main", {"uniqueid": "1", "open": True}),
        ("branch", {"uniqueid": "1"}),
        ("main", {"uniqueid": "1"}),
    ]
    assert truths(lines) == {"main:1": {"uniqueid": "1"}, "branch:1": {"uniqueid": "1"}}
