"""HubSpot's contacts as the feed reads them, against an account in memory whose search lags behind."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from producers.crm import hubspot as module
from producers.crm.hubspot import HubSpotContacts, source
from producers.crm.source import Changes, ContactSource
from streams.clients.crm import Gone
from streams.clients.hubspot import Config, connect
from streams.runtime import plugins
from tests.fakes.hubspot import HubSpot
from tests.fakes.hubspot_answers import part_failed
from tests.producers.crm.desk import FeedDesk

CONFIG = Config(url="http://hubspot.test", token=SecretStr("key"), archived_s=60, reconcile_s=3600)
MILLI = 1000


class Desk(FeedDesk[HubSpotContacts]):
    """A session with an account, and a feed that is turned by hand."""

    def __init__(self) -> None:
        super().__init__(CONFIG)
        self.hubspot = HubSpot("key", self.clock)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[HubSpotContacts]:
        rate = CONFIG.feed_rate_per_s
        async with connect(CONFIG, self.clock, rate=rate, transport=self.hubspot.transport) as client:
            yield HubSpotContacts(client, CONFIG, self.clock)

    def turns(self, deeds: list[Callable[[], object]], *, seconds: float | None = None) -> list[set[str]]:
        said = super().turns(deeds, seconds=seconds)
        assert self.hubspot.breaches == 0
        return said


@pytest.fixture
def desk() -> Desk:
    """An empty account."""
    return Desk()


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("producers.crm", "hubspot", ContactSource) is source


def test_a_contact_is_read_whole(desk: Desk) -> None:
    """Both numbers as typed, its company, its owner, its millisecond of change."""
    made = desk.hubspot.contact(
        "Zoë",
        lastname="Čapková",
        phone="02 555 12 34",
        mobilephone="0470 12 34 99",
        associatedcompanyid="7",
        hubspot_owner_id="9",
        stamp=5_001_000,
    )
    found = desk.ask(lambda c: c.get(made))
    assert (found.name, found.company_id, found.owner, found.updated_at) == ("Zoë Čapková", "7", "9", 5_001_000)
    assert found.numbers == ("02 555 12 34", "0470 12 34 99")
    bare = desk.ask(lambda c: c.get(desk.hubspot.contact(lastname="Bo")))
    assert (bare.name, bare.company_id, bare.owner, bare.numbers) == ("Bo", "", "", ())


def test_who_is_deleted_erased_or_merged_away_is_gone(desk: Desk) -> None:
    """Asked by id, as the feed does before it believes it; a merged id leads to somebody else."""
    deleted, erased, merged, survivor = (desk.hubspot.contact(name) for name in "abcd")
    desk.hubspot.delete(deleted)
    desk.hubspot.erase(erased)
    desk.hubspot.merge(merged, survivor)
    for contact_id in (deleted, erased, merged, "99", "../calls"):
        with pytest.raises(Gone):
            desk.ask(lambda c: c.get(contact_id))  # noqa: B023 - called at once
    assert desk.ask(lambda c: c.get(survivor)).name == "d"


def test_pages_go_by_id_and_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each contact once, a full last page included; `since` leaves out what is older."""
    monkeypatch.setattr(module, "_PAGE", 2)
    for n in range(4):
        desk.hubspot.contact(str(n), stamp=n * MILLI)

    async def scan(contacts: HubSpotContacts, since: int | None) -> list[str]:
        names, cursor = [], ""
        for _ in range(9):
            page = await contacts.page(cursor, since)
            names += [f.name for f in page.found]
            cursor = page.cursor
            if not cursor:
                return names
        pytest.fail("it does not end")

    assert desk.ask(lambda c: scan(c, None)) == ["0", "1", "2", "3"]
    assert desk.ask(lambda c: scan(c, 2 * MILLI)) == ["2", "3"]


def test_an_import_within_one_millisecond_is_read_page_by_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """More contacts of the same moment than a page holds, and one that changes between two pages."""
    monkeypatch.setattr(module, "_PAGE", 2)
    token = desk.ask(lambda c: c.mark()).token
    first, *_ = [desk.hubspot.contact(str(n), stamp=100 * MILLI) for n in range(5)]

    async def follow(contacts: HubSpotContacts) -> list[str]:
        names: list[str] = []
        changes = Changes(updated=(), gone=(), token=token, more=True)
        for turn in range(9):
            changes = await contacts.changes(changes.token)
            names += [f.name for f in changes.updated]
            if turn == 1:
                desk.hubspot.change(first, stamp=101 * MILLI, firstname="0 again")
            if not changes.more:
                break
        return names + [f.name for f in (await contacts.changes(changes.token)).updated]

    assert desk.ask(follow) == ["0", "1", "2", "3", "4", "0 again"]


