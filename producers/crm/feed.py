"""A CRM's contacts on the topic `contacts`: everything once, then what changes, and what was never told.

Three looks at the CRM, each for what the one before can miss: the change feed every second; a scan of recently updated
contacts, which overlaps the one before because a CRM's `updated at` is when a transaction began, in whole seconds,
while it shows only when that ends; and a scan of everything, which finds deletions that nobody told. A webhook could
only say sooner what the feed says within a second.

One feed for each CRM. It may be killed at any moment: it goes on from its committed position, and says nothing twice.
"""

import asyncio
import random
import threading
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import Any

import structlog

from producers.crm.source import Contacts, ContactSource, Found
from producers.crm.topic import ContactTopic, Position
from schemas.events import Contact
from streams.clients.crm import Expired, Gone, Patience, PortalConfig, e164
from streams.runtime import plugins
from streams.runtime.clock import Clock
from streams.runtime.config import Settings, connector_config
from streams.runtime.errors import Retry

log = structlog.get_logger()

_AGAIN = 1.0
_NAP = 0.2
_MICROS = 1_000_000


def run(name: str, settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Follow the contacts of `[crm.name]` until `stop`; ends within 10 s. Raises Fatal when a person is needed."""
    section = settings.crm[name]
    source: ContactSource[Any] = plugins.load("producers.crm", section.connector, ContactSource)
    config = connector_config(source.config, section, f"crm.{name}")

    async def follow() -> None:
        topic = ContactTopic(settings.kafka, name)
        position = await asyncio.to_thread(topic.recall)
        async with source.open(config, clock) as contacts:
            await ContactFeed(name, settings.tenant, contacts, topic, config, clock=clock).follow(position)

    while not stop.is_set():
        try:
            asyncio.run(_until(stop, follow()))
        except Retry as e:
            log.warning("contacts.session_again", crm=name, reason=str(e))
            clock.sleep(_AGAIN if e.after is None else e.after, stop)


async def _until(stop: threading.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, and drop it where it stands when `stop` is set: what is not settled is done again."""
    task = asyncio.create_task(work)
    while not task.done():
        await asyncio.wait([task], timeout=_NAP)
        if stop.is_set():
            task.cancel()
    if not task.cancelled():
        task.result()


class ContactFeed:
    """The loop over one open session."""

    def __init__(
        self,
        crm: str,
        tenant: str,
        contacts: Contacts,
        topic: ContactTopic,
        config: PortalConfig,
        *,
        clock: Clock,
    ) -> None:
        self._crm, self._tenant, self._contacts, self._topic, self._config = crm, tenant, contacts, topic, config
        self._clock = clock
        self._ask = Patience(crm, clock, random.Random()).ask  # noqa: S311 - jitter of retries

    async def follow(self, position: Position | None) -> None:
        """Read for ever."""
        if position is None:
            position = Position(token=(await self._ask(self._contacts.mark)).token)
        while True:
            position = await self.turn(position)
            await self._clock.pause(self._config.poll_s)

    async def turn(self, position: Position) -> Position:
        """Look once at the change feed, and scan if it is time to; returns the new position, which is durable."""
        try:
            position = await self._catch_up(position)
            now = self._clock.now()
            if now - position.reconciled >= self._config.reconcile_s * _MICROS:
                return await self._reconcile(position)
            if now - position.swept >= self._config.sweep_s * _MICROS:
                return await self._sweep(position)
        except Expired:
            log.warning("contacts.feed_expired", crm=self._crm)
            token = (await self._ask(self._contacts.mark)).token
            return await self._settled(replace(position, token=token, reconciled=0))
        return position

    async def _catch_up(self, position: Position) -> Position:
        """Apply the change feed up to its present end."""
        while True:
            changes = await self._ask(self._contacts.changes, position.token)
            self._take(changes.updated)
            for contact_id in changes.gone:
                self._topic.remove(contact_id)
            if changes.token != position.token:
                position = await self._settled(replace(position, token=changes.token))
            if not changes.more:
                return position

    async def _sweep(self, position: Position) -> Position:
        """Scan what was updated since the last sweep began, and somewhat before."""
        began = (await self._ask(self._contacts.mark)).at
        cursor, since = "", position.swept - round(self._config.overlap_s * _MICROS)
        while True:
            page = await self._ask(self._contacts.page, cursor, since)
            self._take(page.found)
            if not page.cursor:
                return await self._settled(replace(position, swept=began))
            cursor = page.cursor

    async def _reconcile(self, position: Position) -> Position:
        """Scan everything, following the change feed meanwhile; what the topic has and the CRM has not is gone.

        Whatever the scan did not show is asked for by its id before it is declared gone.
        """
        began, unseen, cursor = (await self._ask(self._contacts.mark)).at, set(self._topic.known()), ""
        while True:
            page = await self._ask(self._contacts.page, cursor, None)
            self._take(page.found)
            unseen.difference_update(found.contact_id for found in page.found)
            position = await self._catch_up(position)
            if not page.cursor:
                break
            cursor = page.cursor
        for contact_id in sorted(unseen.intersection(self._topic.known())):
            try:
                self._take([await self._ask(self._contacts.get, contact_id)])
            except Gone:
                self._topic.remove(contact_id)
        log.info("contacts.reconciled", crm=self._crm, contacts=len(self._topic.known()))
        return await self._settled(replace(position, swept=began, reconciled=began))

    def _take(self, many: Iterable[Found]) -> None:
        for found in many:
            self._topic.put(self._contact(found))

    def _contact(self, found: Found) -> Contact:
        numbers = (e164(raw, self._config.country) for raw in found.numbers)
        return Contact(
            tenant=self._tenant,
            crm=self._crm,
            contact_id=found.contact_id,
            kind=found.kind,
            name=found.name,
            company_id=found.company_id,
            numbers=tuple(dict.fromkeys(number for number in numbers if number)),
            raw_numbers=found.numbers,
            owner=found.owner,
            priority=found.priority,
            segment=found.segment,
            updated_at=found.updated_at,
        )

    async def _settled(self, position: Position) -> Position:
        await asyncio.to_thread(self._topic.settle, position)
        return position
