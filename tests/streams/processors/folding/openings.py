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
