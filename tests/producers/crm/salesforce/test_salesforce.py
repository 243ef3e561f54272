"""Salesforce's contacts as the feed reads them, against an org in memory."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from pydantic import SecretStr

from producers.crm import salesforce as module
from producers.crm.salesforce import SalesforceContacts
from producers.crm.source import Changes, ContactSource
from producers.crm.topic import Position
from streams.clients.crm import Expired, Gone
from streams.clients.salesforce import Config, connect
from streams.runtime import plugins
from streams.runtime.clock import ManualClock
from tests.fakes.salesforce import CLIENT_ID, Salesforce
from tests.producers.crm.desk import FeedDesk

DAY = 86_400
NEVER = 10**9
CONFIG = Config(
    url="http://org.test",
    client_id=CLIENT_ID,
    client_secret=SecretStr("secret"),
    overlap_s=300,
    sweep_s=NEVER,
    reconcile_s=NEVER,
)


class Desk(FeedDesk[SalesforceContacts]):
    """A session with an org, and a feed that is turned by hand and scans nothing by itself."""

    step_s = 20.0

    def __init__(self) -> None:
        super().__init__(CONFIG, ManualClock(1_700_000_000_000_000))
        self.org = Salesforce("secret", lambda: self.clock.now() // 1_000_000)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SalesforceContacts]:
        async with connect(CONFIG, self.clock, rate=1000, transport=self.org.transport) as client:
            yield SalesforceContacts(client, CONFIG)

    async def first(self, contacts: SalesforceContacts) -> Position:
        return replace(await super().first(contacts), swept=self.clock.now(), reconciled=self.clock.now())


@pytest.fixture
def desk() -> Desk:
    """An empty org."""
    return Desk()


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("producers.crm", "salesforce", ContactSource).config is Config


def test_a_contact_is_read_whole(desk: Desk) -> None:
    """All numbers as typed, its account, its owner, its second of change."""
    made = desk.org.create(
        "Contact",
        Name="Zoë",
        Phone="02 555 12 34",
        MobilePhone="0470 12 34 99",
        AccountId="001A",
        OwnerId="005A",
        stamp=1_700_000_005,
    )
    found = desk.ask(lambda c: c.get(made))
    assert (found.name, found.kind, found.company_id, found.owner) == ("Zoë", "person", "001A", "005A")
    assert found.numbers == ("02 555 12 34", "0470 12 34 99")
    assert found.updated_at == 1_700_000_005_000_000
    bare = desk.ask(lambda c: c.get(desk.org.create("Contact", Name="Bea")))
    assert (bare.company_id, bare.owner, bare.numbers) == ("", "", ())


def test_who_is_deleted_is_gone(desk: Desk) -> None:
    """Asked by id, as the feed does before it believes it; an id of another system is nobody's."""
    gone = desk.org.create("Contact")
    desk.org.bin("Contact", gone)
    for contact_id in (gone, "003000000000009AAA", "C1", "' OR Name > '"):
        with pytest.raises(Gone):
            desk.ask(lambda c: c.get(contact_id))  # noqa: B023 - called at once


