"""Known answers: holds, mailboxes, menus, recordings, click-to-call, Local members and forwards."""

import pytest

from tests.streams.processors.folding.openings import ringing_one, talking, waiting
from tests.streams.processors.folding.script import CUSTOMER, Script, at, fold, only


def test_hold_is_no_talk() -> None:
    """Holds are taken out of the talk, clipped to it, and an Unhold that no Hold preceded means nothing."""
    call = talking(10)
    call.say("hold.ended", "A")
    call.hold("A", 20)
    call.wait(10)
    call.say("hold.started", "A")
    call.wait(5)
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.talk_s, known.hold_s) == pytest.approx((20, 25), abs=0.02)
    assert [(at(hold.started_at), at(hold.ended_at)) for hold in known.holds] == [(13.0, 33.0), (43.0, 48.0)]
    assert (known.segments[0].talk_s, known.segments[0].hold_s) == pytest.approx((20, 25), abs=0.02)


def test_both_sides_hold_at_once() -> None:
    """A second that both sides hold is one second of hold."""
    call = talking(10)
    call.say("hold.started", "A")
    call.wait(10)
    call.say("hold.started", "C")
    call.wait(10)
    call.say("hold.ended", "A")
    call.wait(10)
    call.say("hold.ended", "C")
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.talk_s, known.hold_s) == pytest.approx((10, 30), abs=0.02)
    assert [(hold.leg_id, at(hold.started_at), at(hold.ended_at)) for hold in known.holds] == [
        (call.legs["A"]["leg_id"], 13.0, 43.0)
    ]


def test_mailbox_without_a_message() -> None:
    """Who only heard the greeting was not answered, and left nothing."""
    call = ringing_one()
    call.unanswered("C", "A", "NOANSWER", 0)
    call.up("C")
    call.say("voicemail.entered", "C", data={"box": "201@default,u"})
    call.wait(5)
    call.asks_to_hang_up("C")
    call.end("C")
    known = only(fold(call.events))
    assert known.outcome == "no_answer"
    assert [(part.kind, part.number, part.result) for part in known.segments[1:]] == [("voicemail", "201@default", "")]


def test_a_hold_that_goes_on() -> None:
    """While it lasts its end is not known, nor how much was talked."""
    call = talking(10)
    call.say("hold.started", "A")
    call.say("leg.updated", "C", data={"moh": "1"})
    call.wait(10)
    call.dial("C", "B", agent="202")
    call.ring("B")
    call.answer("B")
    call.bridge("b1", "B")
    said = fold(call.events)
    assert said[-1].agent == "202"
    assert (said[-1].talk_s, said[-1].hold_s) == (None, None)
    assert [(at(hold.started_at), hold.ended_at) for hold in said[-1].holds] == [(13.0, None)]


def test_menu_only() -> None:
    """A caller who hears a menu and hangs up has reached nobody and abandoned no queue."""
    call = Script()
    call.arrive()
    call.up("C")
    call.wait(12)
    call.asks_to_hang_up("C")
    call.end("C")
    known = only(fold(call.events))
    assert (known.outcome, known.hangup_by) == ("ivr_only", "caller")
    assert known.ivr_s == pytest.approx(12, abs=0.02)


def test_recordings() -> None:
    """A recording is one entry, and ends with its leg when nothing else ended it."""
    call = talking(10)
    call.say("recording.started", "C", data={"file": "/rec/1.wav"})
    call.wait(10)
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert [(one.file, at(one.started_at), at(one.ended_at)) for one in known.recordings] == [
        ("/rec/1.wav", 13.0, 23.0)
    ]


def test_customer_is_the_first_that_was_known() -> None:
    """A contact that changes in mid-call does not change the call; an ambiguous one names its candidates only."""
    call = talking()
    call.known_as(match="ambiguous", crm="sandbox", candidates=("C1", "C2"))
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.match, known.contact_id, known.candidates) == ("ambiguous", "", ("C1", "C2"))


