"""Known answers: what an agent's shift reads like, told by hand."""

import pytest

from streams.runtime.pipeline import Refused
from tests.streams.processors.folding.script import MICRO, START, Message
from tests.streams.processors.presence.shift import Shift, feed, states, task, told, whole


def test_a_shift_from_log_in_to_log_out() -> None:
    """Log-in, a call from a queue, a pause with its reason, log-out: each change once, at its own time."""
    shift = Shift()
    shift.login("201")
    shift.device("201", "available")
    shift.wait(10)
    shift.queue_call("201", ring_s=3, talk_s=30)
    shift.device("201", "available")
    shift.wait(5)
    shift.pause("201", reason="lunch")
    shift.wait(60)
    shift.resume("201")
    shift.wait(10)
    shift.logout("201")
    said = feed(task(), shift.events)
    assert told(said) == [
        ("available", 0.0, ""),
        ("ringing", 10.0, ""),
        ("on_call", 13.0, ""),
        ("available", 43.0, ""),
        ("paused", 48.0, "lunch"),
        ("available", 108.0, ""),
        ("logged_out", 118.0, ""),
    ]
    whole(said)
    assert {one.estimated for one in said} == {False}
    talk = next(one for one in reversed(said) if one.state == "on_call")
    assert (talk.call_id, talk.queue, talk.name) == (shift.legs["C"]["call_id"], "support", "Agent 201")
    assert [one.queues for one in said[:1] + said[-1:]] == [("support",), ()]


def test_a_telephones_own_state_adds_nothing_to_channels_that_are_seen() -> None:
    """It follows the channel's events by some milliseconds, now before the call's end and now behind it."""
    plain, doubled = Shift(), Shift()
    for shift in (plain, doubled):
        shift.login("201")
        shift.arrive("C")
        shift.dial("C", "A", agent="201")
        shift.ring("A")
        if shift is doubled:
            shift.device("201", "ringing")
            shift.member("201", phone="ringing", state="ringing")
            shift.now -= 2000
        shift.answer("A", "C")
        if shift is doubled:
            shift.device("201", "on_call")
            shift.now -= 1000
        shift.wait(20)
        shift.end("A")
        if shift is doubled:
            shift.member("201", phone="on_call", state="on_call")
            shift.device("201", "available")
    expected = feed(task(), plain.events)
    assert told(expected) == told(feed(task(), doubled.events))
    assert [one.state for one in expected] == ["available", "ringing", "on_call", "available"]


def test_without_channels_the_telephones_state_tells() -> None:
    """Calls that the filters hide are seen all the same, if not which they are."""
    shift = Shift()
    for state in ("available", "ringing", "on_call", "hold", "on_call", "available", "unavailable"):
        shift.device("201", state)
        shift.wait(5)
    said = feed(task(), shift.events)
    assert [one.state for one in said] == [
        *("available", "ringing", "on_call", "hold", "on_call", "available", "unavailable"),
    ]
    assert {one.call_id for one in said} == {""}


def test_hold() -> None:
    """The agent's own telephone puts the customer on hold."""
    shift = Shift()
    shift.lift("A", "201", dials="+32470123401")
    shift.answer("A")
    shift.wait(5)
    shift.hold("A", 7)
    shift.wait(5)
    shift.end("A")
    assert told(feed(task(), shift.events)) == [
        ("on_call", 0.0, ""),
        ("hold", 5.0, ""),
        ("on_call", 12.0, ""),
        ("available", 17.0, ""),
    ]


def test_wrap_up_ends_by_the_clock() -> None:
    """Asterisk grants it and tells nothing of its end: both are estimated."""
    shift = Shift()
    shift.login("201")
    shift.queue_call("201", ring_s=1, talk_s=8)
    completed = next(event.ts for event in shift.events if event.type == "agent.completed")
    worker = task(queue_wrapup_seconds={"support": 15})
    said = feed(worker, shift.events)
    end = completed + 15 * MICRO
    now = shift.events[-1].received_at
    assert states(worker.tick(now + 14 * MICRO)) == []
    said += states(worker.tick(now + 16 * MICRO))
    assert [one.state for one in said[-2:]] == ["wrapup", "available"]
    assert [(one.estimated, one.queue) for one in said[-2:]] == [(True, "support"), (True, "")]
    assert said[-1].since == end
    assert states(worker.tick(now + 100 * MICRO)) == []
    whole(said)


@pytest.mark.parametrize("way", ["pause", "ring", "log-out"])
def test_wrap_up_ends_with_whatever_comes_next(way: str) -> None:
    """That moment is told, and the wrap-up does not come back after it."""
    shift = Shift()
    shift.login("201")
    shift.queue_call("201", ring_s=1, talk_s=8)
    shift.wait(5)
    if way == "pause":
        shift.pause("201", reason="tea")
        shift.wait(1)
        shift.resume("201")
        after = ["paused", "available"]
    elif way == "ring":
        shift.arrive("D")
        shift.dial("D", "B", agent="201")
        shift.ring("B")
        shift.wait(1)
        shift.unanswered("D", "B", "NOANSWER", 0)
        after = ["ringing", "available"]
    else:
        shift.logout("201")
        after = ["logged_out"]
    said = feed(task(wrapup_seconds=30), shift.events)
    states_told = [state for state, _, _ in told(said)]
    assert states_told[-len(after) - 1 :] == ["wrapup", *after]
    assert {one.estimated for one in said if one.state != "wrapup"} == {False}


