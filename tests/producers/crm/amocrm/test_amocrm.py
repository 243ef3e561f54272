"""amoCRM's contacts and companies as the feed reads them, against one in memory."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from producers.crm.amocrm import AmoContacts
from producers.crm.source import Changes, ContactSource
from streams.clients import amocrm, amocrm_lists
from streams.clients.amocrm import Config, connect
from streams.clients.crm import Gone
from streams.runtime import plugins
from tests.fakes.amocrm import Amo
from tests.producers.crm.desk import FeedDesk

CONFIG = Config(url="https://crm.test", token=SecretStr("a-token"), reconcile_s=3600)


class Desk(FeedDesk[AmoContacts]):
    """A session with an account, and a feed that is turned by hand."""

    def __init__(self) -> None:
        super().__init__(CONFIG)
        self.amo = Amo(lambda: self.clock.now() / 1_000_000, "a-token")
        self.before: list[Callable[[], object]] = []
        """What happens in the account ahead of the next requests."""

    def door(self, request: httpx.Request) -> httpx.Response:
        if self.before:
            self.before.pop(0)()
        return self.amo.answer(request)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AmoContacts]:
        self.clock.advance(1)
        async with connect(CONFIG, self.clock, rate=2, transport=httpx.MockTransport(self.door)) as client:
            yield AmoContacts(client, CONFIG, self.clock)

    def scan(self, since: int | None = None) -> list[str]:
        """The ids that all pages show."""

        async def read(contacts: AmoContacts) -> list[str]:
            seen, cursor = [], ""
            for _ in range(50):
                page = await contacts.page(cursor, since)
                seen += [f.contact_id for f in page.found]
                cursor = page.cursor
                if not cursor:
                    return seen
            pytest.fail("it does not end")

        return self.ask(read)

    def turns(self, deeds: list[Callable[[], object]], *, seconds: float | None = None) -> list[set[str]]:
        said = super().turns(deeds, seconds=seconds)
        assert self.amo.limited == 0
        return said


@pytest.fixture
def desk() -> Desk:
    """An empty account."""
    return Desk()


@pytest.fixture
def pages_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists as short as a test."""
    for module in (amocrm, amocrm_lists):
        monkeypatch.setattr(module, "PAGE", 2)
    monkeypatch.setattr("producers.crm.amocrm.PAGE", 2)


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("producers.crm", "amocrm", ContactSource).config is Config


def test_a_contact_is_read_whole(desk: Desk) -> None:
    """Numbers as typed, its company, its owner, its second of change; no other field is taken for a number."""
    desk.amo.create("companies", name="ACME", stamp=5)
    links = {"companies": [{"id": 1}]}
    desk.amo.create("contacts", name="Zoë", phones=("02 555 12 34", "0470 12 34 99"), stamp=6, _embedded=links)
    found = desk.ask(lambda c: c.get("contacts/1"))
    assert (found.name, found.kind, found.company_id, found.owner) == ("Zoë", "person", "companies/1", "9")
    assert (found.numbers, found.updated_at) == (("02 555 12 34", "0470 12 34 99"), 6_000_000)
    other = desk.ask(lambda c: c.get("companies/1"))
    assert (other.kind, other.company_id, other.numbers) == ("company", "", ())


def test_who_is_deleted_is_gone(desk: Desk) -> None:
    """Not there, an empty answer, or marked: asked by id, as the feed does before it believes it."""
    desk.amo.create("contacts", is_deleted=True)
    for contact_id in ("contacts/1", "contacts/99", "companies/1"):
        with pytest.raises(Gone):
            desk.ask(lambda c: c.get(contact_id))  # noqa: B023 - called at once


@pytest.mark.usefixtures("pages_of_two")
def test_pages_go_by_id_and_end(desk: Desk) -> None:
    """Each card once, full last pages and empty lists included, contacts ahead of companies."""
    assert desk.scan() == []
    for n in range(4):
        desk.amo.create("contacts", stamp=n)
    assert desk.scan() == [f"contacts/{n}" for n in range(1, 5)]
    for n in range(3):
        desk.amo.create("companies", stamp=n)
    assert desk.scan() == [f"contacts/{n}" for n in range(1, 5)] + [f"companies/{n}" for n in range(1, 4)]
    for desk.amo.filters in (False, True):
        assert desk.scan(since=2_000_000) == ["contacts/4", "contacts/3", "companies/3"]


@pytest.mark.usefixtures("pages_of_two")
@pytest.mark.parametrize("gone", [(1,), (2,), (1, 2), (1, 2, 3), (1, 2, 3, 4, 5), (3, 4)])
@pytest.mark.parametrize("at", range(1, 6))
def test_what_is_deleted_during_a_scan_hides_nothing_that_stays(desk: Desk, gone: tuple[int, ...], at: int) -> None:
    """Page numbers move: deletions at any moment, of read and unread cards."""
    for _ in range(9):
        desk.amo.create("contacts")
    desk.before = [*[lambda: None] * at, lambda: desk.amo.delete("contacts", *gone)]
    assert set(desk.scan()) >= {f"contacts/{n}" for n in range(1, 10) if n not in gone}


