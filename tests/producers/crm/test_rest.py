"""Contacts by a mapping: with a change feed (the sandbox) and without one (the guide's)."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from producers.crm import rest, sandbox
from producers.crm.rest import RestContacts
from producers.crm.source import Changes, ContactSource, Found, Mark, Page
from streams.clients.crm import Gone
from streams.clients.rest.load import load
from streams.clients.rest.session import Access, connect
from streams.embedded.crm.contacts import ContactIn, Contacts
from streams.embedded.crm.faults import Faults
from streams.embedded.crm.server import application
from streams.embedded.crm.store import connect as open_store
from streams.runtime import plugins
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal
from tests.streams.clients.rest import example

TOKEN = "a-token"
NEW_YEAR = 1_767_225_600_000_000
Ask = Callable[[RestContacts], Awaitable[Any]]


def ask(mapping: str, transport: httpx.AsyncBaseTransport, what: Ask) -> Any:
    """What the contacts of a mapping answer."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[RestContacts]:
        config, clock = Access(url="http://127.0.0.1", token=SecretStr(TOKEN)), ManualClock(NEW_YEAR)
        async with connect(load(mapping), config, clock, rate=1000, transport=transport) as session:
            contacts = load(mapping).contacts
            assert contacts is not None
            yield RestContacts(session, contacts, clock)

    async def one() -> Any:
        async with opened() as contacts:
            return await what(contacts)

    return asyncio.run(one())


async def scan(contacts: RestContacts, since: int | None) -> list[Page]:
    """Every page, at most ten."""
    pages = [await contacts.page("", since)]
    while pages[-1].cursor and len(pages) < 10:
        pages.append(await contacts.page(pages[-1].cursor, since))
    return pages


@pytest.fixture
def acme(tmp_path: Path) -> tuple[str, example.Crm]:
    """The guide's mapping, and its CRM with three people on two pages."""
    file = tmp_path / "acme.toml"
    file.write_text(example.text(), encoding="utf-8")
    people = [example.person(f"P{n}", "Zoë", "", "", f"+3212345{n}") for n in range(2)]
    last = example.person("P/2", "Jan", "Maes", "011 23", "012", changed="2026-01-01T01:00:00.5+01:00")
    return str(file), example.Crm(TOKEN, *people, last)


def test_they_are_found_by_their_file_names() -> None:
    """The file's name is the connector's."""
    assert plugins.load("producers.crm", "rest", ContactSource) is rest.source
    assert plugins.load("producers.crm", "sandbox", ContactSource) is sandbox.source


def test_all_pages_are_read(acme: tuple[str, example.Crm]) -> None:
    """A short page is the last; names are joined, an empty number is none, a time is as exact as it is told."""
    mapping, crm = acme
    first, last = ask(mapping, httpx.MockTransport(crm.answer), lambda contacts: scan(contacts, None))
    assert [found.contact_id for found in first.found] == ["P0", "P1"]
    assert last.found == (
        Found(contact_id="P/2", name="Jan Maes", numbers=("011 23", "012"), updated_at=NEW_YEAR + 500_000),
    )
    assert (first.found[0].name, first.found[0].numbers) == ("Zoë", ("+32123450",))
    assert [str(request.url.query, "ascii") for request in crm.asked] == ["page=1", "page=2"]


def test_a_sweep_says_since_when(acme: tuple[str, example.Crm]) -> None:
    """In the CRM's own notation of time."""
    mapping, crm = acme
    ask(mapping, httpx.MockTransport(crm.answer), lambda contacts: contacts.page("", NEW_YEAR + 999_999))
    assert crm.asked[0].url.params["changed_after"] == "1767225600"


