"""Records that come when the call is final: what it did not know is completed, one revision on."""

from dataclasses import replace

import pytest

from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from tests.streams.processors.folding.script import MICRO, Message, Script, at, feed, only, tick
from tests.streams.processors.folding.told import by_arrival, cdr, cel, line
from tests.streams.processors.test_fold_gaps import blind, talk
from tests.streams.processors.test_fold_records import answered, rows, through_a_queue
from tests.streams.processors.test_fold_records_gaps import deaf


def late(first: list[EnrichedCallEvent], *batches: list[EnrichedCallEvent]) -> list[Call]:
    """Every revision when each batch comes minutes after the one before."""
    task = Fold(config.Fold(), 0)
    now = max(event.ts for event in first) + 60 * MICRO
    revisions = [*feed(task, first), *tick(task, now)]
    for batch in batches:
        now += 600 * MICRO
        for event in batch:
            revisions += feed(task, [event])
        revisions += tick(task, now)
    assert task.low_water() is None
    return revisions


def test_records_of_a_whole_call_say_it_again_only_with_something_new() -> None:
    """All of it, twice, adds nothing to a call without doubt."""
    call = through_a_queue()
    told = [*rows(call), *cel(call.events)]
    revisions = late(call.events, told, told)
    assert [one.state for one in revisions].count("final") == 1


def test_a_gap_is_completed_from_late_cel() -> None:
    """The call that ended in the gap gets its true end, and the record says that it was completed."""
    call = talk()
    live = list(call.events)
    call.wait(20)
    call.hang_up("A", "C", "b1")
    told, ended = cel(call.events), call.now
    call.events, call.now = live, live[-1].ts + MICRO
    blind(call, 60)
    known = only(late(call.events, told))
    assert (known.quality, known.ended_at, known.hangup_by) == (("gap_resolved",), ended, "agent")
    assert known.talk_s == pytest.approx(30, abs=0.1)
    assert (known.sources, known.hold_s) == (("live", "cel"), None)
    assert known.segments[0].talk_s == pytest.approx(30, abs=0.1)


def test_a_gap_is_completed_from_late_cdr_and_queue_log() -> None:
    """An agent took the call in the gap: a call that was thought to be abandoned was answered."""
    call = through_a_queue()
    live = deaf(call.events, call.legs["C"]["leg_id"], call.legs["A"]["leg_id"])
    revisions = late(live, rows(call))
    assert [one.outcome for one in revisions if one.state == "final"] == ["abandoned", "answered"]
    known = only(revisions)
    assert (known.quality, known.agent) == (("gap_resolved",), "201")
    assert known.talk_s == pytest.approx(20, abs=1.1)
    assert known.sources == ("live", "cdr", "queue_log")


def test_cel_that_lags_is_waited_for() -> None:
    """Its first rows came while the call was open: a call with a gap is not final before CEL has told its end."""
    call = through_a_queue()
    told = [replace(event, received_at=event.received_at + 15 * MICRO) for event in cel(call.events)]
    live = deaf(call.events, call.legs["C"]["leg_id"], call.legs["A"]["leg_id"])
    task, said = Fold(config.Fold(), 0), list[Call]()
    for event in by_arrival(live, told):
        said += [*feed(task, [event]), *tick(task, event.received_at + MICRO)]
    said += tick(task, call.now + 60 * MICRO)
    assert [one.state for one in said].count("final") == 1
    assert (said[-1].quality, said[-1].outcome) == (("gap_resolved",), "answered")


def test_queue_log_says_why_the_queue_was_left() -> None:
    """AMI calls a time-out an abandon too; the late line knows better, and the outcome follows."""
    call = Script()
    call.arrive()
    call.up("C")
    call.queue("C", "support")
    call.wait(10)
    call.leave("C", "support")
    call.wait(1)
    call.end("C")
    told = [line(call, 10, "queue.left", "C", reason="empty", wait_s="10")]
    revisions = late(call.events, told)
    assert revisions[-1].queue_visits[0].reason == "empty"
    assert (only(revisions).outcome, revisions[-2].outcome) == ("queue_empty", "ivr_only")


def test_cel_after_cdr_tells_it_all_anew() -> None:
    """A better source takes the place of a worse one; what only the worse one knows stays."""
    call = through_a_queue()
    known = only(late(rows(call), cel(call.events)))
    assert (known.quality, known.sources) == (("records",), ("cel", "cdr", "queue_log"))
    assert (known.segments[0].by, known.queue_visits[0].reason) == ("caller", "connected")
    assert known.talk_s == pytest.approx(20, abs=0.05)


def test_rows_of_one_call_that_come_apart() -> None:
    """The second part of a transferred call is written to the first one's record."""
    call = answered()
    call.dial("C", "B", agent="202")
    first = cdr(call, "C", "A", start=0, answer=3, end=23, dst="201", sequence=1)
    second = cdr(call, "C", "B", start=23, answer=26, end=46, dst="202", sequence=2)
    known = only(late([first], [second]))
    assert [part.agent for part in known.segments] == ["201", "202"]
    assert (known.agent, at(known.ended_at), known.talk_s) == ("202", 46.0, 40)


def test_what_contradicts_is_flagged() -> None:
    """A record that says the call ended five seconds later than it was heard to end does not change it."""
    call = answered()
    known = only(late(call.events, [cdr(call, "C", "A", start=0, answer=3, end=68, dst="201")]))
    assert (known.quality, at(known.ended_at)) == (("differs",), 63.0)


def test_a_restart_while_late_records_are_gathered() -> None:
    """What was read and not yet said is read again by the next owner."""
    call = talk()
    blind(call, 60)
    told = [cdr(call, "C", "A", start=0, answer=3, end=43, dst="201")]
    task = Fold(config.Fold(), 0)
    feed(task, call.events)
    (before,) = tick(task, call.now + 60 * MICRO)
    feed(task, told, offset=len(call.events))
    assert task.low_water() == len(call.events)
    heir = Fold(config.Fold(), 0)
    heir.recall(codec.encode(before))
    heir.replay([Message(codec.encode(told[0]), len(call.events))])
    assert tick(heir, call.now + 100 * MICRO) == []
    (after,) = tick(heir, call.now + 200 * MICRO)
    assert (after.rev, after.quality, at(after.ended_at)) == (before.rev + 1, ("gap_resolved",), 43.0)


def test_order_of_batches_leaves_the_same_facts() -> None:
    """CEL first or CDR first: who talked, how long, and how it came out are the same."""
    call = through_a_queue()
    one, other = only(late(cel(call.events), rows(call))), only(late(rows(call), cel(call.events)))
    for key in (
        "outcome",
        "agent",
        "talk_s",
        "ended_at",
        "connected_at",
        "hangup_by",
        "direction",
        "quality",
        "sources",
    ):
        assert getattr(one, key) == getattr(other, key), key
