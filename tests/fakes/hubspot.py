"""A HubSpot account in memory: limits by the window, a search that lags behind, 207 for a batch of which a part failed.

What it does is what HubSpot's documentation and its official client say; no answer of a real account was recorded.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import httpx

from streams.runtime.clock import ManualClock
from tests.fakes.hubspot_search import Index, by_size

Answer = tuple[int, object]
Handler = Callable[..., Answer]
_PER_TEN_SECONDS, _SEARCHES_PER_SECOND = 190, 4
_PAGE_LIMIT = _BATCH_LIMIT = 100
_NATIVE = {
    "hs_call_title",
    "hs_call_body",
    "hs_call_direction",
    "hs_call_duration",
    "hs_call_from_number",
    "hs_call_recording_url",
    "hs_call_status",
    "hs_call_to_number",
    "hs_timestamp",
}
_CALL_TO_CONTACT = 194
_GONE: Mapping[str, Any] = {"archived": True}


class HubSpotError(Exception):
    """An error, by its status and category."""

    def __init__(self, status: int, category: str) -> None:
        super().__init__(category)
        self.status, self.category = status, category


def error(status: int, category: str, **more: object) -> httpx.Response:
    """An answer that says what is wrong, in words that must not be passed on."""
    return httpx.Response(status, json=error_body(category) | more)


def error_body(category: str) -> dict[str, Any]:
    told = {"status": "error", "message": "Zoë Čapková +33123456789 is not valid", "correlationId": "c0ffee"}
    return told | {"category": category}


def part_failed(call_id: str, category: str) -> httpx.Response:
    """A batch whose only record failed."""
    return httpx.Response(207, json=_batch([], [_refused(call_id, category)]))


def _refused(trace: str, category: str) -> dict[str, Any]:
    return error_body(category) | {"context": {"objectWriteTraceId": [trace]}}


def _batch(results: Sequence[object], errors: Sequence[object] = ()) -> dict[str, Any]:
    moment = "2023-11-14T22:13:20.000Z"
    done = {"status": "COMPLETE", "startedAt": moment, "completedAt": moment, "results": list(results)}
    return done | ({"numErrors": len(errors), "errors": list(errors)} if errors else {})


class HubSpot:
    """Records by kind and id; the clock stamps what is written, and the search shows it `lag` seconds later."""

    def __init__(self, token: str, clock: ManualClock, *, lag: float = 0.0) -> None:
        self._token, self._clock, self.lag = token, clock, lag
        self.tables: dict[str, dict[str, dict[str, Any]]] = {"contacts": {}, "calls": {}}
        self.links: set[tuple[str, str]] = set()
        self.merged: dict[str, str] = {}
        self.properties: dict[str, dict[str, Any]] = {name: {"name": name} for name in _NATIVE}
        self.groups: set[str] = set()
        self.asked: list[str] = []
        self.breaches = 0
        self.transport: httpx.AsyncBaseTransport = httpx.MockTransport(self.answer)
        self._last_id = 1000
        self._sent: deque[float] = deque()
        self._searched: deque[float] = deque()
        self._index = Index(clock)

    def contact(self, name: str = "", *, contact_id: str = "", stamp: int | None = None, **properties: str) -> str:
        """A new contact; `stamp` (µs) is when HubSpot says that it was modified."""
        made = contact_id or self._new_id()
        self.tables["contacts"][made] = {"id": made, "archived": False, "properties": {}}
        self.change(made, stamp=stamp, firstname=name, **properties)
        return made

    def change(self, contact_id: str, *, stamp: int | None = None, **properties: str) -> None:
        """Edit a contact, as a person does."""
        record = self.tables["contacts"][contact_id]
        record["properties"] |= properties | {"lastmodifieddate": _iso(self._clock.now() if stamp is None else stamp)}
        self._show(contact_id)

    def delete(self, contact_id: str) -> None:
        """Into the archive."""
        self.tables["contacts"][contact_id]["archived"] = True
        self._show(contact_id)

    def erase(self, contact_id: str) -> None:
        """For good, as the law on personal data has it."""
        del self.tables["contacts"][contact_id]
        self._show(contact_id)

    def merge(self, loser: str, survivor: str) -> None:
        """The loser's id leads to the survivor from now on."""
        self.erase(loser)
        self.merged[loser] = survivor
        known = self.tables["contacts"][survivor]["properties"].get("hs_merged_object_ids", "")
        self.change(survivor, hs_merged_object_ids=";".join(filter(None, [known, loser])))

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the server answers."""
        path = request.url.raw_path.decode().partition("?")[0]
        self.asked.append(f"{request.method} {path}")
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return error(401, "INVALID_AUTHENTICATION")
        if over := self._over(searching=path.endswith("/search")):
            self.breaches += 1
            return error(429, "RATE_LIMITS", policyName=over)
        body = json.loads(request.content) if request.content else {}
        for method, pattern, handler in self._routes():
            if method == request.method and (match := re.fullmatch(pattern, path)):
                try:
                    status, told = handler(*map(unquote, match.groups()), body=body, query=dict(request.url.params))
                except HubSpotError as e:
                    return error(e.status, e.category)
                return httpx.Response(status) if told is None else httpx.Response(status, json=told)
        return error(404, "OBJECT_NOT_FOUND")

    def _routes(self) -> Sequence[tuple[str, str, Handler]]:
        objects, properties = "/crm/v3/objects", "/crm/v3/properties/calls"
        return (
            ("POST", rf"{objects}/calls/batch/create", self._create),
            ("POST", rf"{objects}/contacts/batch/read", self._read_batch),
            ("POST", rf"{objects}/contacts/search", self._search),
            ("GET", rf"{objects}/contacts", self._list),
            ("GET", rf"{objects}/(contacts|calls)/([^/]+)", self._get),
            ("PATCH", rf"{objects}/calls/([^/]+)", self._patch),
            ("DELETE", rf"{objects}/calls/([^/]+)", self._delete),
            ("PUT", r"/crm/v4/objects/calls/([^/]+)/associations/default/contacts/([^/]+)", self._link),
            ("DELETE", r"/crm/v4/objects/calls/([^/]+)/associations/contacts/([^/]+)", self._unlink),
            ("GET", properties, self._properties),
            ("POST", properties, self._add_property),
            ("POST", f"{properties}/groups", self._add_group),
        )

    def _over(self, *, searching: bool) -> str:
        """The limit that this request is beyond, by its name; requests that are refused count too."""
        windows = [(self._sent, 10.0, _PER_TEN_SECONDS, "TEN_SECONDLY_ROLLING")]
        if searching:
            windows.append((self._searched, 1.0, _SEARCHES_PER_SECOND, "SECONDLY"))
        now, over = self._clock.monotonic(), ""
        for sent, span, most, name in windows:
            while sent and sent[0] <= now - span:
                sent.popleft()
            sent.append(now)
            over = over or (name if len(sent) > most else "")
        return over

    def _create(self, *, body: Mapping[str, Any], query: object) -> Answer:
        """Each record for itself: the good ones are made, whatever is wrong with the others."""
        if len(body["inputs"]) > _BATCH_LIMIT:
            raise HubSpotError(400, "VALIDATION_ERROR")
        made, refused = [], []
        for one in body["inputs"]:
            try:
                made.append(self._create_one(one))
            except HubSpotError as e:
                refused.append(_refused(one["objectWriteTraceId"], e.category))
        return (207 if refused else 201), _batch(made, refused)

    def _create_one(self, one: Mapping[str, Any]) -> dict[str, Any]:
        values = self._values(one["properties"])
        for name, value in values.items():
            if self.properties[name].get("hasUniqueValue") and self._by(name, value):
                raise HubSpotError(400, "VALIDATION_ERROR")
        contacts = [to["to"]["id"] for to in one["associations"]]
        if any(to["types"][0]["associationTypeId"] != _CALL_TO_CONTACT for to in one["associations"]):
            raise HubSpotError(400, "VALIDATION_ERROR")
        made = self._new_id()
        links = {(made, self._living("contacts", contact)["id"]) for contact in contacts}
        self.tables["calls"][made] = {"id": made, "archived": False, "properties": values}
        self.links |= links
        return self.tables["calls"][made]

    def _read_batch(self, *, body: Mapping[str, Any], query: object) -> Answer:
        ids = [one["id"] for one in body["inputs"]]
        there = [self.tables["contacts"][i] for i in ids if not self.tables["contacts"].get(i, _GONE)["archived"]]
        lost = len(ids) - len(there)
        return (207 if lost else 200), _batch(there, [error_body("OBJECT_NOT_FOUND")] if lost else [])

    def _search(self, *, body: Mapping[str, Any], query: object) -> Answer:
        found = self._index.search(body)
        if found is None:
            raise HubSpotError(400, "VALIDATION_ERROR")
        return 200, found

    def _list(self, *, body: object, query: Mapping[str, str]) -> Answer:
        archived, size = query.get("archived") == "true", int(query.get("limit", "10"))
        if size > _PAGE_LIMIT:
            raise HubSpotError(400, "VALIDATION_ERROR")
        behind = by_size(query.get("after", ""))
        there = sorted(self.tables["contacts"].values(), key=lambda r: by_size(r["id"]))
        rest = [r for r in there if r["archived"] == archived and by_size(r["id"]) > behind]
        more = {"paging": {"next": {"after": rest[size - 1]["id"]}}} if len(rest) > size else {}
        return 200, {"results": rest[:size], **more}

    def _get(self, kind: str, key: str, *, body: object, query: Mapping[str, str]) -> Answer:
        record = self._living(kind, key, query.get("idProperty", ""))
        linked = [{"id": contact, "type": "call_to_contact"} for call, contact in self.links if call == record["id"]]
        there = {"associations": {"contacts": {"results": linked}}} if linked and "associations" in query else {}
        return 200, record | there

    def _patch(self, key: str, *, body: Mapping[str, Any], query: Mapping[str, str]) -> Answer:
        record = self._living("calls", key, query.get("idProperty", ""))
        record["properties"] |= self._values(body["properties"])
        return 200, record

    def _delete(self, key: str, *, body: object, query: object) -> Answer:
        """Says the same when there is nothing to delete."""
        if key in self.tables["calls"]:
            self.tables["calls"][key]["archived"] = True
        return 204, None

    def _link(self, call: str, contact: str, *, body: object, query: object) -> Answer:
        self.links.add((self._living("calls", call)["id"], self._living("contacts", contact)["id"]))
        return 200, _batch([{"from": {"id": call}, "to": {"id": contact}}])

    def _unlink(self, call: str, contact: str, *, body: object, query: object) -> Answer:
        self.links.discard((call, contact))
        return 204, None

    def _properties(self, *, body: object, query: object) -> Answer:
        return 200, {"results": list(self.properties.values())}

    def _add_property(self, *, body: Mapping[str, Any], query: object) -> Answer:
        if body["groupName"] not in self.groups:
            raise HubSpotError(400, "VALIDATION_ERROR")
        if body["name"] in self.properties:
            raise HubSpotError(409, "OBJECT_ALREADY_EXISTS")
        self.properties[body["name"]] = dict(body)
        return 201, body

    def _add_group(self, *, body: Mapping[str, Any], query: object) -> Answer:
        if body["name"] in self.groups:
            raise HubSpotError(409, "OBJECT_ALREADY_EXISTS")
        self.groups.add(body["name"])
        return 201, body

    def _living(self, kind: str, key: str, by: str = "") -> dict[str, Any]:
        found = self._by(by, key) if by else self.tables[kind].get(self.merged.get(key, key))
        if found is None or found["archived"]:
            raise HubSpotError(404, "OBJECT_NOT_FOUND")
        return found

    def _by(self, name: str, value: str | None) -> dict[str, Any] | None:
        calls = self.tables["calls"].values()
        return next((r for r in calls if r["properties"].get(name) == value and not r["archived"]), None)

    def _values(self, given: Mapping[str, str]) -> dict[str, str | None]:
        """Only properties that there are; what is cleared reads as null."""
        if not given.keys() <= self.properties.keys():
            raise HubSpotError(400, "VALIDATION_ERROR")
        return {name: value or None for name, value in given.items()}

    def _new_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)

    def _show(self, contact_id: str) -> None:
        there = self.tables["contacts"].get(contact_id, _GONE)
        self._index.show(contact_id, None if there["archived"] else there, self.lag)


def _iso(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
