"""Bitrix24's contacts as the feed reads them, against one in memory."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from producers.crm.bitrix24 import Bitrix24Contacts
from producers.crm.source import ContactSource
from streams.clients.bitrix24 import Config, connect
from streams.clients.crm import Expired, Gone
from streams.runtime import plugins
from streams.runtime.errors import Retry
from tests.fakes.bitrix24 import COMPANY, CONTACT, Bitrix24
from tests.fakes.bitrix24_rest import CLIENT, SECRET
from tests.producers.crm.desk import FeedDesk


class Desk(FeedDesk[Bitrix24Contacts]):
    """A session with a Bitrix24, and a feed that is turned by hand."""

    step_s = 1.0

    def __init__(self, folder: Path) -> None:
        file = folder / "tokens.json"
        file.write_text(json.dumps({"access_token": "key", "refresh_token": "refresh-1"}), "utf-8")
        self.portal = Config(
            url="https://b24.test",
            client_id=CLIENT,
            client_secret=SecretStr(SECRET),
            tokens=str(file),
            sweep_s=60,
            reconcile_s=3600,
        )
        super().__init__(self.portal)
        self.b24 = Bitrix24("key", lambda: self.clock.now() / 1_000_000)
        self.b24.expires = float("inf")
        self.transport = self.b24.transport

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Bitrix24Contacts]:
        async with connect(self.portal, self.clock, rate=1000, burst=50, transport=self.transport) as client:
            yield Bitrix24Contacts(client)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty Bitrix24."""
    return Desk(tmp_path)


def nothing() -> None:
    """No deed."""


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("producers.crm", "bitrix24", ContactSource).config is Config


def test_a_contact_is_read_whole(desk: Desk) -> None:
    """Its numbers as typed, its company, its owner, its second of change; and a company beside it."""
    company = desk.b24.create(COMPANY, "02 555 12 34", title="ACME", stamp=5)
    desk.b24.create(CONTACT, "0470 12 34 99", "x", name="Zoë", lastName="Čapková", companyId=company, assignedById=9)
    found = desk.ask(lambda c: c.get("C_1"))
    assert (found.name, found.kind, found.company_id, found.owner) == ("Zoë Čapková", "person", "CO_1", "9")
    assert found.numbers == ("0470 12 34 99", "x")
    other = desk.ask(lambda c: c.get("CO_1"))
    assert (other.name, other.kind, other.company_id, other.updated_at) == ("ACME", "company", "", 5_000_000)


@pytest.mark.parametrize("contact_id", ["C_9", "CO_1", "1", "L_1", "C_x"])
def test_who_is_not_there_is_gone(desk: Desk, contact_id: str) -> None:
    """Asked by id, as the feed does before it believes it."""
    with pytest.raises(Gone):
        desk.ask(lambda c: c.get(contact_id))


@pytest.mark.parametrize("count", [0, 49, 50, 51, 500, 501, 1203])
def test_pages_go_by_id_and_end(desk: Desk, count: int) -> None:
    """Each contact and company once, ten pages in a request; a full last page too."""
    for n in range(count):
        desk.b24.create(CONTACT, name=str(n), stamp=n)
    desk.b24.create(COMPANY, title="ACME", stamp=count)

    async def scan(contacts: Bitrix24Contacts, since: int | None) -> list[str]:
        names, cursor = [], ""
        for _ in range(99):
            page = await contacts.page(cursor, since)
            names += [f.name for f in page.found]
            cursor = page.cursor
            if not cursor:
                return names
        pytest.fail("it does not end")

    everybody = [*(str(n) for n in range(count)), "ACME"]
    assert desk.ask(lambda c: scan(c, None)) == everybody
    assert desk.b24.asked.count("batch") == count // 500 + 2
    assert desk.ask(lambda c: scan(c, 40_000_000)) == everybody[40:] or count < 40


def test_created_edited_and_deleted_arrive(desk: Desk) -> None:
    """Contacts and companies, each at the next look; what nobody reserved is cleared behind it."""
    b24 = desk.b24
    said = desk.turns(
        [
            lambda: [b24.create(CONTACT, name=name) for name in ("Ada", "Bea")],
            lambda: b24.write(CONTACT, 1, name="Ada L."),
            lambda: b24.create(COMPANY, title="ACME"),
            lambda: b24.remove(CONTACT, 2),
            lambda: b24.remove(COMPANY, 1),
        ]
    )
    assert said == [
        {"Ada", "Bea"},
        {"Ada L.", "Bea"},
        {"Ada L.", "Bea", "ACME"},
        {"Ada L.", "ACME"},
        {"Ada L."},
    ]
    assert b24.events == []


