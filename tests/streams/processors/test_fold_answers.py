"""Known answers: what the record of a call says of the everyday ways that a call can go."""

import pytest

from schemas.events import Call
from tests.streams.processors.folding.script import CUSTOMER, DID, Script, at, fold, only


def parts(call: Call) -> list[tuple[str, str]]:
    """Who was offered the call, in order, and how it came out for them."""
    return [(part.agent or part.number, part.result) for part in call.segments]


def ringing_one(ring_s: float = 3) -> Script:
    """A customer calls a telephone of the house, and it rings."""
    call = Script()
    call.arrive()
    call.dial("C", "A", agent="201")
    call.ring("A")
    call.wait(ring_s)
    return call


def talking(talk_s: float = 60) -> Script:
    """As `ringing_one`; it is answered and they talk."""
    call = ringing_one()
    call.answer("A", "C")
    call.up("C")
    call.bridge("b1", "A", "C")
    call.wait(talk_s)
    return call


def waiting(wait_s: float = 10) -> Script:
    """A customer hears an announcement of two seconds and then waits in a queue."""
    call = Script()
    call.arrive()
    call.up("C")
    call.wait(2)
    call.queue("C", "support")
    call.wait(wait_s)
    return call


def test_inbound_answered() -> None:
    """An answered call knows its parties, its times and who hung up."""
    call = talking()
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.direction, known.outcome, known.did) == ("inbound", "answered", DID)
    assert (known.customer_number, known.caller_number, known.dialled_number) == (CUSTOMER, CUSTOMER, DID)
    assert (known.agent, known.reached_number) == ("201", "201")
    assert (known.ring_s, known.wait_s) == pytest.approx((3, 3), abs=0.02)
    assert (known.talk_s, known.hold_s) == pytest.approx((60, 0), abs=0.02)
    assert known.duration_s == pytest.approx(63, abs=0.05)
    assert (known.queue_wait_s, known.ivr_s) == (None, None)
    assert (known.hangup_by, known.hangup_cause) == ("caller", 16)
    assert parts(known) == [("201", "answered")]
    assert [(who.role, who.number, who.answered) for who in known.participants] == [
        ("customer", CUSTOMER, True),
        ("agent", "201", True),
    ]
    assert known.quality == ()


def test_revisions_follow_the_call() -> None:
    """A call is told when it rings, when somebody talks, when it is over, and when nothing more is expected."""
    call = talking()
    call.hang_up("A", "C", "b1")
    said = fold(call.events)
    assert [one.state for one in said] == ["ringing", "connected", "ended", "final"]
    assert [one.outcome for one in said] == ["", "", "answered", "answered"]
    assert [one.talk_s is None for one in said] == [True, True, False, False]
    assert [at(one.connected_at) for one in said] == [None, 3.0, 3.0, 3.0]
    assert said[-1].hangup_by == "agent"


def test_caller_gives_up_while_it_rings() -> None:
    """Cause 127 on both legs is a caller who gave up: nobody of the house missed anything by himself."""
    call = ringing_one()
    call.unanswered("C", "A", "CANCEL", 127)
    call.end("C", 127)
    known = only(fold(call.events))
    assert (known.outcome, known.hangup_by, known.agent) == ("abandoned_ringing", "caller", "")
    assert parts(known) == [("201", "cancelled")]
    assert (known.talk_s, known.connected_at) == (0, None)
    assert known.wait_s == known.duration_s


@pytest.mark.parametrize(
    ("status", "cause", "result", "outcome"),
    [
        ("NOANSWER", 0, "no_answer", "no_answer"),
        ("BUSY", 17, "busy", "busy"),
        ("NOANSWER", 21, "declined", "rejected"),
        ("CONGESTION", 34, "failed", "failed"),
        ("CHANUNAVAIL", 27, "failed", "failed"),
    ],
)
def test_nobody_answers(status: str, cause: int, result: str, outcome: str) -> None:
    """The leg's own cause says more than the Dial's status, and the PBX ends such a call."""
    call = ringing_one()
    call.unanswered("C", "A", status, cause)
    call.end("C", cause or 19)
    known = only(fold(call.events))
    assert (parts(known), known.outcome, known.hangup_by) == ([("201", result)], outcome, "system")