def test_the_pbxs_own_wrap_up_counts_before_the_configured_one() -> None:
    """A member's Wrapuptime is told with its status; 0 says that it has none of its own."""
    for own, seconds in (("20", 20), ("0", 7)):
        shift = Shift()
        shift.login("201", wrapup_s=own)
        shift.queue_call("201")
        last = feed(task(wrapup_seconds=7), shift.events)[-1]
        assert last.wrapup_from is not None
        assert last.wrapup_until == last.wrapup_from + seconds * MICRO


def test_paused_in_some_queues_is_not_paused() -> None:
    """The other queues still ring the agent; each queue's account stands in the record."""
    shift = Shift()
    shift.login("201", "sales")
    shift.login("201", "support")
    shift.wait(5)
    shift.pause("201", "sales", "training")
    shift.wait(5)
    shift.pause("201", "support", "training")
    shift.wait(5)
    shift.logout("201", "support")
    shift.wait(5)
    shift.resume("201", "sales")
    said = feed(task(), shift.events)
    assert told(said) == [("available", 0.0, ""), ("paused", 10.0, "training"), ("available", 20.0, "")]
    partly = said[2]
    assert (partly.number, partly.rev) == (1, 3)
    assert [(each.queue, each.paused) for each in partly.memberships] == [("sales", True), ("support", False)]
    assert said[-1].queues == ("sales",)


def test_another_reason_is_another_pause() -> None:
    """Time is accounted by reason; a status that names none is no other reason."""
    shift = Shift()
    shift.login("201")
    shift.pause("201", reason="lunch")
    shift.wait(60)
    shift.member("201", paused="1", state="paused", phone="available")
    shift.pause("201", reason="training")
    said = feed(task(), shift.events)
    assert told(said) == [("available", 0.0, ""), ("paused", 0.0, "lunch"), ("paused", 60.0, "training")]


def test_a_call_during_a_pause_is_a_call() -> None:
    """The pause goes on behind it."""
    shift = Shift()
    shift.login("201")
    shift.pause("201", reason="lunch")
    shift.wait(5)
    shift.lift("A", "201", dials="+32470123401")
    shift.wait(5)
    shift.end("A")
    said = feed(task(), shift.events)
    assert [(state, reason) for state, _, reason in told(said)] == [
        *(("available", ""), ("paused", "lunch"), ("on_call", ""), ("paused", "lunch")),
    ]


def test_two_agents_are_two_keys() -> None:
    """And the same extension of another PBX is somebody else."""
    shift = Shift()
    shift.login("201")
    shift.login("202")
    worker = task()
    said = feed(worker, shift.events)
    assert [one.state_id for one in said] == ["main:201:1", "main:202:1"]
    assert sorted(person.key for person in worker.people.values()) == [b"t/main/201", b"t/main/202"]


def test_stragglers_change_nothing() -> None:
    """An event that is older than what it would replace is not taken."""
    shift = Shift()
    shift.login("201")
    shift.lift("A", "201", dials="+32470123401")
    ringing = shift.now
    shift.wait(5)
    shift.end("A")
    shift.pause("201", reason="lunch")
    shift.wait(1)
    shift.resume("201")
    worker = task()
    said = feed(worker, shift.events)
    late = Shift(now=ringing, legs=shift.legs, sequence=90)
    late.events = shift.events[:90]
    late.answer("A")
    late.now = shift.now - 500_000
    late.pause("201", reason="late")
    assert feed(worker, late.events[len(shift.events) :], 90) == []
    assert said[-1].state == "available"


def test_the_agent_pool_logs_in_by_a_call_that_is_none() -> None:
    """app_agent_pool: the channel of the log-in stays up for the whole shift."""
    shift = Shift()
    shift.leg("L", "PJSIP/201", agent="201")
    shift.say("leg.created", "L", agent="201", data={"state": "4"})
    shift.say("agent.state", "L", agent="201", data={"event": "AgentLogin", "state": "available"})
    shift.say("leg.answered", "L", agent="201")
    shift.wait(3600)
    shift.say("agent.state", "L", agent="201", data={"event": "AgentLogoff", "state": "logged_out"})
    shift.end("L")
    said = feed(task(), shift.events)
    assert [state for state, _, _ in told(said)] == ["on_call", "available", "logged_out"]


def test_nothing_is_said_of_whom_nothing_is_known() -> None:
    """A channel that was made and rang nobody tells no state; an unknown state of a telephone is told as such."""
    shift = Shift()
    shift.arrive("C")
    shift.dial("C", "A", agent="201")
    shift.end("A")
    assert feed(task(), shift.events) == []
    shift.device("201", "unknown")
    assert [one.state for one in feed(task(), shift.events)] == ["unknown"]


def test_what_cannot_be_read_is_refused() -> None:
    """The rest goes on."""
    (refused,) = task().process([Message(b"junk", 7)], START)
    assert isinstance(refused, Refused)
    assert refused.stage == "agents"