def test_more_changes_than_a_part_holds_are_read_part_by_part(desk: Desk) -> None:
    """Within one turn, each part durable before it is cleared."""
    desk.turns([nothing])
    desk.topic.effects.clear()
    desk.turns([lambda: [desk.b24.create(CONTACT, name=str(n)) for n in range(120)]])
    assert len(desk.topic.says) == 120
    assert [e for e in desk.topic.effects if e == "settle"] == ["settle"] * 4
    assert desk.b24.events == []


def test_what_was_read_and_not_settled_is_read_again(desk: Desk) -> None:
    """A process dies between reading and settling: the next one has the old token, and finds what is reserved."""
    desk.turns([nothing])
    desk.b24.create(CONTACT, name="Ada")
    seen = desk.ask(lambda c: c.changes(""))
    assert [f.name for f in seen.updated] == ["Ada"]
    assert [f.name for f in desk.ask(lambda c: c.changes("")).updated] == ["Ada"]
    assert desk.ask(lambda c: c.changes(seen.token)).updated == ()
    assert desk.b24.events == []


def test_a_lost_answer_loses_no_change(desk: Desk) -> None:
    """What it reserved is found in the queue by the same session, and before what came later."""
    desk.turns([nothing])
    desk.b24.create(CONTACT, name="Ada")
    lost = [True]

    def road(request: httpx.Request) -> httpx.Response:
        answer = desk.b24.answer(request)
        if b"event.offline.get" in request.content and lost:
            lost.pop()
            raise httpx.ReadTimeout("lost")
        return answer

    desk.transport = httpx.MockTransport(road)

    async def follow(contacts: Bitrix24Contacts) -> list[str]:
        with pytest.raises(Retry):
            await contacts.changes("")
        desk.b24.create(CONTACT, name="Bea")
        names, token = [], ""
        for _ in range(9):
            changes = await contacts.changes(token)
            names += [f.name for f in changes.updated]
            token = changes.token
            if not changes.more:
                return names
        pytest.fail("it does not end")

    assert desk.ask(follow) == ["Ada", "Bea"]
    assert desk.b24.events == []


def test_a_queue_that_was_not_filled_has_a_gap(desk: Desk) -> None:
    """The application was installed anew: everything is scanned, once."""
    desk.turns([nothing])
    desk.b24.bound.clear()
    desk.b24.create(CONTACT, name="Ada")
    with pytest.raises(Expired):
        desk.ask(lambda c: c.changes(""))
    assert desk.turns([nothing, nothing])[-1] == set()
    desk.b24.bound.clear()
    assert desk.turns([nothing, nothing])[-1] == {"Ada"}


def test_an_event_of_nobody_is_a_gap_too(desk: Desk) -> None:
    """It says that something changed and not what: it is cleared, and everything is scanned."""
    desk.turns([nothing])
    desk.b24.create(CONTACT, name="Ada")
    desk.b24.events[0]["EVENT_DATA"] = False
    assert desk.turns([nothing, nothing])[-1] == {"Ada"}
    assert desk.b24.events == []


def test_without_the_queue_sweeps_find_changes_and_scans_deletions(desk: Desk) -> None:
    """A plan without confirmed reading: a minute instead of seconds, and nothing is read that could not be confirmed."""
    desk.b24.confirms = "N"
    b24 = desk.b24
    deeds: list[Callable[[], Any]] = [
        lambda: b24.create(CONTACT, name="Ada"),
        lambda: b24.create(CONTACT, name="Bea"),
        lambda: b24.remove(CONTACT, 1),
    ]
    assert desk.turns(deeds, seconds=61) == [{"Ada"}, {"Ada", "Bea"}, {"Ada", "Bea"}]
    desk.clock.advance(3600)
    assert desk.turns([nothing]) == [{"Bea"}]
    assert not [method for method in b24.asked if method.startswith("event.")]


def test_what_the_queue_lost_is_found_by_the_sweep(desk: Desk) -> None:
    """An edit that made no event."""
    desk.turns([lambda: desk.b24.create(CONTACT, name="Ada")])
    desk.clock.advance(61)
    assert desk.turns([lambda: desk.b24.write(CONTACT, 1, told=False, name="Ada L.")]) == [{"Ada L."}]
