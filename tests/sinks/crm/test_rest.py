"""The guide's mapping under the laws of every CRM, against a CRM that is quite another than the sandbox."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from sinks.crm.connector import Connector, Portal
from sinks.crm.rest import RestPortal
from streams.clients.crm import Unknown, UnknownContact
from streams.clients.rest.load import load
from streams.clients.rest.session import Config, connect
from streams.runtime import plugins
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject
from tests.contracts.crm_laws import NUMBER, TOKEN, CrmLaws
from tests.streams.clients.rest import example

THEIRS = {"subject": "title", "participants": "parties", "result": "outcome", "queue": "queue", "did": "line"} | {
    "recording": "recording",
    "candidates": "maybe",
    "notes": "text",
}


class Acme:
    """The guide's CRM."""

    told: Mapping[str, httpx.Response] = {
        "throttled": example.refusal(429, "slow_down", {"retry-after": "2"}),
        "down": httpx.Response(503, content=b"<html>"),
        "busy": example.refusal(503, "busy"),
        "denied": example.refusal(401, "denied"),
        "invalid": example.refusal(200, "invalid"),
    }

    def __init__(self, folder: Path) -> None:
        file = folder / "acme.toml"
        file.write_text(example.text(), encoding="utf-8")
        self.mapping, self.clock = str(file), ManualClock()
        self.described = load(self.mapping)
        strangers = [example.person(f"S{n}", "S", "", f"+3{n} 23 45 67 89") for n in range(1, 9)]
        self.crm = example.Crm(
            TOKEN,
            *strangers,
            example.person("C1", "Zoë", "Čapková", "01 23 45 67 89"),
            example.person("C2", "", "", "+32 23 45 67 89"),
        )
        self.transport = httpx.MockTransport(self.crm.answer)

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        config = Config(mapping=self.mapping, url="http://127.0.0.1/", token=SecretStr(TOKEN), country="FR")
        async with connect(self.described, config, self.clock, rate=1000, transport=transport) as session:
            yield RestPortal(session, config.country)

    def change(self, verb: str, **keys: Any) -> None:
        """Another mapping: these keys of a verb."""
        journal = self.described.journal
        request = getattr(journal, verb).model_copy(update=keys)
        self.described = self.described.model_copy(update={"journal": journal.model_copy(update={verb: request})})

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        """Read by hand: not with the code that is tested."""
        return [self._entry(held["call"]) for held in self.crm.calls.values()]

    def _entry(self, call: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
        began = datetime.fromtimestamp(call["began"] / 1000, UTC)
        fields = {ours: call[theirs] for ours, theirs in THEIRS.items()} | {
            "contact_id": call["person"] or "",
            "direction": {"in": "inbound", "out": "outbound"}[call["way"]],
            "started_at": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "duration": "" if call["seconds"] is None else str(call["seconds"]),
            "customer_number": call["other"]["number"],
            "customer_name": call["other"]["name"],
        }
        return call["source"].removeprefix("[trunkline ").removesuffix("]"), fields


@pytest.fixture
def far(tmp_path: Path) -> Acme:
    """The CRM as the laws want it."""
    return Acme(tmp_path)


class TestRest(CrmLaws):
    """Every law."""


def ask(far: Acme, verb: str, *args: Any, answer: httpx.Response | None = None) -> Any:
    """One verb, answered by the CRM or by `answer`."""

    async def one() -> Any:
        transport = far.transport if answer is None else httpx.MockTransport(lambda _: answer)
        async with far.open(transport) as portal:
            return await getattr(portal, verb)(*args)

    return asyncio.run(one())


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("sinks.crm", "rest", Connector).config is Config


def test_a_loose_search_is_read_to_its_last_page(far: Acme) -> None:
    """The one who has the number stands on a later page; the pages are counted in numbers."""
    assert ask(far, "find_by_phone", NUMBER) == ["C1"]
    bodies = [json.loads(request.content) for request in far.crm.asked]
    assert [body["from"] for body in bodies] == [0, 2, 4, 6, 8, 10]
    assert {body["phone"] for body in bodies} == {NUMBER[1:]}


def test_a_call_whose_id_begins_alike_is_another(far: Acme) -> None:
    """The CRM's search finds both; only the whole marker counts, and the oldest entry comes first."""
    made = [
        ask(far, "put_call", call, {"subject": "x", "customer_number": "", "customer_name": ""})
        for call in ("m:1", "m:10", "m:1")
    ]
    assert [entry.external_id for entry in ask(far, "confirm", "m:1")] == [made[0], made[2]]


def test_only_what_changed_is_sent(far: Acme) -> None:
    """What a person wrote beside it stays."""
    made = ask(far, "put_call", "m:1", {"subject": "x"})
    far.crm.asked.clear()
    ask(far, "patch_call", made, {"duration": "", "customer_name": 'A"}, "b": {'})
    (request,) = far.crm.asked
    assert json.loads(request.content) == {"call": {"seconds": None, "other": {"name": 'A"}, "b": {'}}}
    assert request.url.raw_path == b"/v2/calls/0b%2F1"


def test_a_contact_that_is_gone_is_told(far: Acme) -> None:
    """By its code, inside a 200."""
    with pytest.raises(UnknownContact):
        ask(far, "put_call", "m:1", {"contact_id": "C9"})


def test_an_entry_without_an_id_is_in_doubt(far: Acme) -> None:
    """It was answered well, so it may be there."""
    with pytest.raises(Unknown):
        ask(far, "put_call", "m:1", {}, answer=httpx.Response(200, json={"data": {}}))


@pytest.mark.parametrize("body", [{"date": []}, {"data": {}}, {"data": [{"uuid": ""}]}, {"data": [{}]}, {"data": [7]}])
def test_an_answer_of_another_shape_needs_a_person(far: Acme, body: Any) -> None:
    """Taken for "nobody" or "no entry" it would make doubles."""
    far.change("find", numbers=(), pages=None)
    far.change("confirm", contains={})
    for verb, wanted in (("find_by_phone", NUMBER), ("confirm", "m:1")):
        with pytest.raises(Fatal, match="mend the mapping"):
            ask(far, verb, wanted, answer=httpx.Response(200, json=body))


@pytest.mark.parametrize(("name", "sent"), [("number", NUMBER), ("digits", NUMBER[1:]), ("national", NUMBER[3:])])
def test_a_number_is_asked_for_as_the_crm_wants_it(far: Acme, name: str, sent: str) -> None:
    """Not every search takes E.164."""
    far.change("find", body={"phone": f"{{{name}}}", "from": "{cursor}"})
    assert ask(far, "find_by_phone", NUMBER) == ["C1"]
    assert {json.loads(request.content)["phone"] for request in far.crm.asked} == {sent}


def test_a_search_without_an_end_needs_a_person(far: Acme) -> None:
    """A CRM that ignores the cursor would keep us for ever."""
    page = httpx.Response(200, json={"data": [{"uuid": "X", "phones": []}] * 2})
    with pytest.raises(Fatal, match="100 pages"):
        ask(far, "find_by_phone", NUMBER, answer=page)


@pytest.mark.parametrize(("field", "value"), [("duration", "long"), ("started_at", "noon")])
def test_what_the_column_cannot_hold_is_refused(far: Acme, field: str, value: str) -> None:
    """Before anything is sent, and without saying what it was."""
    with pytest.raises(Reject) as raised:
        ask(far, "put_call", "m:1", {field: value})
    assert value not in str(raised.value)
    assert far.crm.asked == []


def test_what_a_person_wrote_into_a_field_is_read_as_it_is(far: Acme) -> None:
    """It is his, and not ours any more."""
    made = ask(far, "put_call", "m:1", {"direction": "inbound", "started_at": "2026-01-01T00:00:00Z"})
    far.crm.calls[made]["call"] |= {"way": "across", "began": "yesterday"}
    (entry,) = ask(far, "confirm", "m:1")
    assert (entry.fields["direction"], entry.fields["started_at"]) == ("across", "yesterday")
