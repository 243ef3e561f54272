"""The sandbox's connector under the laws of every CRM, against the real application without a network."""

import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from sinks.crm.connector import Connector, Portal
from sinks.crm.journal import FIELDS
from sinks.crm.rest import RestPortal
from streams.clients.rest.load import load
from streams.clients.rest.session import connect
from streams.clients.sandbox import MAPPING, Config
from streams.embedded.crm.contacts import ContactIn, Contacts
from streams.embedded.crm.faults import Faults
from streams.embedded.crm.server import application
from streams.embedded.crm.store import connect as open_store
from streams.runtime import plugins
from streams.runtime.clock import ManualClock
from tests.contracts.crm_laws import TOKEN, CrmLaws


def _error(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": ""}}, headers=headers)


class Sandbox:
    """The sandbox's own application over a file."""

    told: Mapping[str, httpx.Response] = {
        "throttled": _error(429, "throttled", **{"retry-after": "2"}),
        "down": _error(503, "unavailable"),
        "busy": _error(200, "busy"),
        "denied": _error(401, "unauthorized"),
        "invalid": _error(422, "invalid"),
    }

    def __init__(self, folder: Path) -> None:
        self.clock, self.db = ManualClock(), open_store(folder / "crm.sqlite")
        self.transport = httpx.ASGITransport(application(self.db, TOKEN, self.clock, random.Random(1)))
        contacts = Contacts(self.db, self.clock.now, Faults(self.db), random.Random(1))
        # C2's number ends like C1's: the sandbox's search alone does not tell them apart.
        known = [ContactIn(id="C1", numbers=["01 23 45 67 89"]), ContactIn(id="C2", numbers=["+32 23 45 67 89"])]
        contacts.put(known, stamp=1)

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        config = Config(url="http://127.0.0.1", token=SecretStr(TOKEN), country="FR")
        async with connect(load(MAPPING), config, self.clock, rate=1000, transport=transport) as session:
            yield RestPortal(session, config.country)

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        rows = self.db.execute("SELECT * FROM activities").fetchall()
        return [(row["call_id"], {f: "" if row[f] is None else str(row[f]) for f in FIELDS}) for row in rows]


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Sandbox]:
    """The sandbox as the laws want a CRM."""
    sandbox = Sandbox(tmp_path)
    with closing(sandbox.db):
        yield sandbox


class TestSandbox(CrmLaws):
    """Every law."""


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("sinks.crm", "sandbox", Connector).config is Config
