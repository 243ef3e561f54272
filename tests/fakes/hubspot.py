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
from tests.fakes.hubspot_answers import HubSpotError, a_property, batch, error, error_body, record, refused
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


class HubSpot:
    """Records by kind and id; the clock stamps what is written, and the search shows it `lag` seconds later."""

    def __init__(self, token: str, clock: ManualClock, *, lag: float = 0.0) -> None:
        self._token, self._clock, self.lag = token, clock, lag
        self.tables: dict[str, dict[str, dict[str, Any]]] = {"contacts": {}, "calls": {}}
        self.links: set[tuple[str, str]] = set()
        self.merged: dict[str, str] = {}
        self.properties: dict[str, dict[str, Any]] = {name: a_property({"name": name}) for name in _NATIVE}
        self.groups: set[str] = set()
        self.asked: list[str] = []
        self.breaches = 0
        self.transport: httpx.AsyncBaseTransport = httpx.MockTransport(self.answer)
        self._last_id = 1000
        self._sent: deque[float] = deque()
        self._searched: deque[float] = deque()
        self._index = Index(clock)

    def contact(self, firstname: str = "", *, contact_id: str = "", stamp: int | None = None, **properties: str) -> str:
        """A new contact; `stamp` (µs) is when HubSpot says that it was modified."""
        made = contact_id or self._new_id()
        self.tables["contacts"][made] = record(made, {})
        self.change(made, stamp=stamp, firstname=firstname, **properties)
        return made

    def change(self, contact_id: str, *, stamp: int | None = None, **properties: str) -> None:
        """Edit a contact, as a person does."""
        moment = _iso(self._clock.now() if stamp is None else stamp)
        known = self.tables["contacts"][contact_id]
        known |= {"updatedAt": moment, "properties": known["properties"] | properties | {"lastmodifieddate": moment}}
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
            ("POST", rf"{objects}/contacts", self._add_contact),
            ("POST", rf"{objects}/contacts/merge", self._merge),
            ("POST", rf"{objects}/contacts/gdpr-delete", self._erase),
            ("PATCH", rf"{objects}/contacts/([^/]+)", self._change),
            ("DELETE", rf"{objects}/contacts/([^/]+)", self._archive),
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
        made, lost = [], []
        for one in body["inputs"]:
            try:
                made.append(self._create_one(one))
            except HubSpotError as e:
                lost.append(refused(one["objectWriteTraceId"], e.category))
        return (207 if lost else 201), batch(made, lost)

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
        self.tables["calls"][made] = record(made, values)
        self.links |= links
        return self.tables["calls"][made]

    def _read_batch(self, *, body: Mapping[str, Any], query: object) -> Answer:
        ids = [one["id"] for one in body["inputs"]]
        there = [self.tables["contacts"][i] for i in ids if not self.tables["contacts"].get(i, _GONE)["archived"]]
        lost = len(ids) - len(there)
        return (207 if lost else 200), batch(there, [error_body("OBJECT_NOT_FOUND")] if lost else [])

    def _search(self, *, body: Mapping[str, Any], query: object) -> Answer:
        found = self._index.search(body)
        if found is None:
            raise HubSpotError(400, "VALIDATION_ERROR")
        return 200, found

    def _list(self, *, body: object, query: Mapping[str, str]) -> Answer:
        archived, size = query.get("archived", "").lower() == "true", int(query.get("limit", "10"))
        if size > _PAGE_LIMIT:
            raise HubSpotError(400, "VALIDATION_ERROR")
        behind = by_size(query.get("after", ""))
        there = sorted(self.tables["contacts"].values(), key=lambda r: by_size(r["id"]))
        rest = [r for r in there if r["archived"] == archived and by_size(r["id"]) > behind]
        more = {"paging": {"next": {"after": rest[size - 1]["id"]}}} if len(rest) > size else {}
        return 200, {"results": rest[:size], **more}

    def _get(self, kind: str, key: str, *, body: object, query: Mapping[str, str]) -> Answer:
        found = self._living(kind, key, query.get("idProperty", ""))
        linked = [{"id": contact, "type": "call_to_contact"} for call, contact in self.links if call == found["id"]]
        there = {"associations": {"contacts": {"results": linked}}} if linked and "associations" in query else {}
        return 200, found | there

    def _add_contact(self, *, body: Mapping[str, Any], query: object) -> Answer:
        return 201, self.tables["contacts"][self.contact(**body["properties"])]

    def _change(self, key: str, *, body: Mapping[str, Any], query: object) -> Answer:
        found = self._living("contacts", key)
        self.change(found["id"], **body["properties"])
        return 200, found

    def _archive(self, key: str, *, body: object, query: object) -> Answer:
        if key in self.tables["contacts"]:
            self.delete(key)
        return 204, None

    def _merge(self, *, body: Mapping[str, str], query: object) -> Answer:
        loser, survivor = (self._living("contacts", body[k])["id"] for k in ("objectIdToMerge", "primaryObjectId"))
        self.merge(loser, survivor)
        return 200, self.tables["contacts"][survivor]

    def _erase(self, *, body: Mapping[str, str], query: object) -> Answer:
        self.erase(self._living("contacts", body["objectId"])["id"])
        return 204, None

    def _patch(self, key: str, *, body: Mapping[str, Any], query: Mapping[str, str]) -> Answer:
        found = self._living("calls", key, query.get("idProperty", ""))
        found["properties"] |= self._values(body["properties"])
        return 200, found

    def _delete(self, key: str, *, body: object, query: object) -> Answer:
        """Says the same when there is nothing to delete."""
        if key in self.tables["calls"]:
            self.tables["calls"][key]["archived"] = True
        return 204, None

    def _link(self, call: str, contact: str, *, body: object, query: object) -> Answer:
        self.links.add((self._living("calls", call)["id"], self._living("contacts", contact)["id"]))
        return 200, batch([{"from": {"id": call}, "to": {"id": contact}}])

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
        self.properties[body["name"]] = a_property(body)
        return 201, self.properties[body["name"]]

    def _add_group(self, *, body: Mapping[str, Any], query: object) -> Answer:
        if body["name"] in self.groups:
            raise HubSpotError(409, "OBJECT_ALREADY_EXISTS")
        self.groups.add(body["name"])
        return 201, {"archived": False, "displayOrder": -1, **body}

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
