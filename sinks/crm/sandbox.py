"""Sandbox CRM: the mapping `streams/clients/rest/sandbox.toml`, and the address of the one that `trunkline up` starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sinks.crm.connector import Connector, Portal
from sinks.crm.rest import open_mapped
from streams.clients.sandbox import MAPPING, Config
from streams.runtime.clock import Clock


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the journal's share of the rate limit."""
    async with open_mapped(MAPPING, config, clock) as portal:
        yield portal


connector = Connector(config=Config, open=open_portal)
