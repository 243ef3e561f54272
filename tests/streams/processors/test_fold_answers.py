"""Known answers: what the record of a call says of the everyday ways that a call can go."""

import pytest

from tests.streams.processors.folding.openings import outbound, parts, ringing_one, talking, waiting
from tests.streams.processors.folding.script import CUSTOMER, DID, Script, at, fold, only


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


def test_caller_gives_up_and_the_leg_says_no_answer() -> None:
    """Since Asterisk 22 both legs may end with cause 19 (SIP 487 and 480): that the caller asked for it tells."""
    call = ringing_one()
    call.asks_to_hang_up("C")
    call.unanswered("C", "A", "CANCEL", 19)
    call.end("C", 19)
    known = only(fold(call.events))
    assert (known.outcome, known.hangup_by) == ("abandoned_ringing", "caller")
    assert parts(known) == [("201", "cancelled")]


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
