"""Odoo's connector under the laws of every CRM, and what is Odoo's own, against one in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from sinks.crm.connector import Connector, Entry, Portal
from sinks.crm.odoo import OdooPortal, _external_id, _ours, home_of
from streams.clients.crm import UnknownContact
from streams.clients.odoo import Config, connect
from streams.runtime import plugins
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject, Retry
from tests.contracts.crm_laws import NUMBER, TOKEN, Bench, CrmLaws
from tests.fakes.odoo import DATABASE, LOGIN, Odoo, not_saved, rpc, rpc_error
from tests.sinks.crm.calls import call, recorded
from tests.sinks.crm.odoo.far import Lettered, LoggedIn

T = TypeVar("T")
HOME, IDS = ("res.partner", 3), {"C1": "1", "C2": "2"}
CONFIG = Config(url="http://odoo.test", database=DATABASE, login=LOGIN, password=SecretStr(TOKEN), country="FR")
FIELDS = {"subject": "Inbound call", "started_at": "2023-11-14T22:13:20Z", "notes": "Ada: rang & said <b> <% x %>\nbye"}


class Far:
    """Odoo as the laws want a CRM."""

    told: Mapping[str, httpx.Response] = {
        "throttled": httpx.Response(429, headers={"retry-after": "2"}),
        "down": httpx.Response(503),
        "busy": rpc(not_saved()),
        "denied": rpc_error("odoo.exceptions.AccessDenied"),
        "invalid": rpc_error("odoo.exceptions.ValidationError"),
    }

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.odoo = Odoo(TOKEN, lambda: self.clock.now() // 1_000_000)
        self.transport = self.odoo.transport
        # The landline of C1 is not in its phone_sanitized, which has the mobile number; C2's number ends like C1's.
        self.odoo.create("res.partner", name="Zoë", phone="01 23 45 67 89", mobile="06 12 34 56 78")
        self.odoo.create("res.partner", name="Bea", phone="+32 23 45 67 89")
        self.odoo.create("res.partner", name="Trunkline")
        self.odoo.create("res.users", login=LOGIN, partner_id=[3, "Trunkline"])

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        async with connect(CONFIG, self.clock, rate=1000, transport=LoggedIn(self.odoo.transport, transport)) as client:
            yield Lettered(OdooPortal(client, CONFIG, HOME), IDS)

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        names = {_external_id(f"main:{n}"): f"main:{n}" for n in range(10)}
        letters = {found: name for name, found in IDS.items()}
        return [
            (
                names[m["message_id"][1:-1].partition("@")[0]],
                fields | {"contact_id": letters.get(fields["contact_id"], "")},
            )
            for m in self.odoo.tables["mail.message"].values()
            for fields in [_ours(m, HOME)]
        ]


@pytest.fixture
def far() -> Far:
    """Odoo in memory."""
    return Far()


class TestOdoo(CrmLaws):
    """Every law."""


def with_portal(far: Far, verb: Callable[[OdooPortal], Awaitable[T]], **keys: Any) -> T:
    """What a verb of a new session returns."""

    async def ask() -> T:
        config = replace(CONFIG, **keys)
        async with connect(config, far.clock, rate=1000, transport=far.transport) as client:
            return await verb(OdooPortal(client, config, await home_of(client, config)))

    return asyncio.run(ask())


def note(far: Far) -> dict[str, Any]:
    (found,) = far.odoo.tables["mail.message"].values()
    return found


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("sinks.crm", "odoo", Connector).config is Config


@pytest.mark.parametrize("api", ["jsonrpc", "json2"])
def test_both_ways_in_write_the_same(far: Far, api: str) -> None:
    """A call of Odoo 19 is the same record as one of Odoo 14."""

    async def written(portal: OdooPortal) -> Sequence[Entry]:
        made = await portal.put_call("main:1", FIELDS | {"contact_id": "1"})
        await portal.patch_call(made, {"recording": "https://pbx.test/1?a=1&b=2"})
        return await portal.confirm("main:1")

    (entry,) = with_portal(far, written, api=api)
    told = {k: v for k, v in entry.fields.items() if v}
    assert told == FIELDS | {"contact_id": "1", "recording": "https://pbx.test/1?a=1&b=2"}


def test_the_same_call_put_twice_is_one_note(far: Far) -> None:
    """The external id is Odoo's own key: even without the ledger nothing is doubled."""
    first = with_portal(far, lambda p: p.put_call("main:1", FIELDS))
    assert with_portal(far, lambda p: p.put_call("main:1", FIELDS)) == first
    assert len(far.odoo.tables["mail.message"]) == 1


