"""Records beside live events, and instead of them: one call, one record."""

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from schemas.codec import as_row
from schemas.events import Call, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from tests.streams.processors.folding.openings import queue_talk, talking
from tests.streams.processors.folding.script import MICRO, Script, feed, fold, only, tick
from tests.streams.processors.folding.told import by_arrival, cdr, cel, line

TOLD = frozenset({"rev", "updated_at", "events", "sources"})


def said(call: Call) -> dict[str, object]:
    """Without how often and when it was told, and by whom."""
    return {key: value for key, value in as_row(call).items() if key not in TOLD}


def answered() -> Script:
    """A customer talks for 60 seconds with 201, who took the call directly."""
    call = talking()
    call.hang_up("A", "C", "b1")
    return call


def through_a_queue() -> Script:
    """A customer waits 6 seconds, and talks for 20 with an agent of a queue."""
    call = queue_talk()
    call.hang_up("C", "A", "b1")
    return call


def rows(call: Script) -> list[EnrichedCallEvent]:
    """What CDR and queue_log say of `through_a_queue`."""
    return [
        line(call, 0, "queue.entered", "C", position="1"),
        line(call, 6, "queue.left", "C", reason="connected", wait_s="6"),
        line(call, 6, "agent.connected", "C", agent="201", peer="A", hold_s="6", ring_s="3"),
        line(call, 26, "agent.completed", "C", agent="201", by="caller"),
        cdr(call, "C", "A", start=0, answer=0, end=26, app="Queue"),
    ]


@pytest.mark.parametrize("linkedid", [True, False])
def test_records_beside_live_events_change_nothing(linkedid: bool) -> None:
    """AMI, CEL, CDR and queue_log of one call are one call, and nothing in it is counted twice."""
    call = through_a_queue()
    told = [*rows(call)[:4], cdr(call, "C", "A", start=0, answer=0, end=26, app="Queue", linkedid=linkedid)]
    known = only(fold(by_arrival(call.events, cel(call.events), told)))
    assert said(known) == said(only(fold(call.events)))
    assert known.events == len(call.events) + len(cel(call.events)) + len(told)


def test_records_of_a_finished_call_are_no_second_one() -> None:
    """Rows that come minutes later, with or without the call's own id, begin nothing."""
    call = through_a_queue()
    task = Fold(config.Fold(), 0)
    feed(task, call.events)
    tick(task, call.now + 60 * MICRO)
    late = [*rows(call), *cel(call.events), cdr(call, "A", start=3, end=26, linkedid=False)]
    assert feed(task, late) == []
    assert tick(task, call.now + 3600 * MICRO) == []
    assert task.low_water() is None


def test_cel_alone() -> None:
    """A site that has nothing but CEL gets calls, marked as such."""
    call = answered()
    known = only(fold(cel(call.events)))
    assert (known.outcome, known.direction, known.quality) == ("answered", "inbound", ("records",))
    assert known.talk_s == pytest.approx(60, abs=0.05)


def test_cdr_alone() -> None:
    """The same for one that has nothing but CDRs."""
    call = answered()
    known = only(fold([cdr(call, "C", "A", start=0, answer=3, end=63, dst="201")]))
    assert (known.outcome, known.direction, known.quality) == ("answered", "inbound", ("records",))
    assert (known.talk_s, known.customer_number) == (60, call.legs["C"]["customer_number"])


@pytest.mark.parametrize("source", ["cel", "cdr"])
def test_sources_that_contradict_each_other(source: str) -> None:
    """Live events are believed, the record says that something is wrong, and the metric counts the call."""
    call = answered()
    late = [replace(event, ts=event.ts + 5 * MICRO) if event.type == "leg.ended" else event for event in call.events]
    told = cel(late) if source == "cel" else [cdr(call, "C", "A", start=0, answer=3, end=68, dst="201")]
    before = REGISTRY.get_sample_value("trunkline_calls_differing_total", {"pbx": "main"}) or 0
    known = only(fold(by_arrival(call.events, told)))
    assert {**said(known), "quality": []} == said(only(fold(call.events)))
    assert known.quality == ("differs",)
    assert REGISTRY.get_sample_value("trunkline_calls_differing_total", {"pbx": "main"}) == before + 1


def test_sources_that_differ_by_rounding_do_not_contradict() -> None:
    """A CDR has whole seconds, and cuts them off."""
    call = answered()
    told = cdr(call, "C", "A", start=1, answer=4, end=62, dst="201")
    assert only(fold(by_arrival(call.events, cel(call.events), [told]))).quality == ()


def test_a_call_whose_end_no_record_tells() -> None:
    """The PBX died, and CEL has no HANGUP: the call ends where it was last told of, like a ghost among live ones."""
    call = answered()
    told = [event for event in cel(call.events) if event.type not in ("leg.ended", "bridge.left")]
    task = Fold(config.Fold(ghost_hours=6), 0)
    assert [one.state for one in feed(task, told)][-1] == "connected"
    assert tick(task, call.now + 5 * 3600 * MICRO) == []
    tick(task, call.now + 7 * 3600 * MICRO)
    (known,) = tick(task, call.now + 8 * 3600 * MICRO)
    assert (known.state, known.quality, task.low_water()) == ("final", ("estimated", "records"), None)


def test_queue_log_alone() -> None:
    """Of a caller in a queue it tells enough for a call: who took him, and for how long."""
    call = through_a_queue()
    known = only(fold(rows(call)[:4]))
    assert (known.outcome, known.queue, known.agent, known.hangup_by) == ("answered", "support", "201", "caller")
    assert (known.queue_wait_s, known.talk_s, known.sources) == (6, 20, ("queue_log",))
    left = only(fold([line(call, 0, "queue.left", "C", reason="full")]))
    assert (left.outcome, left.queue_visits[0].reason) == ("queue_full", "full")
