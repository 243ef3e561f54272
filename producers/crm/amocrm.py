"""amoCRM (Kommo): contacts and companies, all by id, changes by `updated_at`; what was deleted only a full scan finds.

A list has page numbers and nothing else to go on by, so each page is checked against the one before
(`streams.clients.amocrm_lists`). The portal tells `updated_at` in whole seconds, by its own clock; the change feed
reads its last seconds again each time, and the feed's sweep, which overlaps the one before, finds what came later still.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Any

from producers.crm.feed import run
from producers.crm.source import Changes, Contacts, ContactSource, Found, Mark, Page
from streams.clients.amocrm import PAGE, AmoClient, Config, connect
from streams.clients.amocrm_lists import Place, by_id, latest, numbers, step
from streams.clients.crm import Gone
from streams.runtime.clock import Clock

__all__ = ["run", "source"]
_OVERLAP_S = 10
_MICROS = 1_000_000


class AmoContacts:
    """Cards of one account, those that its user may see. A contact's id is its kind and number, as contacts/1."""

    def __init__(self, client: AmoClient, config: Config, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._cards: tuple[str, ...] = config.cards

    async def mark(self) -> Mark:
        """The last change is where the feed goes on. The portal tells nobody its time: ours stands for it."""
        at = {kind: Place(since=max(1, await latest(self._client, kind))) for kind in self._cards}
        return Mark(token=_token(at), at=self._clock.now())

    async def page(self, cursor: str, since: int | None) -> Page:
        """One list after the other; the cursor holds which, and where in it."""
        kind, *where = json.loads(cursor) if cursor else [0]
        path = self._cards[kind]
        if since is None:
            number, last = where or (1, 0)
            rows, number = await by_id(self._client, path, number, last)
            then = [number + 1, rows[-1]["id"]] if len(rows) == PAGE else []
        else:
            at = _place(where) if where else Place(since=max(1, since // _MICROS))
            rows, after, more = await step(self._client, path, at, {})
            then = list(astuple(after)) if more else []
        if not then:
            kind += 1
        ended = kind == len(self._cards)
        return Page(found=_found_of(rows, path), cursor="" if ended else json.dumps([kind, *then]))

    async def changes(self, token: str) -> Changes:
        """A page of each list. Cards that the portal shows as deleted are gone; it may as well not show them."""
        told, places, more = json.loads(token), {}, False
        updated: list[Found] = []
        gone: list[str] = []
        for path in self._cards:
            at = _place(told[path]) if path in told else Place(since=1)
            rows, after, unread = await step(self._client, path, at, {})
            places[path] = after if unread else Place(since=max(1, after.newest - _OVERLAP_S))
            more = more or unread
            updated += _found_of(rows, path)
            gone += [f"{path}/{row['id']}" for row in rows if row.get("is_deleted")]
        return Changes(updated=tuple(updated), gone=tuple(gone), token=_token(places), more=more)

    async def get(self, contact_id: str) -> Found:
        row = await self._client.get(contact_id)
        if not row or row.get("is_deleted"):
            raise Gone(contact_id)
        return _found(row, contact_id.partition("/")[0])


def _found_of(rows: list[dict[str, Any]], path: str) -> tuple[Found, ...]:
    return tuple(_found(row, path) for row in rows if not row.get("is_deleted"))


def _found(row: Mapping[str, Any], path: str) -> Found:
    companies = (row.get("_embedded") or {}).get("companies") or []
    return Found(
        contact_id=f"{path}/{row['id']}",
        kind="company" if path == "companies" else "person",
        name=row.get("name") or "",
        company_id=f"companies/{companies[0]['id']}" if companies else "",
        numbers=tuple(numbers(row)),
        owner=str(row.get("responsible_user_id") or ""),
        updated_at=int(row["updated_at"]) * _MICROS,
    )


def _place(parts: list[int]) -> Place:
    since, number, last, newest = parts
    return Place(since=since, number=number, last=last, newest=newest)


def _token(places: Mapping[str, Place]) -> str:
    return json.dumps({path: astuple(at) for path, at in places.items()})


@asynccontextmanager
async def open_contacts(config: Config, clock: Clock) -> AsyncIterator[Contacts]:
    """A session with the contact feed's share of the rate limit."""
    async with connect(config, clock, rate=config.feed_rate_per_s) as client:
        yield AmoContacts(client, config, clock)


source = ContactSource(config=Config, open=open_contacts)
