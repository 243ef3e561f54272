"""Salesforce: contacts in keyset pages by id, changes by `SystemModstamp`, the deleted and merged ones among them.

`SystemModstamp` is when a record was saved, and it shows when its transaction commits, so each look goes back behind the
one before by the longest transaction. What is deleted stays in the recycle bin for 15 days, its stamp that of its
deletion, and queryAll shows it; one that was merged away has a `MasterRecordId`, and the contact that took it over is
stamped as well. A token that is older than that, or of the future, has expired. What was deleted for good at once is
found by the full scan.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from producers.crm.feed import run
from producers.crm.source import Changes, Contacts, ContactSource, Found, Mark, Page
from streams.clients.crm import Expired, Gone
from streams.clients.salesforce import Config, SalesforceClient, connect
from streams.clients.soql import literal
from streams.runtime.clock import Clock

__all__ = ["run", "source"]
_READ = ("Id", "Name", "AccountId", "OwnerId", "SystemModstamp", "IsDeleted", "MasterRecordId")
_PAGE = 2000
_KEPT = 14 * 86_400 * 1_000_000
"""Microseconds that a deletion can be seen for, less a day."""
_ID = re.compile(r"[A-Za-z0-9]{15,18}")


class SalesforceContacts:
    """Contacts of one org, those that its user may see.

    A token holds the moment that changes are read from, the one when that reading began (both in microseconds by
    Salesforce's clock), and the id that the next page begins behind.
    """

    def __init__(self, client: SalesforceClient, config: Config) -> None:
        self._client, self._config = client, config
        self._overlap = round(config.overlap_s * 1_000_000)

    async def mark(self) -> Mark:
        await self._client.query("SELECT Id FROM Contact LIMIT 1")
        at = self._client.told_at
        return Mark(token=_token(at - self._overlap, 0, ""), at=at)

    async def page(self, cursor: str, since: int | None) -> Page:
        where = [] if since is None else [f"SystemModstamp >= {_moment(since)}"]
        rows = await self._rows(cursor, where)
        more = str(rows[-1]["Id"]) if len(rows) == _PAGE else ""
        return Page(found=tuple(map(self._found, rows)), cursor=more)

    async def changes(self, token: str) -> Changes:
        since, began, last_id = json.loads(token)
        rows = await self._rows(last_id, [f"SystemModstamp >= {_moment(since)}"], deleted=True)
        now = self._client.told_at
        if not 0 <= now - since <= _KEPT:
            raise Expired
        began = began or now
        more = len(rows) == _PAGE
        return Changes(
            updated=tuple(self._found(row) for row in rows if not row["IsDeleted"]),
            gone=tuple(str(row["Id"]) for row in rows if row["IsDeleted"]),
            token=_token(since, began, rows[-1]["Id"]) if more else _token(began - self._overlap, 0, ""),
            more=more,
        )

    async def get(self, contact_id: str) -> Found:
        rows = await self._rows("", [f"Id = {literal(contact_id)}"]) if _ID.fullmatch(contact_id) else []
        if not rows:
            raise Gone(contact_id)
        return self._found(rows[0])

    async def _rows(self, last_id: str, where: list[str], *, deleted: bool = False) -> list[dict[str, Any]]:
        terms = [*where, f"Id > {literal(last_id)}"] if last_id else where
        only = f" WHERE {' AND '.join(terms)}" if terms else ""
        columns = ", ".join((*_READ, *self._config.phone_fields))
        soql = f"SELECT {columns} FROM Contact{only} ORDER BY Id LIMIT {_PAGE}"  # noqa: S608 - escaped
        return await self._client.query(soql, deleted=deleted)

    def _found(self, row: Mapping[str, Any]) -> Found:
        return Found(
            contact_id=str(row["Id"]),
            name=row["Name"] or "",
            company_id=row["AccountId"] or "",
            numbers=tuple(str(row[f]) for f in self._config.phone_fields if row[f]),
            owner=row["OwnerId"] or "",
            updated_at=_micros(row["SystemModstamp"]),
        )


def _token(since: int, began: int, last_id: str) -> str:
    return json.dumps([since, began, last_id])


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(max(0, micros) // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


@asynccontextmanager
async def open_contacts(config: Config, clock: Clock) -> AsyncIterator[Contacts]:
    """A session with the contact feed's share of the rate limit."""
    async with connect(config, clock, rate=config.feed_rate_per_s) as client:
        yield SalesforceContacts(client, config)


source = ContactSource(config=Config, open=open_contacts)
