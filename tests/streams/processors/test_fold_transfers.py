"""Calls that change hands stay one call: blind, attended over two linkedids, `*2`, park, pickup, conference."""

import pytest

from tests.streams.processors.folding.openings import attended, queue_talk
from tests.streams.processors.folding.script import CUSTOMER, Script, finals, fold, only


def test_blind_transfer() -> None:
    """For a moment the customer is alone in the call: it goes on, and both agents are in it in their order."""
    call = queue_talk()
    call.say("hold.ended", "A")
    data = {"kind": "blind", "extension": "202", "by_leg": call.legs["A"]["leg_id"], "bridge": "b1"}
    call.say("transfer.completed", "C", "A", agent="201", data=data)
    call.member("agent.completed", "C", "A", queue="support", agent="201", by="transfer")
    call.part("b1", "A", "C")
    call.end("A")
    call.wait(3)
    call.dial("C", "B", agent="202")
    call.ring("B")
    call.wait(4)
    call.answer("B", "C")
    call.bridge("b2", "B", "C")
    call.wait(30)
    call.hang_up("C", "B", "b2")
    known = only(fold(call.events))
    assert [(part.agent, part.kind, part.result) for part in known.segments] == [
        ("201", "agent", "answered"),
        ("202", "agent", "answered"),
    ]
    assert [(move.kind, move.by, move.to, move.result) for move in known.transfers] == [
        ("blind", "201", "202", "completed")
    ]
    assert [part.talk_s for part in known.segments] == pytest.approx([20, 30], abs=0.05)
    assert known.talk_s == pytest.approx(50, abs=0.05)
    assert (known.agent, known.reached_number, known.hangup_by) == ("202", "201", "caller")
    assert known.hold_s == 0


def test_attended_transfer_over_two_linkedids() -> None:
    """The consultation had a record of its own; it says where it went, and the older call keeps its id."""
    call = attended()
    said = fold(call.events)
    (first, second) = (call.legs["C"]["leg_id"], call.legs["A2"]["leg_id"])
    last = finals(said)
    assert set(last) == {first, second}
    assert (last[second].state, last[second].merged_into) == ("merged", first)
    known = last[first]
    assert (known.state, known.outcome, known.agent, known.hangup_by) == ("final", "answered", "203", "agent")
    assert known.native_ids == (first, second)
    assert [(part.agent, part.kind) for part in known.segments] == [
        ("201", "agent"),
        ("203", "consult"),
        ("203", "agent"),
    ]
    assert [(move.kind, move.by, move.to) for move in known.transfers] == [("attended", "201", "203")]
    assert (known.talk_s, known.hold_s) == pytest.approx((50, 10), abs=0.1)
    assert known.segments[1].talk_s == pytest.approx(8, abs=0.05)


@pytest.mark.parametrize("call_id", ["C", "A2"])
def test_revisions_have_no_hole_over_a_merge(call_id: str) -> None:
    """Both the absorbed and the surviving call count their revisions from one on."""
    call = attended()
    revs = [one.rev for one in fold(call.events) if one.call_id == call.legs[call_id]["leg_id"]]
    assert revs == list(range(1, len(revs) + 1))
    assert len(revs) > 2


def test_ids_are_compared_as_numbers() -> None:
    """`…0.10` is younger than `…0.9`: the older one keeps its id, with or without the PBX's own name before it."""
    call = Script(sequence=9)
    call.arrive("C")
    call.arrive("D", number="+32470123402")
    call.bridge("b1", "C", "D")
    call.hang_up("C", "D", "b1")
    last = finals(fold(call.events))
    survivors = [one for one in last.values() if one.state == "final"]
    assert [one.call_id.rpartition(".")[2] for one in survivors] == ["9"]


def test_pickup() -> None:
    """Another telephone takes the ringing call: the one that rang did not answer, the one that took it did."""
    call = Script()
    call.arrive()
    call.dial("C", "A", agent="201")
    call.ring("A")
    call.wait(5)
    call.lift("P", "205", dials="*8")
    call.say("pickup", "P", "A")
    call.legs["P"]["call_id"] = call.legs["C"]["call_id"]
    call.unanswered("C", "A", "ANSWER", 26)
    call.bridge("b1", "P", "C")
    call.wait(10)
    call.hang_up("C", "P", "b1")
    last = finals(fold(call.events))
    known = last[call.legs["C"]["call_id"]]
    assert [(part.agent, part.result) for part in known.segments] == [("201", "cancelled"), ("205", "answered")]
    assert (known.outcome, known.agent, known.customer_number) == ("answered", "205", CUSTOMER)