def test_pages_go_by_id_and_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each contact once, a full last page included; `since` leaves out what is older, nobody sees the deleted."""
    monkeypatch.setattr(module, "_PAGE", 2)
    for n in range(4):
        desk.org.create("Contact", Name=str(n), stamp=n)
    desk.org.bin("Contact", desk.org.create("Contact", Name="gone"))

    async def scan(contacts: SalesforceContacts, since: int | None) -> list[str]:
        names, cursor = [], ""
        for _ in range(9):
            page = await contacts.page(cursor, since)
            names += [f.name for f in page.found]
            cursor = page.cursor
            if not cursor:
                return names
        pytest.fail("it does not end")

    assert desk.ask(lambda c: scan(c, None)) == ["0", "1", "2", "3"]
    assert desk.ask(lambda c: scan(c, 2_000_000)) == ["2", "3"]


def test_created_edited_merged_deleted_and_restored_arrive(desk: Desk) -> None:
    """Each at the next look, by the change feed alone; who took the merged one over has the number."""
    org = desk.org
    ids: list[str] = []

    def merge() -> None:
        org.merge(ids[0], ids[1])
        org.write("Contact", ids[0], HomePhone="0470 12 34 99")

    said = desk.turns(
        [
            lambda: ids.extend(org.create("Contact", Name=name) for name in ("Ada", "Ada's double", "Cid")),
            lambda: org.write("Contact", ids[2], Name="Cid B."),
            merge,
            lambda: org.bin("Contact", ids[2]),
            lambda: org.write("Contact", ids[2], IsDeleted=False),
        ]
    )
    assert said == [
        {"Ada", "Ada's double", "Cid"},
        {"Ada", "Ada's double", "Cid B."},
        {"Ada", "Cid B."},
        {"Ada"},
        {"Ada", "Cid B."},
    ]
    assert desk.topic.says[ids[0]].numbers == ("+32470123499",)


def test_a_deleted_contact_is_gone_and_not_updated(desk: Desk) -> None:
    """One look tells each contact once, in its last state."""
    token = desk.ask(lambda c: c.mark()).token
    stays, gone = (desk.org.create("Contact", Name=name) for name in ("Ada", "Bea"))
    desk.org.bin("Contact", gone)
    changes = desk.ask(lambda c: c.changes(token))
    assert ([f.contact_id for f in changes.updated], list(changes.gone)) == ([stays], [gone])


def test_what_commits_late_is_not_lost(desk: Desk) -> None:
    """Saved four minutes ago by a long transaction, and shown only now; so with a deletion."""
    there = desk.org.create("Contact", Name="there")
    late = desk.clock.now() // 1_000_000
    said = desk.turns(
        [lambda: None] * 11
        + [
            lambda: desk.org.create("Contact", Name="late", stamp=late),
            lambda: desk.org.write("Contact", there, IsDeleted=True, stamp=late + 20),
        ]
    )
    assert said[-3:] == [{"there"}, {"there", "late"}, {"late"}]


def test_an_import_is_read_page_by_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """More contacts of the same second than a page holds; what comes between two pages is read at the next look."""
    monkeypatch.setattr(module, "_PAGE", 2)
    token = desk.ask(lambda c: c.mark()).token
    first, *_ = [desk.org.create("Contact", Name=str(n)) for n in range(5)]

    async def follow(contacts: SalesforceContacts) -> list[str]:
        names: list[str] = []
        changes = Changes(updated=(), gone=(), token=token, more=True)
        for turn in range(9):
            changes = await contacts.changes(changes.token)
            names += [f.name for f in changes.updated]
            desk.clock.advance(400)
            if turn == 0:
                desk.org.write("Contact", first, Name="0 again")
            if not changes.more:
                break
        return names + [f.name for f in (await contacts.changes(changes.token)).updated]

    assert set(desk.ask(follow)) == {"0", "0 again", "1", "2", "3", "4"}


def test_a_quiet_org_costs_one_request_a_look(desk: Desk) -> None:
    """They are counted against the org's day; and what was read is not read for ever."""
    desk.org.create("Contact", Name="Ada")
    desk.turns([lambda: None] * 30)
    assert desk.org.asked == ["GET query"] + ["GET queryAll"] * 30
    token = desk.topic.position
    assert token is not None
    assert desk.ask(lambda c: c.changes(token.token)).updated == ()


@pytest.mark.parametrize("days", [15, -1])
def test_a_token_that_cannot_be_followed_has_expired(desk: Desk, days: int) -> None:
    """The recycle bin no longer has what was deleted then; and nobody has read a future."""
    token = desk.ask(lambda c: c.mark()).token
    since, *rest = json.loads(token)
    with pytest.raises(Expired):
        desk.ask(lambda c: c.changes(json.dumps([since - days * DAY * 1_000_000, *rest])))
