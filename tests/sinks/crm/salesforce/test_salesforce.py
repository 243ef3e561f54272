"""Salesforce's connector under the laws of every CRM, and what is Salesforce's own, against one in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from sinks.crm.connector import Connector, Portal
from sinks.crm.salesforce import SalesforcePortal, _ours
from streams.clients.crm import Gone, UnknownContact
from streams.clients.salesforce import Config, Refused, connect
from streams.runtime import plugins
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Retry
from tests.contracts.crm_laws import NUMBER, TOKEN, Bench, CrmLaws
from tests.fakes.salesforce import CLIENT_ID, KEY, Salesforce, not_upserted, refused
from tests.sinks.crm.calls import call, recorded
from tests.sinks.crm.odoo.far import Lettered

T = TypeVar("T")
C1, C2 = "003000000000001AAA", "003000000000002AAA"
IDS = {"C1": C1, "C2": C2}
CONFIG = Config(url="http://org.test", client_id=CLIENT_ID, client_secret=SecretStr(TOKEN), country="FR")
FIELDS = {"subject": "Inbound call", "started_at": "2023-11-14T22:13:20Z", "notes": "Ada: rang\n\n  'twice'\nbye"}


class LoggedIn(httpx.AsyncBaseTransport):
    """Lets the log-in through, and sends everything else on the road."""

    def __init__(self, direct: httpx.AsyncBaseTransport, road: httpx.AsyncBaseTransport) -> None:
        self._direct, self._road = direct, road

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        on = self._direct if request.url.path.startswith("/services/oauth2/") else self._road
        return await on.handle_async_request(request)


class Far:
    """Salesforce as the laws want a CRM."""

    told: Mapping[str, httpx.Response] = {
        "throttled": refused(403, "REQUEST_LIMIT_EXCEEDED"),
        "down": refused(503, "SERVER_UNAVAILABLE"),
        "busy": not_upserted("UNABLE_TO_LOCK_ROW"),
        "denied": refused(403, "API_DISABLED_FOR_ORG"),
        "invalid": refused(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
    }

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.org = Salesforce(TOKEN, lambda: self.clock.now() // 1_000_000)
        self.transport = self.org.transport
        # C2's number ends like C1's.
        self.org.create("Contact", Name="Zoë", Phone="01 23 45 67 89", MobilePhone="06 12 34 56 78")
        self.org.create("Contact", Name="Bea", Phone="+32 23 45 67 89")

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        async with connect(CONFIG, self.clock, rate=1000, transport=LoggedIn(self.org.transport, transport)) as client:
            yield Lettered(SalesforcePortal(client, CONFIG), IDS)

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        letters = {"": "", **{found: name for name, found in IDS.items()}}
        told = [(t[KEY], _ours(t)) for t in self.org.tables["Task"].values() if not t["IsDeleted"]]
        return [(call_id, fields | {"contact_id": letters[fields["contact_id"]]}) for call_id, fields in told]


@pytest.fixture
def far() -> Far:
    """Salesforce in memory."""
    return Far()


class TestSalesforce(CrmLaws):
    """Every law."""


def with_portal(far: Far, verb: Callable[[SalesforcePortal], Awaitable[T]], **keys: Any) -> T:
    """What a verb of a new session returns."""

    async def ask() -> T:
        config = replace(CONFIG, **keys)
        async with connect(config, far.clock, rate=1000, transport=far.transport) as client:
            return await verb(SalesforcePortal(client, config))

    return asyncio.run(ask())


def task(far: Far) -> dict[str, Any]:
    (found,) = far.org.tables["Task"].values()
    return found


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("sinks.crm", "salesforce", Connector).config is Config


def test_a_call_is_a_closed_task_of_its_contact(far: Far) -> None:
    """Columns where Salesforce has one, paragraphs of the comments for the rest."""
    put = FIELDS | {"contact_id": C1, "direction": "inbound", "duration": "65", "result": "answered"}
    with_portal(far, lambda p: p.put_call("main:1", put))
    found = task(far)
    assert (found["WhoId"], found["Status"], found["CallType"], found["CallDurationInSeconds"]) == (
        C1,
        "Completed",
        "Inbound",
        65,
    )
    assert (found["Subject"], found["ActivityDate"], found["CallDisposition"]) == (
        "Inbound call",
        "2023-11-14",
        "answered",
    )
    assert found["Description"] == "Started: 2023-11-14T22:13:20Z\nNotes: Ada: rang\n  \n    'twice'\n  bye"


def test_the_same_call_put_twice_is_one_task(far: Far) -> None:
    """The external id is the key: even without the ledger nothing is doubled."""
    first = with_portal(far, lambda p: p.put_call("main:1", FIELDS))
    assert with_portal(far, lambda p: p.put_call("main:1", FIELDS)) == first
    assert len(far.org.tables["Task"]) == 1


def test_what_a_person_wrote_into_the_comments_stays(far: Far) -> None:
    """In the browser, so every line ends with CR LF; a row of theirs with our label is no row of ours."""
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"queue": "support"}))
    comments = f"Call back!\n{task(far)['Description']}\nQueue: for ever\nDone."
    far.org.write("Task", made, Description=comments.replace("\n", "\r\n"))
    with_portal(far, lambda p: p.patch_call(made, {"queue": "sales", "notes": "", "recording": "1.wav"}))
    assert task(far)["Description"] == (
        "Call back!\nStarted: 2023-11-14T22:13:20Z\nQueue: sales\nQueue: for ever\nDone.\nRecording: 1.wav"
    )
    ((_, fields),) = far.entries()
    assert fields["queue"] == "sales"


def test_what_a_person_edited_is_not_overwritten(far: Far) -> None:
    """Under the ledger: the edited subject and notes stay, the recording arrives, the contact of a merger stays."""
    bench = Bench(far)
    bench.write(call())
    made = task(far)
    far.org.write("Task", made["Id"], Subject="Sale", Description=f"{made['Description']}\n  and more")
    far.org.merge(C2, C1)
    bench.write(replace(recorded(call()), outcome="missed"))
    ((_, fields),) = far.entries()
    assert (fields["subject"], fields["recording"], fields["contact_id"]) == ("Sale", "1.wav", "C2")
    assert fields["result"] == "missed"


def test_a_patch_names_the_given_fields_only(far: Far) -> None:
    """No comments are read for a column, and none is written."""
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS))
    sent: list[bytes] = []

    def seen(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return far.org.answer(request)

    far.transport = httpx.MockTransport(seen)
    with_portal(far, lambda p: p.patch_call(made, {"result": "missed"}))
    (only,) = sent[1:]
    assert json.loads(only)["records"] == [{"attributes": {"type": "Task"}, "Id": made, "CallDisposition": "missed"}]


def test_many_calls_are_few_requests(far: Far) -> None:
    """The org counts them by the day: reads, writes and updates that meet go together, and each gets its own."""

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # the others come meanwhile
        return far.org.answer(request)

    async def many(portal: SalesforcePortal) -> list[str]:
        calls = [f"main:{n}" for n in range(40)]
        made = await asyncio.gather(*(portal.put_call(c, FIELDS | {"queue": c}) for c in calls))
        await asyncio.gather(*(portal.patch_call(i, {"recording": c}) for i, c in zip(made, calls, strict=True)))
        found = await asyncio.gather(*map(portal.confirm, calls))
        return [f"{e.fields['queue']} {e.fields['recording']}" for entries in found for e in entries]

    far.transport = httpx.MockTransport(answer)
    assert with_portal(far, many) == [f"main:{n} main:{n}" for n in range(40)]
    assert len(far.org.asked) <= 20  # of 160


def test_an_archived_task_is_read_back(far: Far) -> None:
    """Salesforce archives what was closed a year ago, and query no longer shows it."""
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS))
    far.org.write("Task", made, IsArchived=True)
    (entry,) = with_portal(far, lambda p: p.confirm("main:1"))
    assert {k: v for k, v in entry.fields.items() if v} == FIELDS


@pytest.mark.parametrize("wrong", ["003000000000009AAA", "C1"])
def test_a_contact_that_is_gone_is_told(far: Far, wrong: str) -> None:
    """Deleted, or never there."""
    with pytest.raises(UnknownContact):
        with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"contact_id": wrong}))
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"contact_id": C1}))
    with pytest.raises(UnknownContact):
        with_portal(far, lambda p: p.patch_call(made, {"contact_id": wrong}))
    far.org.bin("Task", made)
    for fields in ({"contact_id": wrong}, {"notes": "n"}):
        with pytest.raises(Gone):
            with_portal(far, lambda p: p.patch_call(made, fields))  # noqa: B023 - called at once


def test_a_refused_record_says_its_code(far: Far) -> None:
    """Inside a 200, and no word of what it held."""
    with pytest.raises(Refused, match="STRING_TOO_LONG") as raised:
        with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"notes": "Zoë " * 9000}))
    assert "Zoë" not in str(raised.value)


@pytest.mark.parametrize(
    ("there", "code", "wanted"),
    [(True, "DUPLICATE_VALUE", Retry), (False, "DUPLICATE_VALUE", Refused), (True, "STRING_TOO_LONG", Refused)],
)
def test_two_writes_of_one_call_at_once_are_one_task(
    far: Far, code: str, *, there: bool, wanted: type[Exception]
) -> None:
    """The one that comes second is refused as a duplicate, and then updates; a duplicate of another field stays one."""
    if there:
        with_portal(far, lambda p: p.put_call("main:1", FIELDS))

    def race(request: httpx.Request) -> httpx.Response:
        return not_upserted(code) if "composite" in request.url.path else far.org.answer(request)

    far.transport = httpx.MockTransport(race)
    with pytest.raises(wanted):
        with_portal(far, lambda p: p.put_call("main:1", FIELDS))


def test_a_call_id_is_no_part_of_the_query(far: Far) -> None:
    """Quotes, backslashes and line ends in it are its own; so is its case, which SOQL does not see."""
    ids = ["a' OR Id > '", "a\\' OR Id > \\'", 'a"b', "a\nb\tc\r", "a\\", "%", "_", "é'", "MAIN:1", "main:1"]
    for n, call_id in enumerate(ids):
        with_portal(far, lambda p: p.put_call(call_id, {"subject": str(n)}))  # noqa: B023 - called at once
    for n, call_id in enumerate(ids):
        found = with_portal(far, lambda p: p.confirm(call_id))  # noqa: B023 - called at once
        assert [entry.fields["subject"] for entry in found] == [str(n)]


@pytest.mark.parametrize("find", ["soql", "sosl"])
def test_a_number_is_found_in_every_field(far: Far, find: str) -> None:
    """Mobile and landline of the same contact, never another country's, never a deleted contact; all who have it."""
    gone = far.org.create("Contact", Phone="0123456789")
    far.org.bin("Contact", gone)
    other = far.org.create("Contact", HomePhone="+33 1 23 45 67 89")
    assert with_portal(far, lambda p: p.find_by_phone(NUMBER), find=find) == [C1, other]
    assert with_portal(far, lambda p: p.find_by_phone("+33612345678"), find=find) == [C1]
    assert with_portal(far, lambda p: p.find_by_phone("+33612345679"), find=find) == []


def test_any_spelling_is_found_by_soql(far: Far) -> None:
    """Dots, brackets, an extension."""
    odd = far.org.create("Contact", OtherPhone="+33 (0)1.23.45-67.89 x12")
    assert with_portal(far, lambda p: p.find_by_phone(NUMBER)) == [C1, odd]
