"""A session with a CRM in memory, and a feed of its contacts that is turned by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from producers.crm.feed import ContactFeed
from producers.crm.source import Contacts
from producers.crm.topic import Position
from streams.clients.crm import PortalConfig
from streams.runtime.clock import ManualClock
from tests.producers.crm.fakes import FakeTopic

C = TypeVar("C", bound=Contacts)
T = TypeVar("T")


class FeedDesk(Generic[C]):
    """Each connector's tests say how a session is opened."""

    step_s = 61.0
    """What passes after a deed."""

    def __init__(self, config: PortalConfig, clock: ManualClock | None = None) -> None:
        self.clock, self.topic, self.config = clock or ManualClock(), FakeTopic(), config

    def open(self) -> AbstractAsyncContextManager[C]:
        """A new session with the CRM."""
        raise NotImplementedError

    def ask(self, verb: Callable[[C], Awaitable[T]]) -> T:
        """What a verb of a new session returns."""

        async def one() -> T:
            async with self.open() as contacts:
                return await verb(contacts)

        return asyncio.run(one())

    async def first(self, contacts: C) -> Position:
        """Where a feed without a position begins."""
        return Position(token=(await contacts.mark()).token)

    def turns(self, deeds: list[Callable[[], object]], *, seconds: float | None = None) -> list[set[str]]:
        """Let the feed look after each deed, in one session; which contacts the topic has then."""
        said = []

        async def play() -> None:
            async with self.open() as contacts:
                feed = ContactFeed("crm", "acme", contacts, self.topic, self.config, clock=self.clock)
                position = self.topic.position or await self.first(contacts)
                for deed in deeds:
                    deed()
                    position = await feed.turn(position)
                    said.append({c.name for c in self.topic.says.values()})
                    self.clock.advance(self.step_s if seconds is None else seconds)

        asyncio.run(play())
        return said