def test_created_edited_deleted_restored_merged_and_erased_arrive(desk: Desk) -> None:
    """Each at the next look but the erased one, whom nothing tells of: the full scan finds that out."""
    hubspot = desk.hubspot
    ids: list[str] = []

    def restore() -> None:
        hubspot.tables["contacts"][ids[3]]["archived"] = False
        hubspot.change(ids[3])

    said = desk.turns(
        [
            lambda: ids.extend(hubspot.contact(name) for name in ("Ada", "Bea", "Bea's double", "Cid")),
            lambda: hubspot.change(ids[0], firstname="Ada L."),
            lambda: hubspot.delete(ids[3]),
            restore,
            lambda: hubspot.merge(ids[2], ids[1]),
            lambda: hubspot.erase(ids[0]),
            lambda: desk.clock.advance(CONFIG.reconcile_s),
        ]
    )
    assert said == [
        {"Ada", "Bea", "Bea's double", "Cid"},
        {"Ada L.", "Bea", "Bea's double", "Cid"},
        {"Ada L.", "Bea", "Bea's double"},
        {"Ada L.", "Bea", "Bea's double", "Cid"},
        {"Ada L.", "Bea", "Cid"},
        {"Ada L.", "Bea", "Cid"},
        {"Bea", "Cid"},
    ]


def test_what_the_search_shows_late_is_not_lost(desk: Desk) -> None:
    """A change that was shown a minute late, behind one that came after it and was shown at once."""
    ids = [desk.hubspot.contact(name, stamp=MILLI) for name in ("slow", "quick")]

    def change() -> None:
        desk.hubspot.lag = 60
        desk.hubspot.change(ids[0], firstname="slow, changed")
        desk.clock.advance(1)
        desk.hubspot.lag = 0
        desk.hubspot.change(ids[1], firstname="quick, changed")

    said = desk.turns([lambda: None, change, lambda: None])
    assert said == [{"slow", "quick"}, {"slow", "quick, changed"}, {"slow, changed", "quick, changed"}]


def test_what_the_search_still_shows_is_not_believed(desk: Desk) -> None:
    """It shows the old name of one who was changed again, and one who is deleted."""
    token = desk.ask(lambda c: c.mark()).token
    ids = [desk.hubspot.contact(name) for name in ("old", "there")]
    desk.hubspot.lag = 60
    desk.ask(lambda c: c.mark())  # indexes both
    desk.hubspot.change(ids[0], firstname="new")
    desk.hubspot.delete(ids[1])
    told = desk.ask(lambda c: c.changes(token))
    assert [f.name for f in told.updated] == ["new"]
    assert ids[1] in told.gone


def test_what_a_batch_failed_to_read_is_not_gone(desk: Desk) -> None:
    """It is asked for alone before it is believed."""
    token = desk.ask(lambda c: c.mark()).token
    desk.hubspot.contact("Ada")
    answer = desk.hubspot.answer

    def in_part(request: httpx.Request) -> httpx.Response:
        return part_failed("1", "INTERNAL_ERROR") if request.url.path.endswith("/read") else answer(request)

    desk.hubspot.transport = httpx.MockTransport(in_part)
    told = desk.ask(lambda c: c.changes(token))
    assert ([f.name for f in told.updated], told.gone) == (["Ada"], ())


def test_who_was_deleted_while_nobody_looked_is_found_by_the_archive(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new process reads all of its pages at once, and then no more often than set."""
    monkeypatch.setattr(module, "_PAGE", 2)
    ids = [desk.hubspot.contact(name) for name in ("Ada", "Bea", "Cid", "Dan")]
    desk.turns([lambda: None])
    for contact_id in ids[1:]:
        desk.hubspot.delete(contact_id)
    assert desk.turns([lambda: None, lambda: desk.hubspot.delete(ids[0]), lambda: None], seconds=31) == [
        {"Ada"},
        {"Ada"},
        set(),
    ]


def test_a_quiet_account_is_asked_one_search_a_look(desk: Desk) -> None:
    """A poll a second leaves the rest of the budget to scans."""
    desk.hubspot.contact("Ada")
    desk.turns([lambda: None], seconds=1)
    desk.hubspot.asked.clear()
    desk.turns([lambda: None] * 5, seconds=1)
    assert desk.hubspot.asked.count("POST /crm/v3/objects/contacts/search") == 5
