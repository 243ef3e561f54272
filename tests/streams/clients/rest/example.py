"""The mapping that CONTRIBUTING explains, and a CRM in memory that it describes: counted pages, nested fields, no call id."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

GUIDE = Path(__file__).parents[4] / "CONTRIBUTING.md"


def text() -> str:
    """The mapping as it stands in the guide."""
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = (block for block in blocks if "[journal.find]" in block)
    return str(found)


def person(uuid: str, first: str, last: str, *numbers: str, changed: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {"uuid": uuid, "first": first, "last": last, "phones": [{"value": n} for n in numbers], "changed": changed}


class Crm:
    """Keeps calls and people; two people on a page."""

    def __init__(self, token: str, *people: dict[str, Any]) -> None:
        self.token, self.people = token, {p["uuid"]: p for p in people}
        self.calls: dict[str, dict[str, Any]] = {}
        self.asked: list[httpx.Request] = []
        self.made = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.headers.get("x-api-key") != self.token:
            return refusal(401, "denied")
        path = request.url.raw_path.decode("ascii").partition("?")[0]
        _, version, what, *parts = (unquote(part) for part in path.split("/"))
        assert version == "v2"
        body = json.loads(request.content or b"{}")
        return self._of_people(request, parts, body) if what == "people" else self._of_calls(request, parts, body)

    def _of_people(self, request: httpx.Request, parts: list[str], body: Any) -> httpx.Response:
        if not parts:
            return self._people(request.url.params)
        if parts == ["search"]:
            wanted = _tail(body["phone"])
            alike = [p for p in self.people.values() if wanted in {_tail(n["value"]) for n in p["phones"]}]
            return data(alike[body["from"] : body["from"] + 2])
        return httpx.Response(200, json=self.people[parts[0]]) if parts[0] in self.people else refusal(404, "none")

    def _of_calls(self, request: httpx.Request, parts: list[str], body: Any) -> httpx.Response:
        match request.method, parts:
            case "GET", []:
                wanted = request.url.params["q"]
                return data([self._shown(k) for k in reversed(self.calls) if wanted in self.calls[k]["call"]["source"]])
            case "POST", []:
                return self._write(None, body)
            case "PATCH", [uuid] if uuid in self.calls:
                return self._write(uuid, body)
            case "DELETE", [uuid] if uuid in self.calls:
                del self.calls[uuid]
                return httpx.Response(204)
        return refusal(404, "none")

    def _people(self, query: httpx.QueryParams) -> httpx.Response:
        first = 2 * (int(query["page"]) - 1)
        found = data(list(self.people.values())[first : first + 2])
        found.headers["date"] = "Thu, 01 Jan 2026 00:00:07 GMT"
        return found

    def _write(self, uuid: str | None, body: dict[str, Any]) -> httpx.Response:
        who = body["call"].get("person")
        if who is not None and who not in self.people:
            return refusal(200, "no_such_person")
        if uuid is None:
            self.made += 1
            uuid = f"0b/{self.made}"
            self.calls[uuid] = {"kind": body["kind"], "call": {}}
        call = self.calls[uuid]["call"]
        call.update({**body["call"], "other": {**call.get("other", {}), **body["call"].get("other", {})}})
        return httpx.Response(201, json={"data": self._shown(uuid)})

    def _shown(self, uuid: str) -> dict[str, Any]:
        call = self.calls[uuid]["call"]
        who = call.get("person")
        return {"uuid": uuid, "call": {**call, "person": None if who is None else {"uuid": who}}}


def data(items: list[Any]) -> httpx.Response:
    return httpx.Response(200, json={"data": items})


def refusal(status: int, code: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, json={"error": {"type": code}}, headers=headers)


def _tail(number: str) -> str:
    return "".join(c for c in number if c.isdecimal())[-7:]