def test_without_a_change_feed_the_answers_date_is_the_clock(acme: tuple[str, example.Crm]) -> None:
    """A sweep must begin where the CRM's clock was, not ours; and nothing is ever said to have changed."""
    mapping, crm = acme
    transport = httpx.MockTransport(crm.answer)
    mark = ask(mapping, transport, lambda contacts: contacts.mark())
    assert mark == Mark(token="", at=NEW_YEAR + 7_000_000)
    changes = ask(mapping, transport, lambda contacts: contacts.changes(mark.token))
    assert changes == Changes(updated=(), gone=(), token="", more=False)


def test_a_contact_that_is_not_there_is_gone(acme: tuple[str, example.Crm]) -> None:
    """And one whose id has a slash in it is there."""
    mapping, crm = acme
    transport = httpx.MockTransport(crm.answer)
    assert ask(mapping, transport, lambda contacts: contacts.get("P/2")).name == "Jan Maes"
    with pytest.raises(Gone):
        ask(mapping, transport, lambda contacts: contacts.get("P9"))


def test_a_contact_that_never_changed_has_the_time_of_its_making(acme: tuple[str, example.Crm]) -> None:
    """Where the CRM says null until the first change."""
    item = {"uuid": "x", "changed": None, "made": "2026-01-01T00:00:00Z"}
    page = ask(acme[0], httpx.MockTransport(lambda _: example.data([item])), lambda contacts: contacts.page("", None))
    assert page.found[0].updated_at == NEW_YEAR


def test_one_contact_may_stand_inside_a_table(acme: tuple[str, example.Crm]) -> None:
    """Where the mapping says so."""
    Path(acme[0]).write_text(example.text() + 'item = "person.0"\n', encoding="utf-8")
    load.cache_clear()
    body = {"person": [example.person("P1", "Zoë", "")]}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    assert ask(acme[0], transport, lambda contacts: contacts.get("P1")).name == "Zoë"


@pytest.mark.parametrize(
    "wrong",
    [{"uuid": "x", "changed": "soon", "made": "2026-01-01"}, {"uuid": "x", "changed": None}, {"changed": "2026-01-01"}],
)
def test_a_contact_of_another_shape_needs_a_person(acme: tuple[str, example.Crm], wrong: dict[str, str]) -> None:
    """It cannot be kept, and must not be dropped."""
    transport = httpx.MockTransport(lambda _: example.data([wrong]))
    with pytest.raises(Fatal, match="mend the mapping"):
        ask(acme[0], transport, lambda contacts: contacts.page("", None))


def test_the_sandboxes_feed_tells_changes_and_what_is_gone(tmp_path: Path) -> None:
    """From its mark on, each contact in its last state."""
    clock = ManualClock(NEW_YEAR)
    with closing(open_store(tmp_path / "crm.sqlite")) as db:
        kept = Contacts(db, clock.now, Faults(db), random.Random(1))
        transport = httpx.ASGITransport(application(db, TOKEN, clock, random.Random(1)))
        kept.put([ContactIn(id="C1"), ContactIn(id="C2")], stamp=1)
        mark = ask("sandbox", transport, lambda contacts: contacts.mark())
        kept.put([ContactIn(id="C3", name="Zoë", numbers=["011"], priority=2, segment="gold")], stamp=7)
        kept.delete("C1")
        kept.merge("C2", "C3", stamp=8)
        changes = ask("sandbox", transport, lambda contacts: contacts.changes(mark.token))
        assert mark.at == NEW_YEAR
        assert [(f.contact_id, f.name, f.numbers, f.priority, f.segment) for f in changes.updated] == [
            ("C3", "Zoë", ("011",), 2, "gold")
        ]
        assert changes.updated[0].updated_at == 8_000_000
        assert (sorted(changes.gone), changes.more) == (["C1", "C2"], False)


@pytest.mark.parametrize("date", ["", "tomorrow"])
def test_without_any_clock_of_the_crm_ours_is_taken(acme: tuple[str, example.Crm], date: str) -> None:
    """The overlap of the sweeps must bear the difference."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": []}, headers={"date": date}))
    assert ask(acme[0], transport, lambda contacts: contacts.mark()) == Mark(token="", at=NEW_YEAR)
