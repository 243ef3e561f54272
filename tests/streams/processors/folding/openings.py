"""How the calls of the known answers begin, and what is looked at in the end."""

from schemas.events import Call
from tests.streams.processors.folding.script import CUSTOMER, Script


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


def outbound() -> Script:
    """An agent dials a customer, and it rings there. The leg to the carrier looks like an incoming one."""
    call = Script()
    call.lift("A", "201", dials=CUSTOMER)
    call.dial("A", "C", outside=CUSTOMER)
    call.ring("C")
    call.wait(6)
    return call


def queue_talk(seconds: float = 20) -> Script:
    """An agent of a queue talks with a customer."""
    call = Script()
    call.arrive()
    call.up("C")
    call.queue("C", "support")
    call.wait(3)
    call.offer("C", "A", queue="support", agent="201")
    call.wait(3)
    call.take("C", "A", queue="support", agent="201")
    call.wait(seconds)
    return call


def attended() -> Script:
    """The agent holds the customer, asks a colleague on a second line, and joins the two: two linkedids become one."""
    call = queue_talk()
    call.say("hold.started", "A")
    call.say("leg.updated", "C", data={"moh": "1"})
    call.lift("A2", "201", dials="203")
    call.dial("A2", "B", agent="203")
    call.ring("B")
    call.wait(2)
    call.answer("B", "A2")
    call.up("A2")
    call.bridge("b2", "B", "A2")
    call.wait(8)
    call.say("hold.ended", "A")
    call.say("leg.updated", "C", data={"moh": "0"})
    call.part("b2", "B")
    call.legs["B"]["call_id"] = call.legs["C"]["call_id"]
    call.bridge("b1", "B")
    call.part("b1", "A")
    data = {
        "kind": "attended",
        "by_leg": call.legs["A"]["leg_id"],
        "second_by_leg": call.legs["A2"]["leg_id"],
        "transferee_leg": call.legs["C"]["leg_id"],
        "target_leg": call.legs["B"]["leg_id"],
    }
    call.say("transfer.completed", "C", "B", agent="201", data=data)
    call.part("b2", "A2")
    call.end("A")
    call.end("A2")
    call.wait(30)
    call.hang_up("B", "C", "b1")
    return call
