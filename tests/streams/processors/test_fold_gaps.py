"""Blind for a while: what ended meanwhile is closed and says so, what lives goes on, and nothing stays open for ever."""

import pytest

from streams.processors.fold import Fold
from streams.runtime import config
from tests.streams.processors.folding.script import MICRO, START, Script, at, feed, finals, fold, only, tick


def talk(seconds: float = 10) -> Script:
    """A customer and an agent who talk."""
    call = Script()
    call.arrive()
    call.dial("C", "A", agent="201")
    call.ring("A")
    call.wait(3)
    call.answer("A", "C")
    call.up("C")
    call.bridge("b1", "A", "C")
    call.wait(seconds)
    return call


def blind(call: Script, seconds: float, *alive: str, restarted: bool = False) -> None:
    """The adapter was away for so long; then it says who is still there."""
    since = call.now
    call.wait(seconds)
    until = call.now
    gap = {"from_us": str(since), "to_us": str(until)}
    call.say("source.up", ts=until)
    call.say("gap.detected", ts=until, data=gap)
    for name in alive:
        call.say(
            "leg.live", name, ts=until, synthetic=True, data={"state": "6", "bridge": "b1", "bridge_type": "basic"}
        )
    native = " ".join(call.legs[name]["leg_id"].removeprefix("main:") for name in alive)
    told = {**gap, "live": native} | ({"restarted": "1"} if restarted else {})
    call.say("gap.resolved", ts=until, data=told)


def test_a_call_that_ended_in_the_gap() -> None:
    """It is closed where it was last known to be alive; nobody is blamed for the hang-up."""
    call = talk()
    blind(call, 60)
    known = only(fold(call.events))
    assert (known.outcome, known.quality) == ("answered", ("estimated", "gap"))
    assert (at(known.ended_at), known.hangup_by) == (13.0, "")
    assert known.talk_s == pytest.approx(10, abs=0.05)


@pytest.mark.parametrize("told", ["gap.resolved", "source.up"])
def test_a_talk_that_had_just_begun_was_one(told: str) -> None:
    """The second party's joining is the last that was heard of a PBX that died: they talked, nobody knows how long."""
    call = talk(0)
    last = call.events[-1].ts
    data = {"from_us": str(last), "to_us": str(last + MICRO), "live": "", "restarted": "1"}
    call.say(told, ts=last + MICRO, data=data)
    known = only(fold(call.events))
    assert (known.outcome, known.agent, known.quality) == ("answered", "201", ("estimated", "gap"))
    assert known.talk_s == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize("alive", [(), ("C",)])
def test_a_gap_is_told_from_before_the_last_that_was_heard(alive: tuple[str, ...]) -> None:
    """The adapter died within a second of the talk's beginning, and its last position is older: they talked all the same."""
    call = talk(0)
    since = call.now - MICRO
    call.wait(5)
    until = call.now
    native = " ".join(call.legs[name]["leg_id"].removeprefix("main:") for name in alive)
    for name in alive:
        call.say("leg.live", name, ts=until, synthetic=True, data={"state": "6", "bridge": ""})
    call.say("gap.resolved", ts=until, data={"from_us": str(since), "to_us": str(until), "live": native})
    for name in alive:
        call.end(name)
    known = only(fold(call.events))
    assert (known.outcome, known.agent, known.quality) == ("answered", "201", ("estimated", "gap"))


@pytest.mark.parametrize("session", [{"session": "a1"}, {}])
def test_a_gap_whose_end_no_snapshot_tells(session: dict[str, str]) -> None:
    """The PBX does not say who is alive: the call is flagged, and nothing closed. A file that was cut is no such gap."""
    call = talk()
    since = call.now
    call.wait(5)
    call.say("gap.detected", data={"from_us": str(since), "to_us": str(call.now), **session})
    call.wait(5)
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.quality, known.hangup_by) == (("gap",) if session else (), "caller")


def test_a_call_that_outlived_the_gap() -> None:
    """It goes on in the same record, flagged, and ends when it ends."""
    call = talk()
    blind(call, 60, "A", "C")
    call.wait(20)
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.outcome, known.quality, known.hangup_by) == ("answered", ("gap",), "caller")
    assert known.talk_s == pytest.approx(90, abs=0.1)


def test_one_leg_ended_in_the_gap() -> None:
    """A transfer that nobody saw: the agent is gone, the customer is still there."""
    call = talk()
    blind(call, 60, "C")
    assert [one.state for one in fold(call.events)] == ["ringing", "connected"]
    call.wait(5)
    call.end("C")
    known = only(fold(call.events))
    assert known.quality == ("estimated", "gap")
    assert known.talk_s == pytest.approx(10, abs=0.05)


def test_a_call_that_began_in_the_gap() -> None:
    """It is a call with what can be known of it; how long it rang and was talked cannot."""
    call = Script()
    blind(call, 60)
    number = "+32470123401"
    call.leg("C", "PJSIP/trunk", customer_number=number, caller_raw=number, caller_e164=number)
    call.leg("A", "PJSIP/201", "C", agent="201", caller_raw="201", customer_number=number)
    blind(call, 30, "C", "A")
    call.wait(20)
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.direction, known.outcome, known.agent) == ("inbound", "answered", "201")
    assert (known.talk_s, known.wait_s, known.ring_s, known.hold_s) == (None, None, None, None)
    assert known.quality == ("gap",)


