"""One process after the other at work on the same CRM and the same ledger, as the ledger's tests see it."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from schemas.events import Call, CrmWrite
from sinks.crm.ledger import Ledger
from streams.clients.crm import PortalConfig
from streams.runtime.clock import ManualClock
from tests.sinks.crm.calls import ENDED
from tests.sinks.crm.fakes import Crash, FakeLog, FakePortal, World

LOST = "lost"
STRANGER: dict[str, Any] = {"match": "none", "contact_id": "", "contact_name": "", "crm": ""}


class Desk:
    """One process after the other working on the same CRM and the same ledger."""

    def __init__(self, world: World | None = None, answers: Sequence[Exception | str] = ()) -> None:
        self.world, self.clock = world or World(), ManualClock(ENDED + 1_000_000)
        self.portal = FakePortal(self.world, answers)
        self.config = PortalConfig()
        self.start()

    def start(self, *, forgets: bool = False, lease: Callable[[], None] = lambda: None) -> None:
        """Begin a new process, as after a restart."""
        self.log = FakeLog(self.world, owned_since=self.clock.now(), forgets=forgets)
        self.ledger = Ledger(
            crm="crm",
            portal=self.portal,
            log=self.log,
            config=self.config,
            clock=self.clock,
            rng=random.Random(1),
            lease=lease,
        )

    def write(self, *calls: Call) -> CrmWrite | None:
        settled = None
        for one in calls:
            settled = asyncio.run(self.ledger.write(one))
        return settled

    def write_through(self, *calls: Call) -> None:
        """Write; when the process dies, a new one reads the same calls from the start (nothing was committed)."""
        for _ in range(10):
            try:
                self.write(*calls)
            except Crash:
                self.clock.advance(1)
                self.start()
            else:
                return
        pytest.fail("it died at every attempt")