def test_abandoned_in_queue() -> None:
    """A caller who hangs up while waiting has abandoned; the first seconds were the announcement's."""
    call = waiting(10)
    call.asks_to_hang_up("C")
    call.leave("C", "support", "abandoned")
    call.end("C")
    said = fold(call.events)
    known = only(said)
    assert [one.state for one in said] == ["queued", "ended", "final"]
    assert (known.outcome, known.queue, known.hangup_by) == ("abandoned", "support", "caller")
    assert (known.ivr_s, known.queue_wait_s) == pytest.approx((2, 10), abs=0.02)
    assert [(visit.reason, visit.position) for visit in known.queue_visits] == [("abandoned", 1)]


@pytest.mark.parametrize(("waited", "outcome"), [(4.9, "short_abandon"), (5.1, "abandoned")])
def test_short_abandon(waited: float, outcome: str) -> None:
    """Who leaves a queue before the threshold is counted apart."""
    call = waiting(waited)
    call.asks_to_hang_up("C")
    call.leave("C", "support", "abandoned")
    call.end("C")
    assert only(fold(call.events, short_abandon_seconds=5)).outcome == outcome


def test_second_agent_answers() -> None:
    """The first member lets it ring out, the second takes it: two segments, one call."""
    call = waiting(1)
    call.offer("C", "A", queue="support", agent="201")
    call.wait(15)
    call.member("agent.ring_no_answer", "C", "A", queue="support", agent="201")
    call.unanswered("C", "A", "NOANSWER", 0)
    call.wait(2)
    call.offer("C", "B", queue="support", agent="202")
    call.wait(4)
    call.take("C", "B", queue="support", agent="202")
    call.wait(30)
    call.member("agent.completed", "C", "B", queue="support", agent="202", by="agent")
    call.hang_up("B", "C", "b1")
    known = only(fold(call.events))
    assert parts(known) == [("201", "no_answer"), ("202", "answered")]
    assert [part.ring_s for part in known.segments] == pytest.approx([15, 4], abs=0.02)
    assert [part.queue for part in known.segments] == ["support", "support"]
    assert (known.agent, known.outcome, known.hangup_by) == ("202", "answered", "agent")
    assert known.queue_wait_s == pytest.approx(22, abs=0.05)
    assert (at(known.queued_at), at(known.ringing_at), at(known.connected_at)) == (2.0, 3.0, 24.0)
    assert [(visit.reason, visit.agent) for visit in known.queue_visits] == [("connected", "202")]
    assert known.ring_s == pytest.approx(4, abs=0.02)


def test_queue_time_out_is_no_abandon() -> None:
    """The PBX says *abandon* of a time-out too; the caller stayed and was sent away."""
    call = waiting(45)
    call.leave("C", "support", "abandoned")
    call.wait(3)
    call.end("C")
    known = only(fold(call.events))
    assert (known.outcome, known.hangup_by) == ("queue_timeout", "system")
    assert known.queue_visits[0].reason == "timeout"


def test_voicemail_after_the_queue() -> None:
    """Who leaves a message has left one, whatever came before; the mailbox is no agent."""
    call = waiting(45)
    call.leave("C", "support", "abandoned")
    call.wait(10)
    call.asks_to_hang_up("C")
    call.say("voicemail.message", "C", data={"mailbox": "200@default", "new": "1"})
    call.end("C")
    known = only(fold(call.events))
    assert (known.outcome, known.agent, known.hangup_by) == ("voicemail", "", "caller")
    assert [(part.kind, part.number, part.result) for part in known.segments] == [
        ("voicemail", "200@default", "answered")
    ]
    assert [who.role for who in known.participants] == ["customer"]
    assert known.queue_visits[0].reason == "timeout"


