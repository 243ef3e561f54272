"""Schema registries of three characters: one that keeps our numbers, one that only says so, one that is away."""

import io
import json
import zipfile
from collections.abc import Callable

import httpx
import pytest

from streams.clients.registry import Registration, Registry
from streams.runtime.cli.schemas import registrations
from streams.runtime.errors import Fatal, Retry

URL = "http://registry"
APICURIO = "http://registry/apis/ccompat/v7"
CALL = Registration(subject="calls-value", version=1, number=100_003, text='{"type": "string"}')
NOW = 1_790_000_000_000_000


class Played:
    """A registry in memory, as Confluent's answers; `keeps` tells whether it honours a number, `imports` Apicurio's own way."""

    def __init__(self, *, keeps: bool = True, imports: bool = False) -> None:
        self._keeps, self._imports = keeps, imports
        self.modes: dict[str, str] = {}
        self.ids: dict[int, str] = {}
        self.subjects: dict[str, dict[str, int]] = {}
        self.compatibility: dict[str, str] = {}
        self.requests: list[str] = []

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def holds(self, wanted: Registration) -> bool:
        return (
            self.ids.get(wanted.number) == wanted.text and self.subjects[wanted.subject][wanted.text] == wanted.number
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/apis/ccompat/v7")
        self.requests.append(f"{request.method} {path}")
        if path.startswith("/apis/registry/v3/"):
            return self._native(request, path)
        room, name, *rest = path.strip("/").split("/")
        if room == "schemas":
            number = int(rest[0])
            found = self.ids.get(number)
            return (
                httpx.Response(200, json={"schema": found})
                if found
                else httpx.Response(404, json={"error_code": 40403})
            )
        body = json.loads(request.content) if request.content else {}
        if room == "mode":
            self.modes[name] = body.get("mode", "READWRITE")
            return httpx.Response(200, json={"mode": self.modes[name]})
        if room == "config":
            self.compatibility[name] = body["compatibility"]
            return httpx.Response(200, json=body)
        known = self.subjects.setdefault(name, {})
        if rest:
            there = [number for number, text in self.ids.items() if text == body["schema"]]
            number = there[0] if there else len(self.ids) + 1
            if self._keeps and self.modes.get(name) == "IMPORT":
                number = body["id"]
            self._keep(name, body["schema"], number)
            return httpx.Response(200, json={"id": number})
        number = known.get(body["schema"], 0)
        return httpx.Response(200, json={"id": number}) if number else httpx.Response(404, json={"error_code": 40403})

    def _keep(self, subject: str, text: str, number: int) -> None:
        self.ids[number] = text
        self.subjects.setdefault(subject, {})[text] = number

    def _native(self, request: httpx.Request, path: str) -> httpx.Response:
        if path.startswith("/apis/registry/v3/ids/contentIds/"):
            return httpx.Response(200 if int(path.rpartition("/")[2]) in self.ids else 404)
        with zipfile.ZipFile(io.BytesIO(request.content)) as archive:
            for name in archive.namelist():
                if self._imports and name.endswith(".Content.json"):
                    text = archive.read(name.replace(".Content.json", ".Content.data")).decode()
                    self.ids[json.loads(archive.read(name))["contentId"]] = text
        return httpx.Response(204)


def test_a_registry_that_keeps_numbers_has_every_version_under_its_own() -> None:
    """A reader that only knows the registry reads our records."""
    registry = Played()
    wanted = registrations()
    lines = Registry(URL, registry.client()).push(wanted, NOW)
    assert len(lines) == len(wanted) > 6
    assert all(registry.holds(each) for each in wanted)
    assert set(registry.modes.values()) == {"READWRITE"}
    assert set(registry.compatibility.values()) == {"FULL_TRANSITIVE"}


def test_a_second_push_changes_nothing() -> None:
    """It only looks."""
    registry = Played()
    Registry(URL, registry.client()).push([CALL], NOW)
    registry.requests.clear()
    assert Registry(URL + "/", registry.client()).push([CALL], NOW) == []
    assert registry.requests == ["GET /schemas/ids/100003", "POST /subjects/calls-value"]


def test_a_registry_that_only_says_yes_is_found_out() -> None:
    """What it answers is not believed: the number is read back."""
    with pytest.raises(Fatal, match=r"other numbers than asked for: calls-value \(100003\)"):
        Registry(URL, Played(keeps=False).client()).push([CALL], NOW)


def test_apicurio_gets_its_own_import() -> None:
    """Its compatible interface would number a new text by itself, and what it numbered would stay."""
    registry = Played(keeps=False, imports=True)
    wanted = registrations()
    assert len(Registry(APICURIO, registry.client()).push(wanted, NOW)) == len(wanted)
    assert all(registry.holds(each) for each in wanted)
    imported = registry.requests.index("POST /apis/registry/v3/admin/import")
    assert not [r for r in registry.requests[:imported] if r.endswith("/versions")]


def test_an_apicurio_that_does_not_import_is_found_out() -> None:
    """Nothing is claimed that is not there, and nothing registered under another number."""
    registry = Played(keeps=False)
    with pytest.raises(Fatal, match="other numbers"):
        Registry(APICURIO, registry.client()).push([CALL], NOW)
    assert not registry.ids


def test_a_number_of_somebody_else_is_left_alone() -> None:
    """Two schemas under one number would make records unreadable."""
    registry = Played()
    registry.ids[CALL.number] = '{"type": "int"}'
    with pytest.raises(Fatal, match="number 100003 is another schema"):
        Registry(URL, registry.client()).push([CALL], NOW)
    assert registry.requests == ["GET /schemas/ids/100003"]


def _refused(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no")


@pytest.mark.parametrize(
    ("answer", "verdict", "told"),
    [
        (lambda _: httpx.Response(500), Retry, "answers 500"),
        (lambda _: httpx.Response(429), Retry, "answers 429"),
        (_refused, Retry, "no registry at http://registry: ConnectError"),
        (lambda _: httpx.Response(401), Fatal, "TRUNKLINE_REGISTRY_USER"),
        (lambda _: httpx.Response(200, text="<html>"), Fatal, "is no schema registry"),
        (lambda _: httpx.Response(405, json={}), Fatal, "is no schema registry"),
        (lambda _: httpx.Response(200, json=[]), Fatal, "is no schema registry"),
    ],
)
def test_what_goes_wrong_says_what_to_do_next(
    answer: Callable[[httpx.Request], httpx.Response], verdict: type[Exception], told: str
) -> None:
    """Away or busy: again later. No entry, or no registry at all: a person."""
    with pytest.raises(verdict, match=told):
        Registry(URL, httpx.Client(transport=httpx.MockTransport(answer))).push([CALL], NOW)
