"""A call may ring a thousand times or be a conference of days: what it costs is bounded, and the record says so."""

from dataclasses import replace

import pytest

from schemas.events import Call
from streams.processors.fold import Fold
from streams.processors.folding import bounds
from streams.runtime import config
from tests.streams.processors.folding.openings import talking
from tests.streams.processors.folding.script import Script, feed, finals, fold, only
from tests.streams.processors.folding.told import cel

MOST = 200


def ringing_on(attempts: int) -> Script:
    """A caller waits; one member after the other lets it ring out."""
    call = Script()
    call.arrive()
    call.up("C")
    call.queue("C", "support")
    for n in range(attempts):
        name, agent = f"A{n}", f"2{n % 90:02}"
        call.offer("C", name, queue="support", agent=agent)
        call.wait(5)
        call.member("agent.ring_no_answer", "C", name, queue="support", agent=agent)
        call.unanswered("C", name, "NOANSWER", 0)
    return call


def most_kept(task: Fold, call: Script) -> int:
    """The most that the task's calls hold while the events come."""
    most = 0
    for n, event in enumerate(call.events):
        feed(task, [event], n)
        most = max(most, *(bounds.kept(each) for scope in task.scopes.values() for each in scope.calls.values()), 0)
    return most


def test_a_wait_of_a_thousand_rings_keeps_its_end() -> None:
    """Attempts that came to nothing go; the agent who answered at last, and all times of the caller, are there."""
    call = ringing_on(100)
    call.offer("C", "B", queue="support", agent="299")
    call.wait(3)
    call.take("C", "B", queue="support", agent="299")
    call.wait(30)
    call.hang_up("C", "B", "b1")
    known = only(fold(call.events, call_events=MOST))
    assert (known.outcome, known.agent, known.hangup_by, known.quality) == ("answered", "299", "caller", ("truncated",))
    assert known.talk_s == pytest.approx(30, abs=0.05)
    assert known.queue_wait_s == pytest.approx(504, abs=1)
    assert known.events == len(call.events)
    assert 0 < len(known.segments) < MOST / 4


def test_what_is_held_is_bounded() -> None:
    """However long it rings, talks and holds, an open call holds no more than its bound, and every event is counted."""
    rings = ringing_on(100)
    assert most_kept(Fold(config.Fold(call_events=MOST), 0), rings) <= MOST * 1.25
    holds = talking()
    for _ in range(300):
        holds.hold("A", 1)
    task = Fold(config.Fold(call_events=MOST), 0)
    assert most_kept(task, holds) <= MOST * 1.25
    holds.hang_up("C", "A", "b1")
    known = only(fold(holds.events, call_events=MOST))
    assert (known.state, known.outcome, known.quality) == ("final", "answered", ("truncated",))
    assert known.events == len(holds.events)


def test_records_of_a_call_are_bounded_too() -> None:
    """What CEL alone tells of a wait of a thousand rings costs no more, and the call comes to its end."""
    call = ringing_on(100)
    call.asks_to_hang_up("C")
    call.leave("C", "support", "abandoned")
    call.end("C")
    rows = replace(call, events=cel(call.events))
    task = Fold(config.Fold(call_events=MOST), 0)
    assert most_kept(task, rows) <= MOST * 1.25
    known = only(fold(rows.events, call_events=MOST))
    assert (known.state, known.hangup_by, known.quality) == ("final", "caller", ("records", "truncated"))


def test_a_conference_of_many_is_one_call_up_to_the_bound() -> None:
    """Who comes to a full one has a record of his own; all records end, and no event is left out of the counts."""
    call = Script()
    call.arrive()
    call.up("C")
    call.bridge("room", "C", kind="base", technology="softmix")
    for n in range(80):
        name = f"A{n}"
        call.lift(name, f"2{n:02}", dials="800")
        call.up(name)
        call.bridge("room", name, kind="base", technology="softmix")
        call.wait(5)
        call.part("room", name)
        call.end(name)
    call.part("room", "C")
    call.end("C")
    last = [one for one in finals(fold(call.events, call_events=MOST)).values() if one.state != "merged"]
    assert {one.state for one in last} == {"final"}
    assert sum(one.events for one in last) == len(call.events)
    (room,) = [one for one in last if one.call_id == call.legs["C"]["leg_id"]]
    assert "truncated" in room.quality
    assert room.segments
    assert room.ended_at == max(one.ended_at or 0 for one in last)


def test_a_long_conference_is_not_told_at_every_joining() -> None:
    """Its record grows with every member: to tell it each time would cost by the square."""
    call = talking(1)
    for n in range(200):
        name = f"A{n}"
        call.dial("C", name, agent=f"2{n % 90:02}")
        call.answer(name)
        call.bridge("b1", name)
        call.part("b1", name)
        call.end(name)
    call.hang_up("C", "A", "b1")
    said: list[Call] = fold(call.events)
    assert len(said) < 60
    assert len(only(said).segments) == 201
