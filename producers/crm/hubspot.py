"""HubSpot's contacts: all in pages of the list, changes by a search on `lastmodifieddate`, deletions by the archive.

The search lags behind by up to a minute, and keeps showing what was changed or deleted since: it only says where to
look, and each contact is then read by its id. What it shows too late for the feed is found by the feed's sweep, which
overlaps the one before (`overlap_s` is longer than the lag). A survivor names the contacts that were merged into it.
Who was deleted is on the list of archived contacts; who was erased for good is on none, and found by the full scan.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

from producers.crm.feed import run
from producers.crm.source import Changes, Contacts, ContactSource, Found, Mark, Page
from streams.clients.crm import Gone
from streams.clients.hubspot import Config, HubSpotClient, connect
from streams.runtime.clock import Clock

__all__ = ["run", "source"]
_CONTACTS = "/crm/v3/objects/contacts"
_MODIFIED, _ID, _MERGED = "lastmodifieddate", "hs_object_id", "hs_merged_object_ids"
_READ = ("firstname", "lastname", "associatedcompanyid", "hubspot_owner_id", _MODIFIED, _MERGED)
_PAGE = 100


class HubSpotContacts:
    """Contacts of one HubSpot account.

    A token holds the millisecond that changes are read from, the latest one seen, and the id that the next page begins
    behind: the search shows no more than 10,000 contacts by pages of its own, and an import brings more at once.
    """

    def __init__(self, client: HubSpotClient, config: Config, clock: Clock) -> None:
        self._client, self._config, self._clock = client, config, clock
        self._look_at = clock.monotonic()

    async def mark(self) -> Mark:
        """The last change is where the feed goes on. HubSpot tells nobody its time: ours stands for it, in sweeps."""
        last = await self._client.search(
            "contacts",
            {"sorts": [{"propertyName": _MODIFIED, "direction": "DESCENDING"}], "properties": [_MODIFIED], "limit": 1},
        )
        moment = max((_millis(row) for row in last["results"]), default=0)
        return Mark(token=_token(moment, moment, "0"), at=self._clock.now())

    async def page(self, cursor: str, since: int | None) -> Page:
        if since is not None:
            hits = await self._changed("GTE", max(0, since // 1000), cursor or "0")
            rows = await self._by_id(hits)
            return Page(found=self._founds(rows), cursor=str(hits[-1]["id"]) if len(hits) == _PAGE else "")
        told = await self._list({"properties": self._properties}, cursor)
        return Page(found=self._founds(told["results"]), cursor=_next(told))

    async def changes(self, token: str) -> Changes:
        since, latest, last_id = json.loads(token)
        hits = await self._changed("GT", since, last_id)
        rows = await self._by_id(hits)
        latest = max([latest, *map(_millis, hits)])
        updated, gone = list(self._founds(rows)), []
        for contact_id in sorted({str(hit["id"]) for hit in hits} - {found.contact_id for found in updated}):
            try:  # a batch leaves out also what it failed to read
                updated.append(await self.get(contact_id))
            except Gone:
                gone.append(contact_id)
        gone += [merged for row in rows for merged in (row["properties"].get(_MERGED) or "").split(";") if merged]
        more = len(hits) == _PAGE
        if not more:
            gone += await self._archived()
        return Changes(
            updated=tuple(updated),
            gone=tuple(gone),
            token=_token(since, latest, str(hits[-1]["id"])) if more else _token(latest, latest, "0"),
            more=more,
        )

    async def get(self, contact_id: str) -> Found:
        """The id of a contact that was merged leads to the one that it was merged into: it is gone."""
        path = f"{_CONTACTS}/{quote(contact_id, safe='')}"
        row = await self._client.ask("GET", path, params={"properties": self._properties})
        if str(row["id"]) != contact_id:
            raise Gone(contact_id)
        return self._found(row)

    async def _list(self, params: Mapping[str, str], after: str) -> dict[str, Any]:
        cursor = {"after": after} if after else {}
        found: dict[str, Any] = await self._client.ask(
            "GET", _CONTACTS, params={**params, **cursor, "limit": str(_PAGE)}
        )
        return found

    async def _changed(self, how: str, millis: int, behind: str) -> list[dict[str, Any]]:
        """Where the search says that something changed, by id."""
        filters = [
            {"propertyName": _MODIFIED, "operator": how, "value": str(millis)},
            {"propertyName": _ID, "operator": "GT", "value": behind},
        ]
        query = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": _ID, "direction": "ASCENDING"}],
            "properties": [_MODIFIED],
            "limit": _PAGE,
        }
        return list((await self._client.search("contacts", query))["results"])

    async def _by_id(self, hits: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The contacts as they are now; one that is not there (any more), or under another id, is left out."""
        if not hits:
            return []
        ids = {str(hit["id"]) for hit in hits}
        body = {
            "inputs": [{"id": i} for i in sorted(ids)],
            "properties": self._properties.split(","),
            "propertiesWithHistory": [],
        }
        told = await self._client.ask("POST", f"{_CONTACTS}/batch/read", body)
        return [row for row in told["results"] if str(row["id"]) in ids]

    async def _archived(self) -> list[str]:
        """Everybody who was deleted and may still be restored, now and then; the feed knows whom it has told of."""
        if self._clock.monotonic() < self._look_at:
            return []
        gone: list[str] = []
        after = ""
        while True:
            told = await self._list({"archived": "true"}, after)
            gone += [str(row["id"]) for row in told["results"]]
            after = _next(told)
            if not after:
                break
        self._look_at = self._clock.monotonic() + self._config.archived_s
        return gone

    @property
    def _properties(self) -> str:
        return ",".join([*_READ, *self._config.phone_fields])

    def _founds(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Found, ...]:
        return tuple(self._found(row) for row in rows)

    def _found(self, row: Mapping[str, Any]) -> Found:
        there = row["properties"]
        names = (there.get("firstname"), there.get("lastname"))
        return Found(
            contact_id=str(row["id"]),
            name=" ".join(name for name in names if name),
            company_id=there.get("associatedcompanyid") or "",
            numbers=tuple(there[f] for f in self._config.phone_fields if there.get(f)),
            owner=there.get("hubspot_owner_id") or "",
            updated_at=_millis(row) * 1000,
        )


def _token(since: int, latest: int, last_id: str) -> str:
    return json.dumps([since, latest, last_id])


def _next(told: Mapping[str, Any]) -> str:
    return str(((told.get("paging") or {}).get("next") or {}).get("after") or "")


def _millis(row: Mapping[str, Any]) -> int:
    moment = datetime.fromisoformat(row["properties"][_MODIFIED])
    return round(moment.timestamp() * 1000)


@asynccontextmanager
async def open_contacts(config: Config, clock: Clock) -> AsyncIterator[Contacts]:
    """A session with the contact feed's share of the rate limit."""
    async with connect(config, clock, rate=config.feed_rate_per_s) as client:
        yield HubSpotContacts(client, config, clock)


source = ContactSource(config=Config, open=open_contacts)
