"""Any CRM with a JSON API over HTTP, as a mapping in TOML says: see `streams.clients.rest.mapping`.

No server-side deduplication is relied on; the ledger does it all. An entry must be found again by our call id.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import phonenumbers

from sinks.crm.connector import Connector, Entry, Portal
from streams.clients.crm import Unknown, e164
from streams.clients.rest import template
from streams.clients.rest.load import load
from streams.clients.rest.session import Access, Config, Session, connect, identity
from streams.clients.rest.values import ours, theirs
from streams.runtime.clock import Clock


class RestPortal:
    """The journal of one CRM."""

    def __init__(self, session: Session, country: str) -> None:
        self._session, self._country, self._journal = session, country, session.mapping.journal

    async def find_by_phone(self, number: str) -> Sequence[str]:
        """Every contact that the search shows; where the mapping tells its numbers, only if one of them is this."""
        find = self._journal.find
        known = {"number": number, "digits": number.removeprefix("+"), "national": _national(number)}
        found = await self._session.every(find, known)
        return [identity(item, find.id) for item in found if not find.numbers or number in self._numbers(item)]

    def _numbers(self, item: Any) -> set[str]:
        raw = (one for where in self._journal.find.numbers for one in template.select(item, where) if one)
        return {e164(str(one), self._country) for one in raw}

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        put = self._journal.put
        known = {**dict.fromkeys(template.names(put.body), ""), **fields, "call_id": call_id}
        made = await self._session.ask(put, known, self._filled(template.body(put.body or {}, known), fields))
        found = template.first(made.body, put.id)
        if found is None or found == "":
            raise Unknown("the CRM answered without the entry's id")
        return str(found)

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        patch, known = self._journal.patch, {"external_id": external_id}
        await self._session.ask(patch, known, self._filled(template.body(patch.body or {}, known), fields))

    async def drop_call(self, external_id: str) -> None:
        await self._session.ask(self._journal.drop, {"external_id": external_id})

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        confirm = self._journal.confirm
        found = await self._session.every(confirm, {"call_id": call_id})
        return [Entry(external_id=identity(entry, confirm.id), fields=self._read(entry)) for entry in found]

    def _filled(self, body: dict[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
        """The body with the fields that the CRM has; the others are left to `put.body`."""
        inside = f"{self._journal.inside}." if self._journal.inside else ""
        for name, column in self._journal.fields.items():
            if name in fields:
                template.put(body, inside + column.to, theirs(column, fields[name]))
        return body

    def _read(self, entry: Any) -> dict[str, str]:
        held = template.first(entry, self._journal.inside)
        return {name: ours(column, held) for name, column in self._journal.fields.items()}


@asynccontextmanager
async def open_mapped(mapping: str, config: Access, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the journal's share of the rate limit."""
    async with connect(load(mapping), config, clock, rate=config.rate_per_s) as session:
        yield RestPortal(session, config.country)


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """The CRM that the section's `mapping` describes."""
    async with open_mapped(config.mapping, config, clock) as portal:
        yield portal


def _national(number: str) -> str:
    try:
        return phonenumbers.national_significant_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return number.removeprefix("+")


connector = Connector(config=Config, open=open_portal)
