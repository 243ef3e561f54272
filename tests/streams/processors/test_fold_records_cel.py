"""What CEL does not say outright is concluded: who was dialled, which queue put a caller through, who sent a call on."""

from tests.streams.processors.folding.openings import queue_talk
from tests.streams.processors.folding.script import Script, fold, only
from tests.streams.processors.folding.told import cel, told


def test_who_is_dialled_for_a_transferred_caller_was_rung() -> None:
    """No application is logged for the Dial that a transfer leads to, and nobody may answer it."""
    call = queue_talk()
    data = {"kind": "blind", "extension": "202", "by_leg": call.legs["A"]["leg_id"], "bridge": "b1"}
    call.say("transfer.completed", "C", "A", agent="201", data=data)
    call.part("b1", "A", "C")
    call.end("A")
    call.dial("C", "B", agent="202")
    call.wait(5)
    call.end("B", 0)
    call.end("C")
    known = only(fold(cel(call.events)))
    assert [(part.agent, part.result) for part in known.segments] == [("201", "answered"), ("202", "no_answer")]


def test_second_queue_is_known_by_whom_it_put_through() -> None:
    """Of two queues in a row Asterisk may log the first one's beginning and the second one's end only."""
    call = Script()
    call.arrive()
    call.up("C")
    call.say("queue.entered", "C", queue="first", data={"app": "Queue"})
    call.wait(3)
    call.dial("C", "A", agent="201")
    call.wait(1)
    call.up("A")
    call.bridge("b1", "A", "C")
    call.say("leg.updated", "C", data={"app": "Queue", "queue": "second"})
    call.wait(5)
    call.hang_up("A", "C", "b1")
    rows = [told(event, "cel", dict(event.data)) for event in call.events if "hangup" not in event.data]
    known = only(fold(rows))
    assert [(visit.queue, visit.reason) for visit in known.queue_visits] == [
        ("first", "unknown"),
        ("second", "connected"),
    ]
    assert (known.queue, known.agent) == ("second", "201")


def test_telephone_that_sent_the_call_on_did_not_fail_to_answer() -> None:
    """CEL's FORWARD is told of the caller; whoever was rung then and went with it has forwarded."""
    call = Script()
    call.arrive()
    call.say("leg.updated", "C", data={"app": "Dial", "appdata": "PJSIP/201,5"})
    call.leg("A", "PJSIP/201", "C", agent="201", caller_raw="201")
    call.say("leg.created", "A", data={"context": "internal", "exten": "s", "state": "0"})
    call.wait(1)
    call.say("forward", "C", data={"forward": "202"})
    call.end("A", 0)
    call.say("leg.updated", "C", data={"app": "Dial", "appdata": "PJSIP/202,5"})
    call.leg("B", "PJSIP/202", "C", agent="202", caller_raw="202")
    call.say("leg.created", "B", data={"context": "internal", "exten": "s", "state": "0"})
    call.wait(1)
    call.up("B")
    call.bridge("b1", "B", "C")
    call.wait(5)
    call.hang_up("B", "C", "b1")
    rows = [told(event, "cel", dict(event.data)) for event in call.events if "hangup" not in event.data]
    known = only(fold(rows))
    assert [(part.agent, part.result) for part in known.segments] == [("201", "cancelled"), ("202", "answered")]
    assert [(one.kind, one.to) for one in known.diversions] == [("forward", "202")]
