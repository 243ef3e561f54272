"""Odoo's contacts as the feed reads them, against one in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from producers.crm import odoo as module
from producers.crm.odoo import OdooContacts
from producers.crm.source import Changes, ContactSource
from streams.clients.crm import Gone
from streams.clients.odoo import Config, connect
from streams.runtime import plugins
from tests.fakes.odoo import DATABASE, LOGIN, Odoo
from tests.producers.crm.desk import FeedDesk

CONTACT = "res.partner"
CONFIG = Config(
    url="http://odoo.test", database=DATABASE, login=LOGIN, password=SecretStr("key"), ids_s=60, reconcile_s=3600
)


class Desk(FeedDesk[OdooContacts]):
    """A session with an Odoo, and a feed that is turned by hand."""

    def __init__(self) -> None:
        super().__init__(CONFIG)
        self.odoo = Odoo("key", lambda: self.clock.now() // 1_000_000)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OdooContacts]:
        async with connect(CONFIG, self.clock, rate=1000, transport=self.odoo.transport) as client:
            yield OdooContacts(client, CONFIG, self.clock)


@pytest.fixture
def desk() -> Desk:
    """An empty Odoo."""
    return Desk()


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("producers.crm", "odoo", ContactSource).config is Config


def test_a_contact_is_read_whole(desk: Desk) -> None:
    """Both numbers as typed, its company, its owner, its second of change."""
    company = desk.odoo.create(CONTACT, name="ACME", is_company=True, stamp=5)
    person = desk.odoo.create(
        CONTACT,
        name="Zoë",
        phone="02 555 12 34",
        mobile="0470 12 34 99",
        parent_id=[company, "ACME"],
        user_id=[9, "Ada"],
    )
    found = desk.ask(lambda c: c.get(str(person)))
    assert (found.name, found.kind, found.company_id, found.owner) == ("Zoë", "person", str(company), "9")
    assert found.numbers == ("02 555 12 34", "0470 12 34 99")
    other = desk.ask(lambda c: c.get(str(company)))
    assert (other.kind, other.company_id, other.owner, other.numbers, other.updated_at) == (
        "company",
        "",
        "",
        (),
        5_000_000,
    )


def test_who_is_deleted_or_archived_is_gone(desk: Desk) -> None:
    """Asked by id, as the feed does before it believes it."""
    archived = desk.odoo.create(CONTACT, active=False)
    for contact_id in (str(archived), "99"):
        with pytest.raises(Gone):
            desk.ask(lambda c: c.get(contact_id))  # noqa: B023 - called at once


def test_pages_go_by_id_and_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each contact once, a full last page included; `since` leaves out what is older."""
    monkeypatch.setattr(module, "_PAGE", 2)
    for n in range(4):
        desk.odoo.create(CONTACT, name=str(n), stamp=n)

    async def scan(contacts: OdooContacts, since: int | None) -> list[str]:
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


def test_a_bulk_import_within_one_second_is_read_page_by_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """More contacts of the same second than a page holds, and one that comes between two pages."""
    monkeypatch.setattr(module, "_PAGE", 2)
    token = desk.ask(lambda c: c.mark()).token
    for n in range(5):
        desk.odoo.create(CONTACT, name=str(n), stamp=100)

    async def follow(contacts: OdooContacts) -> list[str]:
        names: list[str] = []
        changes = Changes(updated=(), gone=(), token=token, more=True)
        for turn in range(9):
            changes = await contacts.changes(changes.token)
            names += [f.name for f in changes.updated]
            if turn == 1:
                desk.odoo.write(CONTACT, 1, name="0 again", stamp=101)
            if not changes.more:
                break
        return names + [f.name for f in (await contacts.changes(changes.token)).updated]

    assert set(desk.ask(follow)) == {"0", "0 again", "1", "2", "3", "4"}


def test_the_second_of_the_last_change_is_read_again(desk: Desk) -> None:
    """Two changes of one second, of which the first look saw one."""
    desk.odoo.create(CONTACT, name="a", stamp=100)
    token = desk.ask(lambda c: c.mark()).token
    seen = desk.ask(lambda c: c.changes(token))
    desk.odoo.create(CONTACT, name="b", stamp=100)
    assert "b" in {f.name for f in desk.ask(lambda c: c.changes(seen.token)).updated}


def test_created_edited_archived_merged_and_deleted_arrive(desk: Desk) -> None:
    """Each at the next look; nothing tells of a deletion but that the id is missing."""
    odoo = desk.odoo
    said = desk.turns(
        [
            lambda: [odoo.create(CONTACT, name=name) for name in ("Ada", "Bea", "Bea's double", "Cid")],
            lambda: odoo.write(CONTACT, 1, name="Ada L."),
            lambda: odoo.write(CONTACT, 4, active=False),
            lambda: odoo.write(CONTACT, 4, active=True),
            lambda: odoo.unlink(CONTACT, 3),
            lambda: odoo.unlink(CONTACT, 1),
        ]
    )
    assert said == [
        {"Ada", "Bea", "Bea's double", "Cid"},
        {"Ada L.", "Bea", "Bea's double", "Cid"},
        {"Ada L.", "Bea", "Bea's double"},
        {"Ada L.", "Bea", "Bea's double", "Cid"},
        {"Ada L.", "Bea", "Cid"},
        {"Bea", "Cid"},
    ]


def test_what_commits_late_is_not_lost(desk: Desk) -> None:
    """An import that began before a change that was seen already, and shows after it."""
    began = desk.odoo.now() + 50
    said = desk.turns(
        [
            lambda: desk.odoo.create(CONTACT, name="there"),
            lambda: desk.odoo.create(CONTACT, name="quick"),
            lambda: desk.odoo.create(CONTACT, name="late", stamp=began),
        ]
    )
    assert said[-1] == {"there", "quick", "late"}


def test_what_was_deleted_while_nobody_looked_is_found_by_the_full_scan(desk: Desk) -> None:
    """A new process has no list of ids to compare with."""
    desk.turns([lambda: [desk.odoo.create(CONTACT, name=name) for name in ("Ada", "Bea")]])
    desk.odoo.unlink(CONTACT, 1)
    desk.clock.advance(CONFIG.reconcile_s)
    assert desk.turns([lambda: None]) == [{"Bea"}]


def test_ids_are_looked_at_no_more_often_than_set(desk: Desk) -> None:
    """A poll a second, a look at all ids a minute; in a quiet Odoo no scan comes with it."""
    desk.odoo.create(CONTACT, name="Ada")
    desk.turns([lambda: None], seconds=1)
    before = len(desk.odoo.asked)
    said = desk.turns([lambda: None, lambda: desk.odoo.unlink(CONTACT, 1), lambda: None], seconds=1)
    assert said[-1] == {"Ada"}
    assert len(desk.odoo.asked) == before + 4