def test_park_and_retrieve() -> None:
    """Parked is neither talk nor hold; who takes the call back is in it. A REFER to the lot is no transfer."""
    call = queue_talk()
    data = {"kind": "blind", "extension": "700", "by_leg": call.legs["A"]["leg_id"]}
    call.say("transfer.completed", "C", "A", agent="201", data=data)
    call.part("b1", "A", "C")
    call.bridge("lot", "C", kind="parking", technology="holding_bridge")
    call.say("park.started", "C")
    call.end("A")
    call.wait(60)
    call.lift("R", "204", dials="701")
    call.say("park.ended", "C", "R", data={"reason": "retrieved"})
    call.part("lot", "C")
    call.bridge("b2", "C", "R")
    call.wait(15)
    call.hang_up("R", "C", "b2")
    known = finals(fold(call.events))[call.legs["C"]["call_id"]]
    assert (known.talk_s, known.hold_s) == pytest.approx((35, 0), abs=0.1)
    assert [part.agent for part in known.segments] == ["201", "204"]
    assert known.transfers == ()


def test_two_parked_calls_are_two_calls() -> None:
    """Everybody who is parked is in one holding bridge, and nobody there talks with anybody."""
    call = Script()
    for name, number in (("C", CUSTOMER), ("D", "+32470123402")):
        call.arrive(name, number=number)
        call.bridge("lot", name, kind="parking", technology="holding_bridge")
    call.wait(5)
    call.end("C")
    call.end("D")
    assert [one.state for one in finals(fold(call.events)).values()] == ["final", "final"]


def test_conference_is_one_call() -> None:
    """Three linkedids that meet in one bridge only."""
    call = Script()
    call.arrive()
    call.lift("A", "201", dials="800")
    call.lift("B", "202", dials="800")
    call.bridge("room", "C", "A", "B", kind="base", technology="softmix")
    call.wait(30)
    for name in ("C", "A", "B"):
        call.part("room", name)
        call.end(name)
    last = finals(fold(call.events))
    known = last[call.legs["C"]["call_id"]]
    assert [one.state for one in last.values() if one is not known] == ["merged"] * (len(last) - 1)
    assert sorted(part.agent for part in known.segments) == ["201", "202"]
    assert known.talk_s == pytest.approx(30, abs=0.05)


def test_masquerade() -> None:
    """Old Asterisk renames a Local channel to the telephone behind it: from then on somebody is there."""
    call = Script()
    call.leg("L", "Local", "")
    call.legs["L"]["channel"] = "Local/259@default-00000000;1"
    call.say("leg.created", "L", data={"context": "default", "exten": "259", "state": "0"})
    call.say("leg.updated", "L", data={"new_channel": "SIP/259-00000000"})
    call.legs["L"] |= {"channel": "SIP/259-00000000", "agent": "259", "caller_raw": "259"}
    call.dial("L", "C", outside=CUSTOMER)
    call.ring("C")
    call.answer("C", "L")
    call.bridge("b1", "L", "C")
    call.wait(10)
    call.hang_up("C", "L", "b1")
    known = only(fold(call.events))
    assert (known.direction, known.outcome, known.agent) == ("outbound", "answered", "259")


def test_a_listening_supervisor_is_another_call() -> None:
    """ChanSpy names the leg it listens to; that does not make the supervisor a party."""
    call = queue_talk()
    call.lift("S", "299", dials="555")
    call.say("leg.updated", "S", "C", data={"spy": "1"})
    call.wait(5)
    call.end("S")
    call.hang_up("C", "A", "b1")
    last = finals(fold(call.events))
    assert len(last) == 2
    assert all(one.state == "final" for one in last.values())


