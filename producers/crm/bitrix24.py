"""Bitrix24: contacts and companies in keyset pages by id, changes from the application's queue of offline events.

The queue is Bitrix24's own: it keeps what changed since it was last read, each object once. `event.offline.get` with
clear=0 reserves a part under a process id, which is this feed's token; it is cleared when the feed comes back with that
token, for then it is durable. A part whose answer was lost, or that a process died with, stays reserved and is found by
`event.offline.list`. An event tells only whose; what is there is read afterwards, and what is not there is gone.

Where the plan has no confirmed reading (`rest_offline_extended`) the sweep finds changes, and the full scan deletions.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog

from producers.crm.feed import run
from producers.crm.source import Changes, Contacts, ContactSource, Found, Mark, Page
from streams.clients.bitrix24 import Bitrix24Client, Config, connect
from streams.clients.crm import Expired, Gone
from streams.runtime.clock import Clock

log = structlog.get_logger()

__all__ = ["run", "source"]
_TYPES = {"C": 3, "CO": 4}
_NAMES = {"CONTACT": "C", "COMPANY": "CO"}
_EVENTS = {f"ONCRM{name}{how}": kind for name, kind in _NAMES.items() for how in ("ADD", "UPDATE", "DELETE")}
_PAGE = 50
"""Bitrix24's, for lists and for the queue."""
_PAGES = 10
"""Pages of a scan in one request, each beginning behind the one before."""
_BURST = 10
_Calls = dict[str, tuple[str, Mapping[str, Any]]]


class Bitrix24Contacts:
    """Contacts and companies of one Bitrix24, those that its user may see; the queue needs an administrator."""

    def __init__(self, client: Bitrix24Client) -> None:
        self._client = client
        self._bound = self._gap = False
        self._confirms = self._look = True

    async def mark(self) -> Mark:
        """The end of the queue is wherever it stands: a token is only what was read of it and is not yet cleared."""
        await self._bind()
        now = await self._client.call("server.time", {})
        return Mark(token="", at=_micros(now))

    async def page(self, cursor: str, since: int | None) -> Page:
        """Contacts first, then companies."""
        kind, _, last = (cursor or "C_0").partition("_")
        pages = _PAGES if since is None else 1
        calls: _Calls = {}
        for n in range(pages):
            behind = last if n == 0 else f"$result[p{n - 1}][items][{_PAGE - 1}][id]"
            where = {">id": behind} | ({} if since is None else {">=updatedTime": _moment(since)})
            calls[f"p{n}"] = _listed(kind, where)
        told = await self._client.batch(calls)
        found: list[Mapping[str, Any]] = []
        for key in calls:
            if key not in told.results:
                told.whole()
            items = told.results[key]["items"]
            found += items
            if len(items) < _PAGE:  # what follows in this batch began nowhere
                return Page(found=_all(kind, found), cursor="CO_0" if kind == "C" else "")
        return Page(found=_all(kind, found), cursor=f"{kind}_{found[-1]['id']}")

    async def changes(self, token: str) -> Changes:
        """The part behind `token` is cleared, and the next one reserved."""
        if await self._bind():
            raise Expired
        if not self._confirms:
            return Changes(updated=(), gone=(), token="", more=False)
        process, events = await self._reserve(token)
        ids: dict[str, set[int]] = {kind: set() for kind in _TYPES}
        for event in events:
            kind, record = _EVENTS.get(str(event["EVENT_NAME"]).upper(), ""), _record(event["EVENT_DATA"])
            if kind and record is None:
                await self._client.call("event.offline.clear", {"process_id": process})
                raise Expired
            if kind and record is not None:
                ids[kind].add(record)
        updated = await self._read(ids)
        there = {found.contact_id for found in updated}
        asked = [f"{kind}_{record}" for kind, records in ids.items() for record in sorted(records)]
        return Changes(
            updated=updated,
            gone=tuple(contact_id for contact_id in asked if contact_id not in there),
            token=process if events else "",
            more=bool(events),
        )

    async def get(self, contact_id: str) -> Found:
        kind, _, record = contact_id.partition("_")
        if kind not in _TYPES or not record.isdecimal():
            raise Gone(contact_id)
        result = await self._client.call("crm.item.get", {"entityTypeId": _TYPES[kind], "id": record})
        return _found(kind, result["item"])

    async def _reserve(self, token: str) -> tuple[str, Sequence[Mapping[str, Any]]]:
        """What a lost answer reserved comes first."""
        clear: _Calls = {"clear": ("event.offline.clear", {"process_id": token})} if token else {}
        left = ""
        if self._look:
            reserved = {"filter": {">PROCESS_ID": ""}, "order": {"ID": "ASC"}}
            lines = (await self._client.batch({**clear, "list": ("event.offline.list", reserved)})).whole()["list"]
            left, clear = next((str(line["PROCESS_ID"]) for line in lines), ""), {}
        asked: dict[str, Any] = {"clear": 0, "limit": _PAGE}
        if left:
            asked["process_id"] = left
        looked, self._look = bool(left), True
        got = (await self._client.batch({**clear, "get": ("event.offline.get", asked)})).whole()["get"]
        self._look = looked
        return left or str(got.get("process_id") or ""), got["events"]

    async def _read(self, ids: Mapping[str, set[int]]) -> tuple[Found, ...]:
        calls: _Calls = {kind: _listed(kind, {"@id": sorted(records)}) for kind, records in ids.items() if records}
        results = (await self._client.batch(calls)).whole() if calls else {}
        return tuple(found for kind, result in results.items() for found in _all(kind, result["items"]))

    async def _bind(self) -> bool:
        """Have the queue filled; whether it was not filled before, so that something may be missing in it."""
        if self._bound:
            return False
        if (await self._client.call("feature.get", {"CODE": "rest_offline_extended"}))["value"] != "Y":
            log.warning("contacts.no_queue", reason="this plan has no confirmed reading of offline events")
            self._confirms, self._bound = False, True
            return False
        handlers = await self._client.call("event.get", {})
        there = {str(h["event"]).upper() for h in handlers if int(h.get("offline") or 0)}
        for event in sorted(_EVENTS.keys() - there):
            self._gap = True
            await self._client.call("event.bind", {"event": event, "event_type": "offline"})
        self._bound = True
        return self._gap


