"""Any CRM's contacts, as a mapping in TOML says: see `streams.clients.rest.mapping`.

Where a CRM has no change feed, contacts come by the scans alone; its clock is then the `Date` of its answers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from producers.crm.feed import run
from producers.crm.source import Changes, Contacts, ContactSource, Found, Mark, Page
from streams.clients.rest import mapping, template
from streams.clients.rest.load import load
from streams.clients.rest.session import Access, Config, Session, connect, identity
from streams.clients.rest.values import moment, told
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal

__all__ = ["run", "source"]


class RestContacts:
    """Contacts of one CRM."""

    def __init__(self, session: Session, contacts: mapping.Contacts, clock: Clock) -> None:
        self._session, self._contacts, self._clock = session, contacts, clock

    async def mark(self) -> Mark:
        """Without a change feed, a look at the first page tells the CRM's clock."""
        if mark := self._contacts.mark:
            body = (await self._session.ask(mark, {})).body
            return Mark(token=identity(body, mark.token), at=told(body, mark.time))
        _, _, answer = await self._session.page(self._contacts.scan, {"since": None}, "")
        return Mark(token="", at=self._clock.now() if answer.at is None else answer.at)

    async def page(self, cursor: str, since: int | None) -> Page:
        scan = self._contacts.scan
        behind = None if since is None else moment(max(0, since), scan.time)
        items, after, _ = await self._session.page(scan, {"since": behind}, cursor)
        return Page(found=tuple(self._found(item) for item in items), cursor=after)

    async def changes(self, token: str) -> Changes:
        feed = self._contacts.changes
        if feed is None:
            return Changes(updated=(), gone=(), token=token, more=False)
        body = (await self._session.ask(feed, {"token": token})).body
        updated = template.first(body, feed.updated)
        if not isinstance(updated, list):
            raise Fatal(f"the CRM's answer has no list at updated = {feed.updated!r}: mend the mapping")
        return Changes(
            updated=tuple(self._found(item) for item in updated),
            gone=tuple(str(one) for one in template.select(body, feed.gone)),
            token=identity(body, feed.token),
            more=bool(template.first(body, feed.more)),
        )

    async def get(self, contact_id: str) -> Found:
        get = self._contacts.get
        answer = await self._session.ask(get, {"contact_id": contact_id})
        return self._found(template.first(answer.body, get.item))

    def _found(self, item: Any) -> Found:
        fields = self._contacts.fields
        priority = template.first(item, fields.priority) if fields.priority else None
        return Found(
            contact_id=identity(item, fields.id),
            kind=_text(item, fields.kind) or "person",
            name=" ".join(part for part in (_text(item, where) for where in fields.name) if part),
            company_id=_text(item, fields.company_id),
            numbers=tuple(str(one) for where in fields.numbers for one in template.select(item, where) if one),
            owner=_text(item, fields.owner),
            priority=priority if isinstance(priority, int) else 0,
            segment=_text(item, fields.segment),
            updated_at=told(item, *fields.updated_at),
        )


def _text(item: Any, where: str) -> str:
    found = template.first(item, where) if where else None
    return "" if found is None else str(found)


@asynccontextmanager
async def open_mapped(name: str, config: Access, clock: Clock) -> AsyncIterator[Contacts]:
    """A session with the contact feed's share of the rate limit; Fatal where the mapping has no contacts."""
    known = load(name)
    if known.contacts is None:
        raise Fatal(f"the mapping {name} has no [contacts]: add them, or do not run this CRM's contact feed")
    async with connect(known, config, clock, rate=config.feed_rate_per_s) as session:
        yield RestContacts(session, known.contacts, clock)


@asynccontextmanager
async def open_contacts(config: Config, clock: Clock) -> AsyncIterator[Contacts]:
    """The CRM that the section's `mapping` describes."""
    async with open_mapped(config.mapping, config, clock) as contacts:
        yield contacts


source = ContactSource(config=Config, open=open_contacts)