def test_a_caller_who_joined_a_queue_in_the_gap() -> None:
    """The queue's own count of seconds says since when."""
    call = Script()
    blind(call, 60)
    call.leg("C", "PJSIP/trunk", customer_number="+32470123401", caller_raw="0470123401", caller_e164="+32470123401")
    blind(call, 30, "C")
    call.say("queue.position", "C", queue="support", synthetic=True, data={"position": "2", "wait_s": "25"})
    call.wait(5)
    call.asks_to_hang_up("C")
    call.leave("C", "support", "abandoned")
    call.end("C")
    known = only(fold(call.events))
    assert (known.outcome, known.queue) == ("abandoned", "support")
    assert known.queue_wait_s == pytest.approx(30, abs=0.1)


def test_restart_of_the_pbx() -> None:
    """After a restart nothing from before is alive, even what was heard of after the new start's snapshot."""
    call = talk()
    blind(call, 5, restarted=True)
    known = only(fold(call.events))
    assert (known.state, known.quality) == ("final", ("estimated", "gap"))


def test_restart_told_when_the_source_comes_up() -> None:
    """The same, when it is known before any snapshot."""
    call = talk()
    call.say("source.up", data={"restarted": "1"})
    assert only(fold(call.events)).quality == ("estimated", "gap")


def test_a_snapshot_without_a_gap_flags_nothing() -> None:
    """The first snapshot of all, and one of a session that missed nothing."""
    call = talk()
    moment = str(call.now)
    native = " ".join(leg["leg_id"].removeprefix("main:") for leg in call.legs.values())
    call.say("gap.resolved", data={"from_us": moment, "to_us": moment, "live": native})
    call.wait(5)
    call.hang_up("C", "A", "b1")
    assert only(fold(call.events)).quality == ()


def test_a_leg_that_a_later_event_proves_alive_is_not_closed() -> None:
    """It was created while the snapshot was being taken, or spoke after it."""
    call = talk()
    since, until = call.now, call.now + 10 * MICRO
    call.wait(11)
    call.say("leg.updated", "C", data={"state": "6"})
    call.say("leg.updated", "A", data={"state": "6"})
    call.say("gap.resolved", data={"from_us": str(since), "to_us": str(until), "live": ""})
    assert fold(call.events)[-1].state == "connected"


def test_alive_after_all() -> None:
    """A snapshot that shows a leg which was thought to be over takes the call up again."""
    call = talk()
    blind(call, 60)
    before = len(call.events)
    blind(call, 1, "A", "C")
    call.wait(10)
    call.hang_up("A", "C", "b1")
    task = Fold(config.Fold(), 0)
    said = feed(task, call.events[:before])
    assert said[-1].state == "ended"
    said += feed(task, call.events[before:], before)
    said += tick(task, call.now + 60 * MICRO)
    known = only(said)
    assert (known.hangup_by, known.quality) == ("agent", ("gap",))


def test_the_real_end_is_better_than_the_estimate() -> None:
    """A Hangup that comes after all (another adapter saw it) takes the estimate's place."""
    call = talk()
    blind(call, 60)
    call.say("leg.ended", "A", ts=START + 40 * MICRO, cause=16)
    call.say("leg.ended", "C", ts=START + 40 * MICRO, cause=16)
    known = only(fold(call.events))
    assert (at(known.ended_at), known.quality) == (40.0, ("gap",))


def test_ghosts_are_swept() -> None:
    """A call of which nothing is heard for hours ends where it was last heard of."""
    call = talk()
    task = Fold(config.Fold(ghost_hours=6), 0)
    feed(task, call.events)
    hour = 3600 * MICRO
    assert tick(task, call.now + 5 * hour) == []
    said = tick(task, call.now + 7 * hour)
    assert [one.state for one in said] == ["ended"]
    said += tick(task, call.now + 7 * hour + 3 * MICRO)
    assert [one.state for one in said] == ["ended", "final"]
    assert (at(said[-1].ended_at), said[-1].quality, task.low_water()) == (3.0, ("estimated",), None)


def test_ghosts_by_the_clock_of_the_pbx() -> None:
    """While others talk, a silent call is measured by their time: a worker that begins anew does not wait again."""
    call = talk()
    ghost = call.legs["C"]["leg_id"]
    call.wait(7 * 3600)
    call.arrive("D", number="+32470123402")
    task = Fold(config.Fold(ghost_hours=6), 0)
    feed(task, call.events)
    said = tick(task, call.now + 1)
    assert [(one.call_id, one.state) for one in said] == [(ghost, "ended")]


def test_started_in_the_middle() -> None:
    """Whose beginning was never seen is a call with a flag, and an end without a beginning is none."""
    call = talk()
    middle = next(i for i, event in enumerate(call.events) if event.type == "bridge.joined")
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events[middle:]))
    assert (known.outcome, "inferred" in known.quality) == ("answered", True)
    assert finals(fold([event for event in call.events if event.type == "leg.ended"])) == {}
