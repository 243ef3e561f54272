"""Laws of several sources: neither which came first nor what came twice leaves a trace in the final record."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from tests.streams.processors.folding.openings import attended
from tests.streams.processors.folding.script import MICRO, START, feed, tick
from tests.streams.processors.folding.told import cdr, cel, told
from tests.streams.processors.test_fold_laws import at_once, finals
from tests.streams.processors.test_fold_records import answered, rows, through_a_queue
from tests.streams.processors.test_fold_records_gaps import deaf

Events = Sequence[EnrichedCallEvent]


def _queue() -> Events:
    call = through_a_queue()
    return [*call.events, *cel(call.events), *rows(call)]


def _attended() -> Events:
    call = attended()
    asked = cdr(call, "A2", "B", start=26, answer=28, end=36, linkedid=False, dst="203")
    return [*call.events, *cel(call.events), asked, cdr(call, "C", "A", start=0, answer=0, end=66, app="Queue")]


def _records() -> Events:
    call = through_a_queue()
    return [*cel(call.events), *rows(call)]


def _bare() -> Events:
    call = answered()
    call.dial("C", "B", agent="202")
    first = cdr(call, "C", "A", start=0, answer=3, end=23, dst="201", sequence=1)
    return [first, cdr(call, "C", "B", start=23, answer=26, end=46, dst="202", sequence=2, linkedid=False)]


def _gap() -> Events:
    call = through_a_queue()
    live = deaf(call.events, call.legs["C"]["leg_id"], call.legs["A"]["leg_id"])
    return [*live, *cel(call.events), *rows(call)]


SCRIPTS = {"queue": _queue(), "attended": _attended(), "records": _records(), "cdr": _bare(), "gap": _gap()}
EXPECTED = {name: finals(at_once(events)) for name, events in SCRIPTS.items()}
KNOWN = {"queue": [], "records": ["records"], "cdr": ["records"], "gap": ["gap_resolved"]}


@st.composite
def interleaved(draw: st.DrawFn, name: str) -> list[EnrichedCallEvent]:
    """Any order of arrival in which each source tells of each leg in its order; an adapter that was away is one stream."""
    queues: dict[tuple[str, str], deque[EnrichedCallEvent]] = {}
    for event in SCRIPTS[name]:
        source = event.data.get("source", "") if event.synthetic else ""
        leg = event.leg_id if source or name != "gap" else ""
        queues.setdefault((source, leg), deque()).append(event)
    order: list[EnrichedCallEvent] = []
    while queues:
        key = draw(st.sampled_from(sorted(queues)))
        order += [queues[key].popleft() for _ in range(min(draw(st.integers(1, 8)), len(queues[key])))]
        if not queues[key]:
            del queues[key]
    return order


def test_each_script_is_one_call() -> None:
    """Whatever tells of it: one final record, with the flags that say what it is made of."""
    for name, expected in EXPECTED.items():
        (record,) = expected.values()
        assert record["quality"] == KNOWN.get(name, record["quality"]), name
        assert record["outcome"] == "answered"


@pytest.mark.parametrize("name", SCRIPTS)
@given(st.data())
@settings(max_examples=50, deadline=None)
def test_the_order_of_sources_does_not_matter(name: str, data: st.DataObject) -> None:
    """Records before, among or after live events give the same record."""
    assert finals(at_once(data.draw(interleaved(name)))) == EXPECTED[name]


@pytest.mark.parametrize("name", SCRIPTS)
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_what_comes_twice_changes_nothing(name: str, data: st.DataObject) -> None:
    """An event that comes again while the call is open, and the whole of it when the call is final."""
    events = list(SCRIPTS[name])
    for event in data.draw(st.lists(st.sampled_from(events), max_size=12)):
        first = next(at for at, each in enumerate(events) if each.event_id == event.event_id)
        events.insert(data.draw(st.integers(first + 1, len(events))), event)
    assert at_once(events) == at_once(SCRIPTS[name])
    task = Fold(config.Fold(), 0)
    feed(task, SCRIPTS[name])
    tick(task, START + 3600 * MICRO)
    again = [event for event in SCRIPTS[name] if not event.type.startswith(("gap.", "source."))]
    assert feed(task, again) == []
    assert tick(task, START + 7200 * MICRO) == []
    assert task.low_water() is None


@pytest.mark.parametrize("name", SCRIPTS)
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_part_of_any_source_is_taken(name: str, data: st.DataObject) -> None:
    """Losses, repetitions, missing particulars, any order and any delay give records, never an error; nothing stays open."""
    task, now = Fold(config.Fold(), 0), START + 100 * MICRO
    for event in data.draw(st.lists(st.sampled_from(SCRIPTS[name]), max_size=40)):
        gone = data.draw(st.sets(st.sampled_from([*sorted(event.data), ""]), max_size=2)) - {"source"}
        less = {key: value for key, value in event.data.items() if key not in gone}
        feed(task, [replace(event, data=less, received_at=now)])
        now += data.draw(st.sampled_from([0, 1, 3, 20])) * MICRO
        tick(task, now)
    for hours in (1, 8, 9):
        tick(task, START + hours * 3600 * MICRO)
    assert task.low_water() is None


def test_a_source_of_its_own_is_no_record() -> None:
    """An operator's own word `source` in a live event does not make it one."""
    call = answered()
    own = [told(event, "cel", dict(event.data), synthetic=False) for event in call.events]
    assert finals(at_once(own)) == finals(at_once(call.events))