def test_outside_text_stays_text(far: Far) -> None:
    """What a caller is named, and what an agent noted, is no markup in the body."""
    with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"customer_name": "<script>x</script>"}))
    assert "<script" not in note(far)["body"]
    assert "&lt;b&gt; &lt;% x %&gt;<br>bye" in note(far)["body"]


def test_odoo_stores_a_template_mark_as_it_is(far: Far) -> None:
    """Its sanitiser does so on purpose; it reads back as text all the same."""
    with_portal(far, lambda p: p.put_call("main:1", FIELDS))
    far.odoo.write("mail.message", 1, body=note(far)["body"].replace("&lt;%", "<%").replace("%&gt;", "%>"))
    ((_, fields),) = far.entries()
    assert fields["notes"] == FIELDS["notes"]


def test_what_a_person_wrote_into_the_body_stays(far: Far) -> None:
    """A later revision replaces its own rows, adds new ones, and takes away what is empty now."""
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"queue": "support"}))
    body = f"<p>Call back!</p>{note(far)['body']}<p>Done.</p>"
    far.odoo.write("mail.message", int(made), body=body)
    with_portal(far, lambda p: p.patch_call(made, {"queue": "", "recording": "1.wav", "notes": "n"}))
    assert note(far)["body"] == (
        "<p>Call back!</p><ul><li><b>Notes</b>: n</li><li><b>Recording</b>: 1.wav</li></ul><p>Done.</p>"
    )


def test_a_row_that_a_person_edited_is_not_overwritten(far: Far) -> None:
    """Under the ledger: the edited subject and result stay, the recording arrives."""
    bench = Bench(far)
    bench.write(call())
    made = note(far)
    body = made["body"].replace("<b>Result</b>: answered", "<b>Result</b>: sold!")
    far.odoo.write("mail.message", made["id"], body=body, subject="Sale")
    bench.write(replace(recorded(call()), outcome="missed"))
    ((_, fields),) = far.entries()
    assert (fields["result"], fields["subject"], fields["recording"]) == ("sold!", "Sale", "1.wav")


def test_a_contact_that_is_gone_is_told(far: Far) -> None:
    """Odoo says only that it saved nothing, or that it is forbidden; so the contact is looked for."""
    with pytest.raises(UnknownContact):
        with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"contact_id": "9"}))
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"contact_id": "1"}))
    for wrong in ("9", "x"):
        with pytest.raises(UnknownContact):
            with_portal(far, lambda p: p.patch_call(made, {"contact_id": wrong}))  # noqa: B023 - called at once


def test_a_call_of_nobody_known_stands_where_the_setting_says(far: Far) -> None:
    """On the contact of the user, or on the document of `unknown_on`; it moves to the contact once there is one."""
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS))
    assert (note(far)["model"], note(far)["res_id"]) == HOME
    ((_, fields),) = far.entries()
    assert fields["contact_id"] == ""
    with_portal(far, lambda p: p.patch_call(made, {"contact_id": ""}), unknown_on="res.partner:2")
    assert (note(far)["model"], note(far)["res_id"]) == ("res.partner", 2)
    with_portal(far, lambda p: p.patch_call(made, {"contact_id": "1"}))
    assert (note(far)["model"], note(far)["res_id"]) == ("res.partner", 1)


