"""Laws of the fold: the order of arrival and repetition leave no trace in the final record."""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from tests.streams.processors import test_fold_recorded as recorded
from tests.streams.processors import test_fold_recordings as recordings
from tests.streams.processors.folding import openings
from tests.streams.processors.folding.composed import calls
from tests.streams.processors.folding.script import MICRO, START, Script, feed, fold, tick


def ended(call: Script, *names: str) -> Sequence[EnrichedCallEvent]:
    """The script with the last two who talk hanging up."""
    call.hang_up(names[0], names[1], "b1")
    return call.events


SCRIPTS = {
    "answered": ended(openings.talking(), "C", "A"),
    "queue": ended(openings.queue_talk(), "A", "C"),
    "attended": openings.attended().events,
}


def finals(revisions: Sequence[Call]) -> dict[str, dict[str, object]]:
    """The final records, without how often and when they were told."""
    last = {one.call_id: one for one in revisions if one.state == "final"}  # a merged one is told by the other
    return {name: {**codec.as_row(one), "rev": 0, "updated_at": 0} for name, one in last.items()}


def at_once(events: Sequence[EnrichedCallEvent]) -> list[Call]:
    """All of it within the grace."""
    task = Fold(config.Fold(), 0)
    said = feed(task, [codec.decode(EnrichedCallEvent, codec.encode(event)) for event in events])
    return [*said, *tick(task, max(event.received_at for event in events) + 3600 * MICRO)]


def known(events: Sequence[EnrichedCallEvent]) -> dict[str, dict[str, object]]:
    """The final records of whole calls, of which there is at least one."""
    found = finals(at_once(events))
    assert found
    return found


EXPECTED = {name: known(events) for name, events in SCRIPTS.items()}


@st.composite
def interleaved(draw: st.DrawFn, events: Sequence[EnrichedCallEvent]) -> list[EnrichedCallEvent]:
    """Any order of arrival in which each leg's own events keep theirs."""
    legs: dict[str, deque[EnrichedCallEvent]] = {}
    for event in events:
        legs.setdefault(event.leg_id, deque()).append(event)
    order: list[EnrichedCallEvent] = []
    while legs:
        name = draw(st.sampled_from(sorted(legs)))
        order += [legs[name].popleft() for _ in range(min(draw(st.integers(1, 6)), len(legs[name])))]
        if not legs[name]:
            del legs[name]
    return order


@pytest.mark.parametrize("name", SCRIPTS)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_order_between_legs_does_not_matter(name: str, data: st.DataObject) -> None:
    """Whatever the order in which the legs' events meet, the record is the same."""
    shuffled = data.draw(interleaved(SCRIPTS[name]))
    assert finals(at_once(shuffled)) == EXPECTED[name]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_order_does_not_matter_to_any_call(data: st.DataObject) -> None:
    """The same of calls that are put together by chance, with transfers, queues, lots, pickups, conferences, recordings."""
    events = data.draw(calls()).events
    assert known(data.draw(interleaved(events))) == known(events)


@pytest.mark.parametrize("case", [*recorded.CASES, *recordings.CASES])
@given(st.data())
@settings(max_examples=6, deadline=None)
def test_order_does_not_matter_to_a_real_call(case: str, data: st.DataObject) -> None:
    """The same of what a real Asterisk sent, Local channels that vanish in mid-call and all."""
    events = list((recorded if case in recorded.CASES else recordings).events(case))
    assert known(data.draw(interleaved(events))) == known(events)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_duplicates_change_no_call(data: st.DataObject) -> None:
    """Whatever comes twice in a call that is put together by chance, its records are told as if it had come once."""
    events = list(data.draw(calls()).events)
    twice = list(events)
    for event in data.draw(st.lists(st.sampled_from(events), max_size=12)):
        first = next(at for at, each in enumerate(twice) if each.event_id == event.event_id)
        twice.insert(data.draw(st.integers(first + 1, len(twice))), event)
    assert at_once(twice) == at_once(events)


@given(calls())
@settings(max_examples=60, deadline=None)
def test_a_call_put_together_is_one_call(call: Script) -> None:
    """Whatever happened to it, one record is the customer's, with nothing to doubt: what was asked beside it is its own."""
    last = [one for one in {one.call_id: one for one in at_once(call.events)}.values() if one.state != "merged"]
    mine = [one for one in last if one.customer_number]
    assert [(one.state, one.outcome) for one in mine] == [("final", "answered")]
    assert {(one.state, one.direction) for one in last if one not in mine} <= {("final", "internal")}


@pytest.mark.parametrize("name", SCRIPTS)
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_duplicates_change_nothing(name: str, data: st.DataObject) -> None:
    """An event that comes again, at once or much later, changes neither a record nor how often it is told."""
    events = list(SCRIPTS[name])
    for event in data.draw(st.lists(st.sampled_from(events), max_size=12)):
        first = next(at for at, each in enumerate(events) if each.event_id == event.event_id)
        events.insert(data.draw(st.integers(first + 1, len(events))), event)
    assert at_once(events) == at_once(SCRIPTS[name])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_duplicates_of_a_finished_call_change_nothing(data: st.DataObject) -> None:
    """The same when the call is long final: its record is not told again, and no second call comes of it."""
    events = SCRIPTS["queue"]
    task = Fold(config.Fold(), 0)
    feed(task, events)
    tick(task, START + 3600 * MICRO)
    assert feed(task, data.draw(st.lists(st.sampled_from(events), max_size=30))) == []
    assert tick(task, START + 7200 * MICRO) == []
    assert task.low_water() is None


@pytest.mark.parametrize("name", SCRIPTS)
@given(batch=st.integers(1, 50))
@settings(max_examples=10, deadline=None)
def test_revisions_count_up_by_one_and_end_final(name: str, batch: int) -> None:
    """Each call's revisions are 1, 2, 3, …, the last one final or merged, and no two in a row say the same."""
    said = at_once(SCRIPTS[name][: len(SCRIPTS[name]) - batch % 3])
    for call_id in {one.call_id for one in said}:
        mine = [one for one in said if one.call_id == call_id]
        assert [one.rev for one in mine] == list(range(1, len(mine) + 1))
        plain = [{**codec.as_row(one), "rev": 0, "updated_at": 0, "events": 0} for one in mine]
        assert all(one != two for one, two in pairwise(plain))


@given(st.lists(st.sampled_from(SCRIPTS["attended"]), max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_part_of_a_call_in_any_order_is_taken(events: list[EnrichedCallEvent]) -> None:
    """Losses, repetitions and any order give records, never an error; and the sweep leaves nothing open."""
    task = Fold(config.Fold(), 0)
    feed(task, events)
    for hours in (1, 8, 9):
        tick(task, START + hours * 3600 * MICRO)
    assert task.low_water() is None


def test_two_pbxs_do_not_meet() -> None:
    """The same native ids on two PBXs, in one partition, are two calls."""
    one = ended(openings.talking(), "C", "A")
    other = [codec.decode(EnrichedCallEvent, codec.encode(event)) for event in ended(openings.talking(), "A", "C")]
    both = [*one, *(_elsewhere(event) for event in other)]
    said = fold(sorted(both, key=lambda event: event.ts))
    assert {(each.merge_key, each.hangup_by) for each in said if each.state == "final"} == {
        ("t/main", "caller"),
        ("u/main", "agent"),
    }


def _elsewhere(event: EnrichedCallEvent) -> EnrichedCallEvent:
    row = codec.as_row(event) | {"tenant": "u", "merge_key": "u/main", "event_id": event.event_id[::-1]}
    return EnrichedCallEvent(**{**row, "candidates": ()})
