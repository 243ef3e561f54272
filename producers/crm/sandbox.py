"""Sandbox CRM: contacts by keyset pages, changes by token. Its times have whole seconds; its clock comes with the mark."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from producers.crm.feed import run
from producers.crm.source import Changes, Contacts, ContactSource, Found, Mark, Page
from streams.clients.sandbox import Config, SandboxClient, connect
from streams.runtime.clock import Clock

__all__ = ["run", "source"]
_PAGE = "500"


class SandboxContacts:
    """Contacts of one sandbox."""

    def __init__(self, client: SandboxClient) -> None:
        self._client = client

    async def mark(self) -> Mark:
        told = await self._client.get("/api/changes/mark")
        return Mark(token=told["token"], at=_micros(told["time"]))

    async def page(self, cursor: str, since: int | None) -> Page:
        query = {"limit": _PAGE, "cursor": cursor or "0"}
        if since is not None:
            moment = datetime.fromtimestamp(max(0, since) // 1_000_000, UTC)
            query["updated_since"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        told = await self._client.get("/api/contacts", **query)
        return Page(found=tuple(_found(c) for c in told["items"]), cursor=told["next"] or "")

    async def changes(self, token: str) -> Changes:
        told = await self._client.get("/api/changes", token=token, limit=_PAGE)
        return Changes(
            updated=tuple(_found(c) for c in told["updated"]),
            gone=tuple(c["id"] for c in told["gone"]),
            token=told["token"],
            more=told["more"],
        )

    async def get(self, contact_id: str) -> Found:
        return _found(await self._client.get(f"/api/contacts/{contact_id}"))


def _found(c: Mapping[str, Any]) -> Found:
    return Found(
        contact_id=c["id"],
        kind=c["kind"],
        name=c["name"],
        company_id=c["company_id"],
        numbers=tuple(c["numbers"]),
        owner=c["owner"],
        priority=c["priority"],
        segment=c["segment"],
        updated_at=_micros(c["updated_at"]),
    )


def _micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


@asynccontextmanager
async def open_contacts(config: Config, clock: Clock) -> AsyncIterator[Contacts]:
    """A session with the contact feed's share of the rate limit."""
    async with connect(config, clock, rate=config.feed_rate_per_s) as client:
        yield SandboxContacts(client)


source = ContactSource(config=Config, open=open_contacts)
