"""An amoCRM in memory as the laws want a CRM: contacts called C1 and C2."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from pydantic import SecretStr

from sinks.crm.amocrm import AmoPortal, _ours
from sinks.crm.connector import Portal
from streams.clients.amocrm import Config, connect
from streams.runtime.clock import ManualClock
from tests.contracts.crm_laws import TOKEN
from tests.fakes.amocrm import Amo, problem
from tests.sinks.crm.odoo.far import Lettered

IDS = {"C1": "contacts/1", "C2": "contacts/2"}
HOME = "contacts/3"
CONFIG = Config(url="https://crm.test", token=SecretStr(TOKEN), country="FR", unknown_on=HOME, cards=("contacts",))


class Far:
    """amoCRM as the laws want a CRM."""

    told: Mapping[str, httpx.Response] = {
        "throttled": httpx.Response(429, headers={"retry-after": "2"}),
        "down": httpx.Response(503),
        "busy": httpx.Response(429, text="Too many requests"),
        "denied": problem(401),
        "invalid": problem(400, "InvalidType"),
    }

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.amo = Amo(lambda: self.clock.now() / 1_000_000, TOKEN)
        self.transport = self.amo.transport
        # C2's number has the same ten last digits as the one that C1 alone has: /calls would not tell them apart.
        self.amo.create("contacts", name="Zoë", phones=("06 12 34 56 78", "01 23 45 67 89"))
        self.amo.create("contacts", name="Bea", phones=("+1 012 345 6789", "+44 123456789"))
        self.amo.create("contacts", name="Nobody known")

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        async with connect(CONFIG, self.clock, rate=CONFIG.rate_per_s, transport=transport) as client:
            yield Lettered(AmoPortal(client, CONFIG, self.clock.now() // 1_000_000), IDS)

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        letters = {card: letter for letter, card in IDS.items()}
        return [
            (
                note["params"]["uniq"].removeprefix("trunkline:"),
                fields | {"contact_id": letters.get(fields["contact_id"], "")},
            )
            for note in self.amo.tables.get("contacts/notes", {}).values()
            for fields in [_ours(note, "contacts/1", HOME)]
            if note["params"]["uniq"].startswith("trunkline:")
        ]