def test_click_to_call() -> None:
    """The agent's telephone is rung first; the number dialled is named only afterwards, and the agent is no callee."""
    call = Script()
    call.leg("A", "PJSIP/201", agent="201", caller_raw="201")
    call.say("leg.created", "A", data={"context": "internal", "exten": "s", "state": "0"})
    call.say("dial.started", "", "A", data={"dial_string": "201"})
    call.ring("A")
    call.wait(2)
    call.answer("A")
    call.say("leg.updated", "A", data={"originate": "Success"}, callee_raw="0470123401", callee_e164=CUSTOMER)
    call.dial("A", "C", outside=CUSTOMER)
    call.ring("C")
    call.wait(5)
    call.answer("C", "A")
    call.bridge("b1", "C", "A")
    call.wait(20)
    call.hang_up("A", "C", "b1")
    known = only(fold(call.events))
    assert (known.direction, known.outcome, known.agent, known.hangup_by) == ("outbound", "answered", "201", "agent")
    assert (known.customer_number, known.dialled_number) == (CUSTOMER, "0470123401")
    assert known.talk_s == pytest.approx(20, abs=0.02)
    assert known.wait_s == pytest.approx(7, abs=0.05)


def test_members_behind_local_channels() -> None:
    """A member behind a Local channel is one offer, and the talk goes through it."""
    call = waiting(1)
    call.leg("L1", "Local/201@agents-00000001;1", "C")
    call.legs["L1"]["channel"] = "Local/201@agents-00000001;1"
    call.say("leg.created", "L1")
    call.leg("L2", "Local", "C")
    call.legs["L2"]["channel"] = "Local/201@agents-00000001;2"
    call.say("leg.created", "L2")
    call.member("agent.offered", "C", "L1", queue="support", agent="201")
    call.say("dial.started", "C", "L1")
    call.dial("L2", "A", agent="201")
    call.ring("A")
    call.wait(3)
    call.answer("A", "L2")
    call.bridge("b2", "A", "L2")
    call.leave("C", "support")
    call.member("agent.connected", "C", "L1", queue="support", agent="201")
    call.bridge("b1", "L1", "C")
    call.wait(20)
    call.asks_to_hang_up("A")
    call.member("agent.completed", "C", "A", queue="support", agent="201", by="agent")
    call.part("b2", "A", "L2")
    call.part("b1", "L1", "C")
    for name in ("A", "L2", "L1", "C"):
        call.end(name)
    known = only(fold(call.events))
    assert [(part.agent, part.leg_id, part.result, part.by) for part in known.segments] == [
        ("201", call.legs["A"]["leg_id"], "answered", "agent")
    ]
    assert (known.outcome, known.agent, known.hangup_by) == ("answered", "201", "agent")
    assert known.talk_s == pytest.approx(20, abs=0.02)
    assert known.segments[0].ring_s == pytest.approx(3, abs=0.02)


def test_completion_without_ids() -> None:
    """AgentComplete may come with no channel at all: queue and member tell whose talk it was."""
    call = waiting(1)
    call.offer("C", "A", queue="support", agent="201")
    call.take("C", "A", queue="support", agent="201")
    call.wait(5)
    call.say("agent.completed", queue="support", agent="201", by="caller")
    call.part("b1", "C", "A")
    call.end("A")
    call.end("C")
    known = only(fold(call.events))
    assert (known.segments[0].by, known.hangup_by) == ("caller", "caller")


def test_forwarded_outside() -> None:
    """A call that a telephone sends on to a mobile is one call; the mobile is an outside party, not the customer."""
    call = ringing_one()
    call.dial("C", "M", outside="+32499000000")
    call.ring("M")
    call.answer("M", "C")
    call.unanswered("C", "A", "CANCEL", 0)
    call.bridge("b1", "M", "C")
    call.wait(10)
    call.hang_up("C", "M", "b1")
    known = only(fold(call.events))
    assert (known.customer_number, known.reached_number) == (CUSTOMER, "+32499000000")
    assert [(part.kind, part.result) for part in known.segments] == [("agent", "cancelled"), ("external", "answered")]
    assert (known.outcome, known.agent) == ("answered", "")
