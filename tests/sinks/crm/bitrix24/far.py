"""Bitrix24 as the laws and the tests of its connector want it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from sinks.crm.bitrix24 import Bitrix24Portal
from sinks.crm.bitrix24_text import lines, of_activity
from sinks.crm.connector import Portal
from streams.clients.bitrix24 import Config, connect
from streams.runtime.clock import ManualClock
from tests.contracts.crm_laws import NUMBER, TOKEN
from tests.fakes.bitrix24 import COMPANY, CONTACT, Bitrix24
from tests.fakes.bitrix24_rest import CLIENT, SECRET, BitrixError
from tests.sinks.crm.calls import ENDED
from tests.sinks.crm.odoo.far import Lettered

T = TypeVar("T")
HOME, IDS = "CO_1", {"C1": "C_1", "C2": "C_2"}
FIELDS = {
    "subject": "Inbound call",
    "direction": "inbound",
    "started_at": "2023-11-14T22:13:20Z",
    "duration": "65",
    "customer_number": NUMBER,
    "notes": "Ada: costs $result[register][CALL_ID] <b>\n\nbye",
}


def failed(key: str, code: str) -> httpx.Response:
    """A part of a batch that failed: inside a 200."""
    error = {key: {"error": code, "error_description": f"{NUMBER} is bad"}}
    return httpx.Response(200, json={"result": {"result": [], "result_error": error, "result_time": []}})


class Passing(ManualClock):
    """The ledger of the laws has its own clock: on this one a second passes whenever somebody looks."""

    def monotonic(self) -> float:
        self.advance(1)
        return super().monotonic()


class Far:
    """Bitrix24 as the laws want a CRM."""

    told: Mapping[str, httpx.Response] = {
        "throttled": httpx.Response(503, json={"error": "QUERY_LIMIT_EXCEEDED", "error_description": "x"}),
        "down": httpx.Response(503),
        "busy": failed("register", "OPERATION_TIME_LIMIT"),
        "denied": httpx.Response(403, json={"error": "WRONG_AUTH_TYPE", "error_description": "x"}),
        "invalid": failed("register", "ERROR_CORE"),
    }

    def __init__(self, folder: Path) -> None:
        self.clock = Passing(ENDED)
        self.b24 = Bitrix24(TOKEN, lambda: self.clock.now() / 1_000_000)
        self.transport = self.b24.transport
        self.file = folder / "tokens.json"
        self.file.write_text(json.dumps({"refresh_token": "refresh-1", "access_token": TOKEN}), "utf-8")
        self.config = Config(
            url="https://b24.test",
            client_id=CLIENT,
            client_secret=SecretStr(SECRET),
            tokens=str(self.file),
            unknown_on=HOME,
            hidden_as="+3300",
            country="FR",
        )
        # Bitrix24 finds C2 and the company too: their numbers end like C1's.
        self.b24.create(CONTACT, "06 12 34 56 78", "01 23 45 67 89", name="Zoë")
        self.b24.create(CONTACT, "+32 23 45 67 89", name="Bea")
        self.b24.create(COMPANY, "+31 23 45 67 89", title="Trunkline")

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        async with connect(self.config, self.clock, rate=1000, burst=50, transport=transport) as client:
            yield Lettered(Bitrix24Portal(client, self.config, self.clock), IDS)

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        letters = {found: name for name, found in IDS.items()}
        return [
            (lines(a)["Call"], fields | {"contact_id": letters.get(fields["contact_id"], "")})
            for a in self.b24.activities.values()
            for fields in [of_activity(a, HOME)]
        ]


def with_portal(far: Far, verb: Callable[[Bitrix24Portal], Awaitable[T]], **keys: Any) -> T:
    """What a verb of a new session returns."""

    async def ask() -> T:
        config = replace(far.config, **keys)
        async with connect(config, far.clock, rate=1000, burst=50, transport=far.transport) as client:
            return await verb(Bitrix24Portal(client, config, far.clock))

    return asyncio.run(ask())


def activity(far: Far) -> dict[str, Any]:
    (found,) = far.b24.activities.values()
    return found


def fails_once(far: Far, method: str, code: str, status: int = 400) -> None:
    """The next call of a method fails, and does nothing."""
    whole = far.b24.methods[method]

    def fail(named: dict[str, Any]) -> Any:
        far.b24.methods[method] = whole
        raise BitrixError(code, status)

    far.b24.methods[method] = fail