def test_customer_who_is_put_through_outside_stays_who_he_is() -> None:
    """The dialplan gives his line the house's number to show outside, and the line's other side is somebody else."""
    call = queue_talk()
    data = {"kind": "blind", "extension": "90470123499", "by_leg": call.legs["A"]["leg_id"], "bridge": "b1"}
    call.say("transfer.completed", "C", "A", agent="201", data=data)
    call.part("b1", "A", "C")
    call.end("A")
    call.say("leg.updated", "C", caller_raw="025550100", caller_e164="+3225550100", customer_number="+32470123499")
    call.dial("C", "B", outside="+32470123499")
    call.ring("B")
    call.answer("B", "C")
    call.bridge("b2", "B", "C")
    call.wait(5)
    call.hang_up("B", "C", "b2")
    known = only(fold(call.events))
    assert (known.customer_number, known.caller_number) == (CUSTOMER, CUSTOMER)
    assert [(part.kind, part.number) for part in known.segments] == [("agent", "201"), ("external", "+32470123499")]
    assert known.hangup_by == "callee"


def test_call_forwarded_to_a_number_outside_reached_nobody_of_the_house() -> None:
    """Only the dial string names the mobile telephone: the line that leads there shows the number that was dialled."""
    call = Script()
    call.arrive()
    call.leg("B", "PJSIP/trunk", "C", caller_raw="025550114", caller_e164="+3225550114", customer_number=CUSTOMER)
    call.say("leg.created", "B", data={"context": "from-trunk", "exten": "s", "state": "0"})
    call.say("dial.started", "C", "B", data={"dial_string": "0470123499@trunk", "outside": "+32470123499"})
    call.ring("B")
    call.wait(2)
    call.answer("B", "C")
    call.bridge("b1", "B", "C")
    call.wait(5)
    call.hang_up("B", "C", "b1")
    known = only(fold(call.events))
    assert [(part.kind, part.agent, part.number) for part in known.segments] == [("external", "", "+32470123499")]
    assert (known.reached_number, known.agent, known.hangup_by) == ("+32470123499", "", "callee")


def test_transfer_to_a_telephone_that_nobody_answers_is_no_lost_event() -> None:
    """The agent's talk ended with the transfer, and it is the PBX that ends the call: nothing is missing."""
    call = queue_talk()
    data = {"kind": "blind", "extension": "202", "by_leg": call.legs["A"]["leg_id"], "bridge": "b1"}
    call.say("transfer.completed", "C", "A", agent="201", data=data)
    call.member("agent.completed", "C", "A", queue="support", agent="201", by="transfer")
    call.part("b1", "A", "C")
    call.end("A")
    call.dial("C", "B", agent="202")
    call.ring("B")
    call.wait(5)
    call.unanswered("C", "B", "NOANSWER", 0)
    call.end("C")
    known = only(fold(call.events))
    assert known.quality == ()
    assert (known.outcome, known.hangup_by) == ("answered", "system")


def test_hold_that_goes_with_the_customer_into_the_next_bridge_is_one() -> None:
    """The music of the consultation stops half a millisecond after the customer was put through: that is no second hold."""
    call = queue_talk(2)
    call.say("hold.started", "A")
    call.say("leg.updated", "C", data={"moh": "1"})
    call.lift("A2", "201", dials="203")
    call.dial("A2", "B", agent="203")
    call.ring("B")
    call.answer("B", "A2")
    call.up("A2")
    call.bridge("b2", "B", "A2")
    call.wait(3)
    call.say("hold.ended", "A")
    call.part("b1", "C")
    call.part("b2", "A2")
    call.bridge("b2", "C")
    call.say("leg.updated", "C", data={"moh": "0"})
    call.part("b1", "A")
    legs = {key: call.legs[name]["leg_id"] for key, name in
            {"by_leg": "A", "second_by_leg": "A2", "transferee_leg": "C", "target_leg": "B"}.items()}  # fmt: skip
    call.say("transfer.completed", "C", "B", agent="201", data={"kind": "attended", "result": "Success", **legs})
    call.end("A")
    call.end("A2")
    call.wait(5)
    call.hang_up("B", "C", "b2")
    known = finals(fold(call.events))[call.legs["C"]["leg_id"]]
    assert len(known.holds) == 1
    assert known.hold_s == pytest.approx(3, abs=0.05)
