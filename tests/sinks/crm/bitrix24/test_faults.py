"""Every fault on every write to Bitrix24: one call, one activity, with everything that was told; then none."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from schemas.events import Recording
from tests.contracts.crm_laws import Bench
from tests.sinks.crm.bitrix24.far import Far
from tests.sinks.crm.calls import absorbed, call, recorded

REFUSALS = {
    "429": httpx.Response(429),
    "500": httpx.Response(500, content=b"<html>"),
    "502": httpx.Response(502),
    "503": httpx.Response(503),
    "too many requests": httpx.Response(503, json={"error": "QUERY_LIMIT_EXCEEDED"}),
    "internal error": httpx.Response(500, json={"error": "INTERNAL_SERVER_ERROR"}),
}
"""Answers without an effect."""
WRITES = {
    "create": b"externalCall.register",
    "patch": b'"text": "crm.activity.update',
    "attach": b'"record": "telephony',
    "delete": b"crm.activity.delete",
}
"""What the request holds that is met."""
URL = "https://pbx.test/1.mp3"


class Faulty(httpx.AsyncBaseTransport):
    """The portal behind one fault, which meets the first request that holds this."""

    def __init__(self, far: Far, fault: str, holds: bytes) -> None:
        self._far, self._fault, self._holds = far, fault, holds.replace(b" ", b"")
        self._late: list[httpx.Request] = []
        self._portal = far.b24.transport
        self.spent = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        renews = request.url.path.startswith("/oauth")
        if renews and self._fault == "token expired, refresh answer lost" and self._far.b24.renewals == 0:
            await self._portal.handle_async_request(request)
            raise httpx.ReadTimeout("lost", request=request)
        if b"register" in request.content or b"update" in request.content or b"delete" in request.content:
            while self._late:
                await self._portal.handle_async_request(self._late.pop())
        if self.spent or self._holds not in request.content.replace(b" ", b""):
            return await self._portal.handle_async_request(request)
        self.spent = True
        return await self._met(request)

    async def _met(self, request: httpx.Request) -> httpx.Response:
        if refusal := REFUSALS.get(self._fault):
            return httpx.Response(refusal.status_code, content=refusal.content)
        if self._fault.startswith("token expired"):
            self._far.b24.expires = 0.0
            return await self._portal.handle_async_request(request)
        if self._fault == "no connection":
            raise httpx.ConnectError("refused", request=request)
        if self._fault == "cut":
            raise httpx.WriteError("cut", request=request)
        if self._fault == "done late":  # it stalls, and is done just before the next attempt
            self._late.append(request)
            raise httpx.ReadTimeout("stalled", request=request)
        await self._portal.handle_async_request(request)
        if self._fault == "done, 504":
            return httpx.Response(504)
        if self._fault == "done, answer cut":
            return httpx.Response(200, content=b'{"result": {"result": {"fin')
        raise httpx.ReadError("lost", request=request)


FAULTS = [
    *REFUSALS,
    "no connection",
    "cut",
    "done late",
    "done, 504",
    "done, answer cut",
    "done, answer lost",
    "token expired",
    "token expired, refresh answer lost",
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_effect_in_every_cell(tmp_path: Path, fault: str, write: str) -> None:
    """A call is written, gets its recording, and turns out to be part of another one."""
    far = Far(tmp_path)
    far.b24.single_use = False
    faulty = Faulty(far, fault, WRITES[write])
    far.transport = faulty
    bench = Bench(far)
    later = replace(recorded(call()), recordings=(Recording(file=URL),), queue="sales")
    bench.write(call(), later)
    ((call_id, fields),) = far.entries()
    assert (call_id, fields["contact_id"], fields["queue"], fields["recording"]) == ("main:1", "C1", "sales", URL)
    (row,) = far.b24.statistics
    assert row["CALL_RECORD_URL"] == URL
    assert len(far.b24.calls) == 1
    bench.write(absorbed(later))
    assert (far.entries(), len(far.b24.statistics)) == ([], 1)
    assert bench.states() == {"main:1": "CONFIRMED"}
    assert faulty.spent
