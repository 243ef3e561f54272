"""The sandbox as one ASGI application over its database."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from streams.embedded.crm import hooks
from streams.embedded.crm.activities import Activities
from streams.embedded.crm.api import Api
from streams.embedded.crm.contacts import Contacts
from streams.embedded.crm.faults import Faults, FaultyMiddleware
from streams.embedded.crm.notebook import Notebook
from streams.embedded.crm.pages import Pages
from streams.runtime.clock import Clock

# Pages need no login, so a foreign site must not reach them through a browser under another host name (DNS rebinding).
_HOSTS = ["127.0.0.1", "localhost"]


def application(db: sqlite3.Connection, token: str, clock: Clock, rng: random.Random) -> Starlette:
    """API and pages; the webhooks are delivered while it runs."""
    faults = Faults(db)
    contacts = Contacts(db, clock.now, faults, rng)
    activities = Activities(db, clock.now, faults, contacts)
    notebook = Notebook(db, clock.now)
    api = Api(contacts=contacts, activities=activities, notebook=notebook, faults=faults, clock=clock, token=token)
    pages = Pages(contacts=contacts, activities=activities, notebook=notebook)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        delivery = asyncio.create_task(hooks.deliver(db, clock, rng))
        yield
        delivery.cancel()
        with suppress(asyncio.CancelledError):
            await delivery

    return Starlette(
        routes=[*api.routes(), *pages.routes()],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS),
            Middleware(FaultyMiddleware, faults=faults, clock=clock),
        ],
        lifespan=life,
    )
