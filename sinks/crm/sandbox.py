"""Sandbox CRM: calls as activities over its JSON API. No server-side deduplication, so the ledger does it all.

An entry is found again by our call id, which the sandbox keeps and searches but does not hold unique.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sinks.crm.connector import Connector, Entry, Portal
from sinks.crm.journal import FIELDS
from streams.clients.crm import Unknown, e164
from streams.clients.sandbox import Config, SandboxClient, connect
from streams.runtime.clock import Clock


class SandboxPortal:
    """Activities of one sandbox. Our field names are its own, but for the duration, which is a number there."""

    def __init__(self, client: SandboxClient, country: str) -> None:
        self._client, self._country = client, country

    async def find_by_phone(self, number: str) -> Sequence[str]:
        """The sandbox compares the last digits only, so each hit is looked at."""
        found = await self._client.get("/api/contacts", phone=number)
        return [c["id"] for c in found["items"] if number in {e164(raw, self._country) for raw in c["numbers"]}]

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        made = await self._client.post("/api/activities", {"call_id": call_id, **_theirs(fields)})
        if not isinstance(made, Mapping) or "id" not in made:
            raise Unknown("the CRM answered without the entry's id")
        return str(made["id"])

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        await self._client.patch(f"/api/activities/{external_id}", _theirs(fields))

    async def drop_call(self, external_id: str) -> None:
        await self._client.delete(f"/api/activities/{external_id}")

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        found = await self._client.get("/api/activities", call_id=call_id)
        return [Entry(external_id=str(a["id"]), fields=_ours(a)) for a in found["items"]]


def _theirs(fields: Mapping[str, str]) -> dict[str, Any]:
    theirs: dict[str, Any] = dict(fields)
    if "duration" in theirs:
        theirs["duration"] = int(theirs["duration"]) if theirs["duration"] else None
    return theirs


def _ours(activity: Mapping[str, Any]) -> dict[str, str]:
    return {f: "" if activity[f] is None else str(activity[f]) for f in FIELDS}


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the journal's share of the rate limit."""
    async with connect(config, clock, rate=config.rate_per_s) as client:
        yield SandboxPortal(client, config.country)


connector = Connector(config=Config, open=open_portal)