@pytest.mark.usefixtures("pages_of_two")
@pytest.mark.parametrize("at", range(1, 7))
@pytest.mark.parametrize("stamps", [range(100, 109), [100] * 9, [100] * 5 + [101] * 4])
def test_what_is_changed_during_a_scan_by_time_hides_nothing_that_stays(desk: Desk, at: int, stamps: list[int]) -> None:
    """A changed card goes to the head, and the rest moves back; also within a second that fills pages."""
    for stamp in stamps:
        desk.amo.create("contacts", stamp=stamp)

    def change() -> None:
        for one in (1, 2, 3):
            desk.amo.write("contacts", one, name="x")

    desk.before = [*[lambda: None] * at, change]
    assert set(desk.scan(since=100_000_000)) >= {f"contacts/{n}" for n in range(4, 10)}


@pytest.mark.usefixtures("pages_of_two")
@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("gone", [(9,), (8, 9), (5, 6, 7, 8, 9), (1,)])
def test_what_is_deleted_during_a_scan_by_time_hides_nothing_that_stays(
    desk: Desk, gone: tuple[int, ...], at: int
) -> None:
    """The rest moves ahead, into pages that were read: the reading begins again."""
    for stamp in range(100, 109):
        desk.amo.create("contacts", stamp=stamp)
    desk.before = [*[lambda: None] * at, lambda: desk.amo.delete("contacts", *gone)]
    assert set(desk.scan(since=100_000_000)) >= {f"contacts/{n}" for n in range(1, 10) if n not in gone}


@pytest.mark.usefixtures("pages_of_two")
def test_a_bulk_import_within_one_second_is_read_page_by_page(desk: Desk) -> None:
    """More cards of the same second than a page holds, and one that changes between two pages."""
    token = desk.ask(lambda c: c.mark()).token
    for n in range(5):
        desk.amo.create("contacts", name=str(n), stamp=100)

    async def follow(contacts: AmoContacts) -> list[str]:
        names: list[str] = []
        changes = Changes(updated=(), gone=(), token=token, more=True)
        for turn in range(20):
            changes = await contacts.changes(changes.token)
            names += [f.name for f in changes.updated]
            if turn == 1:
                desk.amo.write("contacts", 1, name="0 again", stamp=101)
            if not changes.more:
                break
        return names + [f.name for f in (await contacts.changes(changes.token)).updated]

    assert set(desk.ask(follow)) == {"0", "0 again", "1", "2", "3", "4"}


def test_an_empty_account_is_followed_from_its_first_card_on(desk: Desk) -> None:
    """Its token asks for no time before the epoch."""
    token = desk.ask(lambda c: c.mark()).token
    assert json.loads(token) == {"contacts": [1, 1, 0, 0], "companies": [1, 1, 0, 0]}
    desk.amo.create("companies", name="ACME")
    assert [f.name for f in desk.ask(lambda c: c.changes(token)).updated] == ["ACME"]


def test_the_last_seconds_are_read_again(desk: Desk) -> None:
    """Two changes of one second, and one that shows late, of which the first look saw one."""
    desk.amo.create("contacts", name="a", stamp=100)
    token = desk.ask(lambda c: c.changes('{"contacts": [50, 1, 0, 0]}')).token
    desk.amo.create("contacts", name="b", stamp=100)
    desk.amo.create("contacts", name="c", stamp=91)
    assert {f.name for f in desk.ask(lambda c: c.changes(token)).updated} == {"a", "b", "c"}


def test_a_quiet_account_keeps_its_token(desk: Desk) -> None:
    """Nothing is settled anew, though its last change is read again."""
    desk.amo.create("contacts", stamp=100)
    first = desk.ask(lambda c: c.changes('{"contacts": [50, 1, 0, 0]}'))
    again = desk.ask(lambda c: c.changes(first.token))
    assert (again.token, again.more) == (first.token, False)


def test_created_edited_and_marked_deleted_arrive_at_the_next_look(desk: Desk) -> None:
    """Of both lists."""
    amo = desk.amo
    said = desk.turns(
        [
            lambda: [amo.create("contacts", name=name) for name in ("Ada", "Bea")],
            lambda: amo.create("companies", name="ACME"),
            lambda: amo.write("contacts", 1, name="Ada L."),
            lambda: amo.write("contacts", 2, is_deleted=True),
        ]
    )
    assert said == [{"Ada", "Bea"}, {"Ada", "Bea", "ACME"}, {"Ada L.", "Bea", "ACME"}, {"Ada L.", "ACME"}]


def test_what_shows_late_is_not_lost(desk: Desk) -> None:
    """A change that began long before one that was seen already: the sweep finds it."""
    began = desk.clock.now() // 1_000_000 + 50
    said = desk.turns(
        [
            lambda: desk.amo.create("contacts", name="there"),
            lambda: desk.amo.create("contacts", name="quick"),
            lambda: desk.amo.create("contacts", name="late", stamp=began),
        ]
    )
    assert said[-1] == {"there", "quick", "late"}


def test_who_was_deleted_without_a_trace_is_found_by_the_full_scan(desk: Desk) -> None:
    """The portal tells nobody; a merge leaves the same trace, none."""
    desk.turns([lambda: [desk.amo.create("contacts", name=name) for name in ("Ada", "Bea")]])
    desk.amo.delete("contacts", 1)
    assert desk.turns([lambda: None]) == [{"Ada", "Bea"}]
    desk.clock.advance(CONFIG.reconcile_s)
    assert desk.turns([lambda: None]) == [{"Bea"}]


def test_another_choice_of_cards_begins_where_the_token_says_nothing(desk: Desk) -> None:
    """A token from before companies were followed."""
    desk.amo.create("companies", name="ACME", stamp=5)
    assert [f.name for f in desk.ask(lambda c: c.changes('{"contacts": [50, 1, 0, 0]}')).updated] == ["ACME"]