def test_ring_group_has_no_missed_call() -> None:
    """Three telephones ring, one answers: the others are told that somebody else took it."""
    call = Script()
    call.arrive()
    for name, agent in (("A", "201"), ("B", "202"), ("D", "203")):
        call.dial("C", name, agent=agent)
        call.ring(name)
    call.wait(4)
    call.answer("B", "C")
    for name in ("A", "D"):
        call.unanswered("C", name, "CANCEL", 26)
    call.bridge("b1", "B", "C")
    call.wait(20)
    call.hang_up("C", "B", "b1")
    known = only(fold(call.events))
    assert parts(known) == [("201", "cancelled"), ("202", "answered"), ("203", "cancelled")]
    assert (known.outcome, known.agent) == ("answered", "202")


def outbound() -> Script:
    """An agent dials a customer, and it rings there. The leg to the carrier looks like an incoming one."""
    call = Script()
    call.lift("A", "201", dials=CUSTOMER)
    call.dial("A", "C", outside=CUSTOMER)
    call.ring("C")
    call.wait(6)
    return call


def test_outbound_answered() -> None:
    """Direction follows from the first channel only; the customer is the one who was called."""
    call = outbound()
    call.answer("C", "A")
    call.bridge("b1", "C", "A")
    call.wait(30)
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.direction, known.outcome, known.hangup_by) == ("outbound", "answered", "callee")
    assert (known.customer_number, known.customer_raw, known.did) == (CUSTOMER, CUSTOMER, "")
    assert (known.caller_number, known.agent, known.reached_number) == ("201", "201", CUSTOMER)
    assert known.ring_s == pytest.approx(6, abs=0.02)
    assert known.talk_s == pytest.approx(30, abs=0.02)
    assert [(part.kind, part.result) for part in known.segments] == [("external", "answered"), ("agent", "answered")]


@pytest.mark.parametrize(("status", "cause", "outcome"), [("BUSY", 17, "busy"), ("NOANSWER", 19, "no_answer")])
def test_outbound_unanswered(status: str, cause: int, outcome: str) -> None:
    """A customer who is busy or does not answer."""
    call = outbound()
    call.unanswered("A", "C", status, cause)
    call.end("A", cause)
    known = only(fold(call.events))
    assert (known.outcome, known.agent, known.hangup_by, known.hangup_cause) == (outcome, "", "system", cause)


def test_outbound_given_up() -> None:
    """An agent who hangs up while it rings was not answered: nobody abandoned us."""
    call = outbound()
    call.asks_to_hang_up("A")
    call.unanswered("A", "C", "CANCEL", 127)
    call.end("A", 127)
    known = only(fold(call.events))
    assert (known.outcome, known.hangup_by) == ("no_answer", "agent")


def test_internal() -> None:
    """Two telephones of the house: no customer, and both sides have their names."""
    call = Script()
    call.lift("A", "201", dials="202")
    call.dial("A", "B", agent="202")
    call.ring("B")
    call.wait(2)
    call.answer("B", "A")
    call.bridge("b1", "B", "A")
    call.wait(10)
    call.hang_up("A", "B", "b1")
    known = only(fold(call.events))
    assert (known.direction, known.match, known.customer_number) == ("internal", "internal", "")
    assert (known.caller_number, known.dialled_number, known.agent, known.hangup_by) == ("201", "202", "202", "caller")
    assert [(who.role, who.number) for who in known.participants] == [("caller", "201"), ("callee", "202")]


def test_hidden_number() -> None:
    """A caller who withholds the number is hidden, not unknown, and nobody else's number is taken for his."""
    call = Script()
    call.arrive(number="")
    call.dial("C", "A", agent="201")
    call.ring("A")
    call.answer("A", "C")
    call.bridge("b1", "A", "C")
    call.hang_up("C", "A", "b1")
    known = only(fold(call.events))
    assert (known.match, known.customer_number, known.caller_number) == ("hidden", "", "anonymous")


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