def _listed(kind: str, where: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Without counting, which takes Bitrix24 longest."""
    named = {"entityTypeId": _TYPES[kind], "filter": where, "order": {"id": "ASC"}, "select": ["*"], "start": -1}
    return "crm.item.list", named


def _record(data: Any) -> int | None:
    fields = data.get("FIELDS") if isinstance(data, Mapping) else None
    record = str(fields.get("ID", "")) if isinstance(fields, Mapping) else ""
    return int(record) if record.isdecimal() else None


def _all(kind: str, items: Sequence[Mapping[str, Any]]) -> tuple[Found, ...]:
    return tuple(_found(kind, item) for item in items)


def _found(kind: str, item: Mapping[str, Any]) -> Found:
    person = kind == "C"
    parts = ("name", "secondName", "lastName") if person else ("title",)
    company = item.get("companyId") if person else None
    return Found(
        contact_id=f"{kind}_{item['id']}",
        kind="person" if person else "company",
        name=" ".join(str(item[part]) for part in parts if item.get(part)),
        company_id=f"CO_{company}" if company else "",
        numbers=tuple(str(fm["value"]) for fm in item.get("fm") or () if fm["typeId"] == "PHONE"),
        owner=str(item.get("assignedById") or ""),
        updated_at=_micros(item["updatedTime"]),
    )


def _micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(max(0, micros) // 1_000_000, UTC).isoformat()


@asynccontextmanager
async def open_contacts(config: Config, clock: Clock) -> AsyncIterator[Contacts]:
    """A session with the contact feed's share of the rate limit."""
    async with connect(config, clock, rate=config.feed_rate_per_s, burst=_BURST) as client:
        yield Bitrix24Contacts(client)


source = ContactSource(config=Config, open=open_contacts)
