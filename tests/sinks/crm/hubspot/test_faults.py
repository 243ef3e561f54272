"""Every fault on every write to HubSpot: one entry, in the right history, with everything that was told; then none."""

import httpx
import pytest

from tests.contracts.crm_laws import Bench
from tests.fakes.hubspot_answers import error
from tests.sinks.crm.calls import absorbed, call, recorded
from tests.sinks.crm.hubspot.account import Far

REFUSALS = {
    "429": httpx.Response(429, headers={"retry-after": "3"}),
    "423": error(423, "LOCKED"),
    "477": httpx.Response(477, headers={"retry-after": "30"}),
    "500": httpx.Response(500, content=b"<html>"),
    "502": httpx.Response(502),
    "503": httpx.Response(503),
}
"""Answers without an effect."""
WRITES = ("create", "link", "patch", "delete")


class Faulty(httpx.AsyncBaseTransport):
    """The account behind one fault, which meets the write of this number; reads get through."""

    def __init__(self, account: httpx.AsyncBaseTransport, fault: str, number: int) -> None:
        self._account, self._fault, self._left = account, fault, number
        self._late: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" or request.url.path.endswith("/search"):
            return await self._account.handle_async_request(request)
        while self._late:
            await self._account.handle_async_request(self._late.pop())
        self._left -= 1
        if self._left == -1:
            return await self._met(request)
        return await self._account.handle_async_request(request)

    async def _met(self, request: httpx.Request) -> httpx.Response:
        if refusal := REFUSALS.get(self._fault):
            return httpx.Response(refusal.status_code, headers=refusal.headers, content=refusal.content)
        if self._fault == "no connection":
            raise httpx.ConnectError("refused", request=request)
        if self._fault == "cut":
            raise httpx.WriteError("cut", request=request)
        if self._fault == "done late":  # it stalls, and is done just before the next attempt
            self._late.append(request)
            raise httpx.ReadTimeout("stalled", request=request)
        await self._account.handle_async_request(request)
        if self._fault == "done, 504":
            return httpx.Response(504)
        if self._fault == "done, answer cut":
            return httpx.Response(200, content=b'{"results": [{"id"')
        raise httpx.ReadError("lost", request=request)

    @property
    def spent(self) -> bool:
        return self._left < 0


@pytest.mark.parametrize("number", range(len(WRITES)), ids=WRITES)
@pytest.mark.parametrize(
    "fault",
    [*REFUSALS, "no connection", "cut", "done late", "done, 504", "done, answer cut", "done, answer lost"],
)
def test_every_fault_on_every_write_has_one_effect(far: Far, fault: str, number: int) -> None:
    """A call of nobody known, which then has a contact and a recording, and then is part of another call."""
    faulty = Faulty(far.hubspot.transport, fault, number)
    far.transport = faulty
    bench = Bench(far)
    bench.write(call(match="hidden", contact_id="", crm=""))
    bench.write(recorded(call()))
    ((call_id, fields),) = far.entries()
    assert (call_id, fields["contact_id"], fields["recording"]) == ("main:1", "C1", "1.wav")
    assert (fields["customer_number"], fields["result"]) == ("+33123456789", "answered")
    assert len(far.hubspot.tables["calls"]) == len(far.hubspot.links) == 1
    bench.write(absorbed(recorded(call())))
    assert far.entries() == []
    assert faulty.spent
    assert bench.states() == {"main:1": "CONFIRMED"}
