"""The journal in a real Odoo: the laws of every CRM, and once whatever comes at once, is edited, merged or killed."""

import asyncio
import os
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from schemas.events import Call
from sinks.crm.connector import Portal
from sinks.crm.lanes import Lanes, Record
from sinks.crm.ledger import Ledger
from sinks.crm.odoo import OdooPortal
from streams.clients.odoo import Config, connect
from streams.runtime.clock import Clock, ManualClock, SystemClock
from streams.runtime.errors import Retry
from tests.contracts.crm_laws import TOKEN, Bench, CrmLaws
from tests.fakes.odoo import not_saved, rpc, rpc_error
from tests.real.odoo.instance import LOGIN, PASSWORD, Instance
from tests.sinks.crm.calls import call, recorded
from tests.sinks.crm.fakes import FakeLog, World
from tests.sinks.crm.odoo.far import Lettered, LoggedIn

T = TypeVar("T")
_KILLS = int(os.environ.get("TRUNKLINE_ODOO_KILLS", "2"))
"""Kills of Odoo, and as many restarts of its database; with 10 there are 2,000 calls."""
pytestmark = [pytest.mark.real, pytest.mark.enable_socket, pytest.mark.timeout(600)]


class Direct(httpx.AsyncBaseTransport):
    """A connection of its own for each request: every law has an event loop of its own."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncHTTPTransport() as way:
            answer = await way.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


class Far:
    """The real Odoo as the laws want a CRM: two contacts, and none of our notes."""

    transport: httpx.AsyncBaseTransport = Direct()
    told: Mapping[str, httpx.Response] = {
        "throttled": httpx.Response(429, headers={"retry-after": "2"}),
        "down": httpx.Response(503),
        "busy": rpc(not_saved()),
        "denied": rpc_error("odoo.exceptions.AccessDenied"),
        "invalid": rpc_error("odoo.exceptions.ValidationError"),
    }

    def __init__(self, odoo: Instance) -> None:
        self.odoo = odoo
        self.config = Config(
            url=odoo.url, database="crm", login=LOGIN, password=SecretStr(PASSWORD), country="FR", timeout_s=30
        )
        old = odoo.admin("mail.message", "search", [["message_id", "like", "@trunkline>"]])
        odoo.admin("mail.message", "unlink", old)
        for_sure = odoo.admin("res.partner", "search", [["comment", "=", "law"], ["active", "in", [True, False]]])
        odoo.admin("res.partner", "unlink", for_sure)
        # The landline of C1 is not in its phone_sanitized, which has the mobile number; C2's number ends like C1's.
        one = {"name": "Zoë", "phone": "01 23 45 67 89", "mobile": "06 12 34 56 78", "comment": "law"}
        other = {"name": "Bea", "phone": "+32 23 45 67 89", "comment": "law"}
        made: list[int] = odoo.admin("res.partner", "create", [one, other])
        self.ids = {"C1": str(made[0]), "C2": str(made[1])}

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        async with connect(self.config, ManualClock(), rate=1e6, transport=LoggedIn(self.transport, transport)) as c:
            yield Lettered(OdooPortal(c, self.config, ("res.partner", 1)), self.ids)

    def ask(self, verb: Callable[[Portal], Awaitable[T]]) -> T:
        """What a verb of a new session returns."""

        async def one() -> T:
            async with self.open(self.transport) as portal:
                return await verb(portal)

        return asyncio.run(one())

    def notes(self) -> list[dict[str, Any]]:
        """Our notes as the administrator sees them."""
        domain = [["message_id", "like", "@trunkline>"]]
        found: list[dict[str, Any]] = self.odoo.admin("mail.message", "search_read", domain, order="id")
        return found

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        found = []
        for n in range(10):
            entries = self.ask(lambda p: p.confirm(f"main:{n}"))  # noqa: B023 - called at once
            found += [(f"main:{n}", entry.fields) for entry in entries]
        return found


@pytest.fixture
def far(odoo: Instance) -> Far:
    """The real Odoo."""
    return Far(odoo)


class TestRealOdoo(CrmLaws):
    """Every law."""


def test_its_token_is_the_one_of_the_laws() -> None:
    """Else they would look for a secret that is not there."""
    assert PASSWORD == TOKEN


def test_eight_at_once_are_one_note(far: Far) -> None:
    """Odoo makes one; who comes too late is told so, or finds it."""

    async def eight(portal: Portal) -> list[str | BaseException]:
        fields = {"subject": "Inbound call", "contact_id": "C1", "notes": "a"}
        return await asyncio.gather(*(portal.put_call("main:1", fields) for _ in range(8)), return_exceptions=True)

    told = far.ask(eight)
    assert {type(one) for one in told} <= {str, Retry}
    (note,) = far.notes()
    assert {one for one in told if isinstance(one, str)} == {str(note["id"])}


def test_a_note_is_in_its_contacts_history(far: Far) -> None:
    """Where a person looks, by the user that wrote it, with the time of the call."""
    Bench(far).write(call())
    (note,) = far.notes()
    partner = far.odoo.admin("res.partner", "read", [int(far.ids["C1"])], ["message_ids"])[0]
    assert note["id"] in partner["message_ids"]
    assert (note["author_id"][1], note["subtype_id"][1], note["date"]) == ("Trunkline", "Note", "2023-11-14 22:13:20")


def test_what_a_person_edits_is_not_overwritten(far: Far) -> None:
    """The edited rows and the added words stay, the recording arrives."""
    bench = Bench(far)
    bench.write(call())
    (note,) = far.notes()
    body = note["body"].replace("<b>Result</b>: answered", "<b>Result</b>: sold!") + "<p>Call back on Monday</p>"
    far.odoo.admin("mail.message", "write", [note["id"]], {"body": body, "subject": "Sale"})
    bench.write(replace(recorded(call()), outcome="missed"))
    ((_, fields),) = far.entries()
    assert (fields["result"], fields["subject"], fields["recording"]) == ("sold!", "Sale", "1.wav")
    assert "<p>Call back on Monday</p>" in far.notes()[0]["body"]


def test_a_call_of_a_merged_contact_goes_with_it(far: Far) -> None:
    """Odoo moves the notes of a merged contact; a later revision finds its own, and leaves it where it is."""
    bench = Bench(far)
    bench.write(call())
    one, other = (int(far.ids[name]) for name in ("C1", "C2"))
    merge = {"partner_ids": [[6, 0, [one, other]]], "dst_partner_id": other}
    wizard = far.odoo.admin("base.partner.merge.automatic.wizard", "create", merge)
    far.odoo.admin("base.partner.merge.automatic.wizard", "action_merge", [wizard])
    bench.write(recorded(call()))
    (note,) = far.notes()
    assert (note["model"], note["res_id"]) == ("res.partner", other)
    assert "1.wav" in note["body"]


def test_a_missed_call_is_work_for_the_contacts_owner(far: Far) -> None:
    """One activity, though it is put twice; it goes with a note that is taken away."""
    owner = far.odoo.ref("base.user_admin")
    contact = int(far.ids["C1"])
    far.odoo.admin("res.partner", "write", [contact], {"user_id": owner})
    far.config = replace(far.config, missed_task=True)
    fields = {"direction": "inbound", "result": "abandoned", "started_at": "2023-11-14T22:13:20Z", "contact_id": "C1"}

    def tasks() -> list[int]:
        domain = [["res_model", "=", "res.partner"], ["res_id", "=", contact]]
        return [task["user_id"][0] for task in far.odoo.admin("mail.activity", "search_read", domain, ["user_id"])]

    made = far.ask(lambda p: p.put_call("main:1", fields))
    assert far.ask(lambda p: p.put_call("main:1", fields)) == made
    assert tasks() == [owner]
    far.ask(lambda p: p.drop_call(made))
    assert tasks() == []


class Clerk:
    """A journal without Kafka, on the real clock: calls through the lanes, eight at a time."""

    def __init__(self, far: Far, clock: Clock) -> None:
        self._far, self._clock, self.world, self.written = far, clock, World(), 0

    async def work(self, until: Callable[[], bool]) -> None:
        """Write new calls, and their recordings, until it is so."""
        config = replace(self._far.config, timeout_s=5, settle_s=6)
        async with connect(config, self._clock, rate=1000) as client:
            portal = Lettered(OdooPortal(client, config, ("res.partner", 1)), self._far.ids)
            ledger = Ledger(
                crm="crm",
                portal=portal,
                log=FakeLog(self.world, owned_since=self._clock.now()),
                config=config,
                clock=self._clock,
                rng=random.Random(1),
                lease=lambda: None,
            )
            while not until():
                first, self.written = self.written + 1, self.written + 16
                calls = [call(n) for n in range(first, self.written + 1)]
                await self._through(ledger, [*calls, *map(recorded, calls)])

    async def _through(self, ledger: Ledger, calls: list[Call]) -> None:
        async def work(record: Record) -> None:
            await ledger.write(calls[record.offset])

        lanes = Lanes(work, width=8)
        for offset, one in enumerate(calls):
            lanes.put(Record(partition=0, offset=offset, key=one.call_id.encode(), value=None))
        await lanes.drain(None, within=300)
        lanes.check()
        assert lanes.settled() == {0: len(calls)}


def test_kills_of_odoo_and_of_its_database_leave_one_note_per_call(far: Far) -> None:
    """SIGKILL of Odoo and restarts of PostgreSQL while calls are written: none is lost, none is there twice."""
    clock = SystemClock()
    clerk, over = Clerk(far, clock), threading.Event()
    with ThreadPoolExecutor(1) as thread:
        written = thread.submit(
            lambda: asyncio.run(clerk.work(lambda: over.is_set() and clerk.written >= 200 * _KILLS))
        )
        try:
            for _ in range(_KILLS):  # in this thread, for the servers die with the one that started them
                clock.sleep(0.7)
                far.odoo.server.kill()
                far.odoo.server.start(wait=60)
                clock.sleep(0.7)
                far.odoo.restart_database()
        finally:
            over.set()
        written.result(timeout=400)
    notes = far.notes()
    assert len(notes) == clerk.written
    assert set(Counter(note["message_id"] for note in notes).values()) == {1}
    assert all(".wav" in note["body"] for note in notes)
    assert {write.state for write in {w.call_id: w for w in clerk.world.records}.values()} == {"CONFIRMED"}
