"""Sandbox CRM: its contacts, by the mapping `streams/clients/rest/sandbox.toml`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from producers.crm.feed import run
from producers.crm.rest import open_mapped
from producers.crm.source import Contacts, ContactSource
from streams.clients.sandbox import MAPPING, Config
from streams.runtime.clock import Clock

__all__ = ["run", "source"]


@asynccontextmanager
async def open_contacts(config: Config, clock: Clock) -> AsyncIterator[Contacts]:
    """A session with the contact feed's share of the rate limit."""
    async with open_mapped(MAPPING, config, clock) as contacts:
        yield contacts


source = ContactSource(config=Config, open=open_contacts)
