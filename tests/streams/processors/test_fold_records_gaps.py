"""What nobody heard live is taken from the records: a gap is completed, and the record says so."""

import pytest

from schemas.events import EnrichedCallEvent
from tests.streams.processors.folding.script import MICRO, START, Script, at, fold, only
from tests.streams.processors.folding.told import by_arrival, cdr, cel
from tests.streams.processors.test_fold_gaps import blind, talk
from tests.streams.processors.test_fold_records import rows, through_a_queue

BLIND = (5, 15)
"""Seconds after the beginning between which nobody listens."""


def deaf(events: list[EnrichedCallEvent], *alive: str) -> list[EnrichedCallEvent]:
    """The live events without those of BLIND, and with what an adapter says that was away."""
    since, until = (START + second * MICRO for second in BLIND)
    heard = Script(now=until, events=[event for event in events if not since < event.ts <= until])
    gap = {"from_us": str(since), "to_us": str(until)}
    heard.say("source.up", ts=until)
    heard.say("gap.resolved", ts=until, data={**gap, "live": " ".join(name.removeprefix("main:") for name in alive)})
    return sorted(heard.events, key=lambda event: event.ts)


def test_a_call_that_ended_in_the_gap_ends_as_cel_says() -> None:
    """Not where it was last heard of; and nobody has to guess who hung up."""
    call = talk()
    live = list(call.events)
    call.hang_up("A", "C", "b1")
    told = cel(call.events)
    gap = Script(now=call.now, legs=call.legs)
    call.events = live
    call.now = live[-1].ts + MICRO
    blind(call, 60)
    known = only(fold(by_arrival(call.events, told)))
    assert (known.outcome, known.quality, known.sources) == ("answered", ("gap_resolved",), ("live", "cel"))
    assert known.ended_at == gap.now
    assert known.hangup_by == "agent"
    assert known.talk_s == pytest.approx(10, abs=0.05)
    assert known.hold_s is None


@pytest.mark.parametrize("source", ["cel", "cdr"])
def test_a_call_with_a_hole_in_the_middle_is_completed(source: str) -> None:
    """An agent took the call while the adapter was away; one record has it all."""
    call = through_a_queue()
    told = cel(call.events) if source == "cel" else rows(call)
    live = deaf(call.events, call.legs["C"]["leg_id"], call.legs["A"]["leg_id"])
    alone = only(fold(live))
    assert (alone.quality, alone.outcome) == (("gap",), "abandoned")
    known = only(fold(by_arrival(live, told)))
    assert known.quality == ("gap_resolved",)
    assert (known.outcome, known.agent, known.queue_visits[0].reason) == ("answered", "201", "connected")
    assert known.talk_s == pytest.approx(20, abs=0.2 if source == "cel" else 1.1)
    assert known.queue_wait_s == pytest.approx(6, abs=0.2 if source == "cel" else 1.1)
    assert (known.hold_s, known.hangup_by) == (None, "caller")


def test_a_call_that_ended_in_the_gap_ends_as_its_cdr_says() -> None:
    """To the second; a record without any doubt left says only that it was completed."""
    call = talk()
    blind(call, 60)
    told = cdr(call, "C", "A", start=0, answer=3, end=43, dst="201")
    known = only(fold(by_arrival(call.events, [told])))
    assert (known.quality, known.sources, at(known.ended_at)) == (("gap_resolved",), ("live", "cdr"), 43.0)
    assert known.talk_s == pytest.approx(40, abs=1)


def test_a_gap_that_no_record_covers_stays_one() -> None:
    """A CDR that was over while the legs were still heard does not tell how they ended."""
    call = talk()
    blind(call, 60)
    told = cdr(call, "C", "A", start=0, answer=3, end=8, dst="201")
    known = only(fold(by_arrival(call.events, [told])))
    assert (known.quality, at(known.ended_at)) == (("estimated", "gap"), 13.0)


def test_a_call_of_which_nothing_was_heard_live() -> None:
    """It came and went while the adapter was away: a call of its own, from records alone."""
    call = through_a_queue()
    other = Script(now=call.now + 100 * MICRO)
    other.say("gap.resolved", data={"from_us": str(START), "to_us": str(other.now), "live": ""})
    known = only(fold(by_arrival(other.events, rows(call))))
    assert (known.quality, known.agent, known.outcome) == (("records",), "201", "answered")


def test_a_lost_event_is_found_in_cel() -> None:
    """One frame of AMI never came: the call contradicts itself, and CEL tells what was in it."""
    call = talk(60)
    call.hang_up("A", "C", "b1")
    told = cel(call.events)
    joined = next(at for at, event in enumerate(call.events) if event.type == "bridge.joined")
    live = [event for at, event in enumerate(call.events) if at != joined]
    alone = only(fold(live))
    assert (alone.quality, alone.talk_s) == (("incomplete",), 0)
    known = only(fold(by_arrival(live, told)))
    assert (known.quality, known.outcome, known.sources) == (("gap_resolved",), "answered", ("live", "cel"))
    assert known.talk_s == pytest.approx(60, abs=0.05)
