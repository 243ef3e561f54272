"""Odoo: contacts in keyset pages by id, changes by `write_date`, and by a look at which ids there are.

Odoo keeps no change log. `write_date` is when a transaction began, told in whole seconds, and shows when it commits:
of 2,501 contacts written around a long import, a cursor on it alone never saw 2,500. So the change feed reads its last
second again each time, what commits later than it began is found by the feed's sweep, which overlaps the one before,
and what was deleted or merged away is what an id is missing of. An archived contact is gone, and comes back.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from producers.crm.feed import run
from producers.crm.source import Changes, Contacts, ContactSource, Found, Mark, Page
from streams.clients.crm import Gone
from streams.clients.odoo import Config, OdooClient, connect
from streams.runtime.clock import Clock

__all__ = ["run", "source"]
_CONTACT = "res.partner"
_READ = ("name", "is_company", "parent_id", "user_id", "active", "write_date")
_PAGE = 500
_FORM = "%Y-%m-%d %H:%M:%S"
_NEVER = "1970-01-01 00:00:00"
_ANY = ["active", "in", [True, False]]
"""Without it Odoo leaves archived records out."""


class OdooContacts:
    """Contacts of one Odoo, those that its user may see.

    A token holds the second that changes are read from, the latest one seen, and the id that the next page begins
    behind: a bulk import gives thousands of contacts the same second, so pages go by id.
    """

    def __init__(self, client: OdooClient, config: Config, clock: Clock) -> None:
        self._client, self._config, self._clock = client, config, clock
        self._ids: frozenset[int] | None = None
        self._look_at = clock.monotonic()

    async def mark(self) -> Mark:
        """The last change is where the feed goes on. Odoo tells nobody its time: ours stands for it.

        It is used for sweeps only, and may be off by the overlap of two of them less the longest transaction.
        """
        last = await self._client.rows(_CONTACT, [_ANY], ["write_date"], order="write_date desc", limit=1)
        moment = last[0]["write_date"] if last else _NEVER
        return Mark(token=_token(moment, moment, 0), at=self._clock.now())

    async def page(self, cursor: str, since: int | None) -> Page:
        domain: list[Any] = [["id", ">", int(cursor or "0")]]
        if since is not None:
            domain.append(["write_date", ">=", _moment(since)])
        rows = await self._rows(domain)
        return Page(found=tuple(map(self._found, rows)), cursor=str(rows[-1]["id"]) if len(rows) == _PAGE else "")

    async def changes(self, token: str) -> Changes:
        since, latest, last_id = json.loads(token)
        rows = await self._rows([["id", ">", last_id], ["write_date", ">=", since], _ANY])
        latest = max([latest, *(row["write_date"] for row in rows)])
        gone = [row["id"] for row in rows if not row["active"]]
        if len(rows) == _PAGE:
            told = _token(since, latest, rows[-1]["id"])
        else:
            told, gone = _token(latest, latest, 0), [*gone, *await self._missing()]
        return Changes(
            updated=tuple(self._found(row) for row in rows if row["active"]),
            gone=tuple(str(record) for record in gone),
            token=told,
            more=len(rows) == _PAGE,
        )

    async def get(self, contact_id: str) -> Found:
        rows = await self._rows([["id", "=", int(contact_id)]])
        if not rows:
            raise Gone(contact_id)
        return self._found(rows[0])

    async def _missing(self) -> frozenset[int]:
        """Ids that were there at the look before; what went while no process looked is found by the full scan."""
        if self._clock.monotonic() < self._look_at:
            return frozenset()
        there = frozenset(row["id"] for row in await self._client.rows(_CONTACT, [], ["id"]))
        missing = (self._ids or frozenset()) - there
        self._ids, self._look_at = there, self._clock.monotonic() + self._config.ids_s
        return missing

    async def _rows(self, domain: list[Any]) -> list[dict[str, Any]]:
        fields = [*_READ, *self._config.phone_fields]
        return await self._client.rows(_CONTACT, domain, fields, order="id", limit=_PAGE)

    def _found(self, row: Mapping[str, Any]) -> Found:
        company, owner = row["parent_id"], row["user_id"]
        return Found(
            contact_id=str(row["id"]),
            kind="company" if row["is_company"] else "person",
            name=row["name"] or "",
            company_id=str(company[0]) if company else "",
            numbers=tuple(str(row[f]) for f in self._config.phone_fields if row[f]),
            owner=str(owner[0]) if owner else "",
            updated_at=_micros(row["write_date"]),
        )


def _token(since: str, latest: str, last_id: int) -> str:
    return json.dumps([since, latest, last_id])


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(max(0, micros) // 1_000_000, UTC).strftime(_FORM)


def _micros(text: str) -> int:
    return int(datetime.strptime(text, _FORM).replace(tzinfo=UTC).timestamp()) * 1_000_000


@asynccontextmanager
async def open_contacts(config: Config, clock: Clock) -> AsyncIterator[Contacts]:
    """A session with the contact feed's share of the rate limit."""
    async with connect(config, clock, rate=config.feed_rate_per_s) as client:
        yield OdooContacts(client, config, clock)


source = ContactSource(config=Config, open=open_contacts)