@pytest.mark.parametrize("keys", [{"unknown_on": "mail.channel"}, {"unknown_on": ":1"}, {"api": "json2", "login": "x"}])
def test_where_that_cannot_be_a_person_is_told(far: Far, keys: dict[str, str]) -> None:
    """Before a call is written."""
    with pytest.raises(Fatal, match=r"unknown_on|login"):
        with_portal(far, lambda p: p.confirm("main:1"), **keys)


MISSED = FIELDS | {"direction": "inbound", "result": "abandoned", "customer_number": NUMBER, "contact_id": "1"}


def tasks(far: Far) -> list[tuple[Any, ...]]:
    return [(t["res_id"], t["user_id"], t["summary"]) for t in far.odoo.tables["mail.activity"].values()]


def test_a_missed_call_is_work_for_the_contacts_owner(far: Far) -> None:
    """One activity, whatever is written again; it goes with the note of a call that was part of another one."""
    far.odoo.write("res.partner", 1, user_id=[9, "Ada"])
    made = with_portal(far, lambda p: p.put_call("main:1", MISSED), missed_task=True)
    with_portal(far, lambda p: p.put_call("main:1", MISSED), missed_task=True)
    with_portal(far, lambda p: p.put_call("main:2", MISSED | {"contact_id": "2"}), missed_task=True)
    assert tasks(far) == [(1, "9", f"Inbound call: {NUMBER}"), (2, False, f"Inbound call: {NUMBER}")]
    with_portal(far, lambda p: p.drop_call(made), missed_task=True)
    assert [on for on, _, _ in tasks(far)] == [2]
    assert note(far)["res_id"] == 2


@pytest.mark.parametrize(
    ("changes", "asked_for"),
    [
        ({"result": "answered"}, True),
        ({"result": "short_abandon"}, True),
        ({"direction": "outbound"}, True),
        ({"contact_id": ""}, True),
        ({}, False),
    ],
)
def test_other_calls_are_no_work(far: Far, changes: dict[str, str], asked_for: bool) -> None:
    """Nor is any when it is not asked for; each is noted all the same."""
    with_portal(far, lambda p: p.put_call("main:1", MISSED | changes), missed_task=asked_for)
    assert tasks(far) == []
    assert note(far)["message_type"] == "comment"


def test_a_missed_call_of_a_contact_that_is_gone_is_told(far: Far) -> None:
    """By the note, as for every call."""
    with pytest.raises(UnknownContact):
        with_portal(far, lambda p: p.put_call("main:1", MISSED | {"contact_id": "99"}), missed_task=True)
    assert tasks(far) == []


def test_a_row_that_is_never_saved_is_refused_in_the_end(far: Far) -> None:
    """A conflict of two writers and a bad row read the same; the one ends, the other does not."""
    far.transport = httpx.MockTransport(lambda r: rpc(not_saved()) if b"load" in r.content else far.odoo.answer(r))

    async def until_refused(portal: OdooPortal) -> int:
        tries = 0
        while True:
            tries += 1
            try:
                await portal.put_call("main:1", FIELDS)
            except Retry:
                assert tries < 100
            except Reject:
                return tries

    assert with_portal(far, until_refused) == 8


def test_a_number_is_found_in_any_spelling_and_field(far: Far) -> None:
    """Mobile and landline of the same contact, with and without the country; never another country's."""
    far.odoo.create("res.partner", phone="+33 (0)1.23.45.67.89 x12")
    far.odoo.create("res.partner", phone="0123456789", active=False)
    assert with_portal(far, lambda p: p.find_by_phone(NUMBER)) == ["1", "4"]
    assert with_portal(far, lambda p: p.find_by_phone("+33612345678")) == ["1"]


def test_call_ids_never_meet_in_an_external_id() -> None:
    """Dots would end it, and what replaces them must not stand for itself."""
    ids = ["main:1.2", "main:1_2", "main:1_2e_2", "main_3a_1.2", "MAIN:1.2", "main:1 2"]
    names = {_external_id(i) for i in ids}
    assert len(names) == len(ids)
    assert not [n for n in names if "." in n]
