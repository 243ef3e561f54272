"""A journal of amoCRM that dies at any request, before or after its effect: the next process makes no second note."""

import asyncio
import random

import httpx
import pytest

from schemas.events import Call
from sinks.crm.ledger import Ledger
from streams.clients.crm import PortalConfig
from streams.runtime.clock import ManualClock
from tests.sinks.crm.amocrm.far import Far
from tests.sinks.crm.calls import ENDED, call, recorded
from tests.sinks.crm.fakes import Crash, FakeLog, World

REQUESTS = 6
"""Note, look, note, note again, patch; one more than there are."""


class Dying(httpx.AsyncBaseTransport):
    """The way to amoCRM, on which the process dies at its request `at`, before (.0) or after (.5) its effect."""

    def __init__(self, far: Far, at: float) -> None:
        self.far, self.at, self.sent = far, at, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        number, self.sent = self.sent, self.sent + 1
        if self.at == number:
            raise Crash
        answer = await self.far.transport.handle_async_request(request)
        if self.at == number + 0.5:
            raise Crash
        return answer


def journal(far: Far, world: World, clock: ManualClock, way: httpx.AsyncBaseTransport, *calls: Call) -> None:
    """A process that writes these calls, one after the other."""

    async def write() -> None:
        async with far.open(way) as portal:
            ledger = Ledger(
                crm="crm",
                portal=portal,
                log=FakeLog(world, owned_since=clock.now()),
                config=PortalConfig(),
                clock=clock,
                rng=random.Random(1),
                lease=lambda: None,
            )
            for one in calls:
                await ledger.write(one)

    far.clock.advance(1)
    asyncio.run(write())


@pytest.mark.parametrize("at", [n / 2 for n in range(2 * REQUESTS)])
@pytest.mark.parametrize("moved", [False, True])
def test_the_next_process_finds_what_the_one_that_died_did(at: float, *, moved: bool) -> None:
    """One note, with the recording; also when a merge of contacts has moved it to another card meanwhile."""
    far, world, clock = Far(), World(), ManualClock(ENDED)
    rows = (call(), recorded(call()))
    dying = Dying(far, at)
    try:
        journal(far, world, clock, dying, *rows)
    except Crash:
        assert dying.sent == int(at) + 1
    else:
        assert dying.sent <= at
    if moved:
        for note in far.amo.tables.get("contacts/notes", {}).values():
            note["entity_id"] = 2
    clock.advance(10)
    journal(far, world, clock, far.transport, *rows)
    ((call_id, fields),) = far.entries()
    assert (call_id, fields["recording"]) == ("main:1", "1.wav")
    assert world.records[-1].state == "CONFIRMED"
