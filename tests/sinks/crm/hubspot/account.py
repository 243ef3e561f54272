"""A HubSpot account in memory, as the laws of every CRM want it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from sinks.crm.connector import Portal
from sinks.crm.hubspot import HubSpotPortal, _ours, prepare
from streams.clients.hubspot import Config, HubSpotClient, connect
from streams.runtime.clock import ManualClock
from tests.contracts.crm_laws import TOKEN, Road
from tests.fakes.hubspot import HubSpot
from tests.fakes.hubspot_answers import error, part_failed

T = TypeVar("T")
CONFIG = Config(url="http://hubspot.test", token=SecretStr(TOKEN), country="FR")
FIELDS = {"subject": "Inbound call", "started_at": "2023-11-14T22:13:20Z", "notes": "Ada: rang & said <b>\nbye"}
CREATE = "POST /crm/v3/objects/calls/batch/create"


class Far:
    """HubSpot as the laws want a CRM."""

    told: Mapping[str, httpx.Response] = {
        "throttled": httpx.Response(429, headers={"retry-after": "2"}, json={"category": "RATE_LIMITS"}),
        "down": httpx.Response(503),
        "busy": part_failed("main:1", "RATE_LIMITS"),
        "denied": error(401, "INVALID_AUTHENTICATION"),
        "invalid": error(400, "VALIDATION_ERROR"),
    }

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.hubspot = HubSpot(TOKEN, self.clock)
        self.transport = self.hubspot.transport
        self.hubspot.contact("Zoë", contact_id="C1", phone="01 23 45 67 89", mobilephone="06 12 34 56 78")
        self.hubspot.contact("Bea", contact_id="C2", phone="+32 23 45 67 89")  # ends like C1's number
        self.ask(prepare)
        self.hubspot.asked.clear()

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        async with connect(CONFIG, self.clock, rate=CONFIG.rate_per_s, transport=transport) as client:
            yield HubSpotPortal(client, CONFIG)

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        linked = self.hubspot.links
        return [
            (
                record["properties"]["pbx_call_id"],
                _ours(
                    record
                    | {"associations": {"contacts": {"results": [{"id": c} for r, c in linked if r == record["id"]]}}}
                ),
            )
            for record in self.hubspot.tables["calls"].values()
            if not record["archived"]
        ]

    def ask(self, verb: Callable[[HubSpotClient], Awaitable[T]], meets: Sequence[httpx.Response | str] = ()) -> T:
        """What is done with a new session; `meets` is what its first requests meet."""

        async def one() -> T:
            async with connect(CONFIG, self.clock, rate=CONFIG.rate_per_s, transport=Road(self, meets)) as client:
                return await verb(client)

        return asyncio.run(one())

    def with_portal(
        self, verb: Callable[[HubSpotPortal], Awaitable[T]], meets: Sequence[httpx.Response | str] = ()
    ) -> T:
        """What a verb of a new session returns."""
        return self.ask(lambda client: verb(HubSpotPortal(client, CONFIG)), meets)


def record(far: Far) -> dict[str, Any]:
    """The only call in the account."""
    (found,) = far.hubspot.tables["calls"].values()
    return found
