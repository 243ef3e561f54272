"""HubSpot: a call is a Call in the history of its contact, found again by our own property `pbx_call_id`.

That property has unique values, so HubSpot itself refuses a second entry of a call. Entries are created, not upserted:
an upsert takes no associations, and an entry would for a moment, or after a crash for ever, stand in nobody's history.
They go in batches of what gathers while the batch before is on its way, and what is refused is told for each.

Read-back is by that property, never by search, which lags behind what was written. Which of a call's contacts is ours
is kept in `pbx_contact_id`: other contacts that people add, or put in its place, stay. HubSpot's own direction, status
and numbers are set once, for its timeline and reports; what we compare is in properties that only we write.
"""

import html
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import phonenumbers

from sinks.crm.connector import Connector, Entry, Portal
from sinks.crm.journal import FIELDS
from streams.clients.crm import Gone, Unknown, UnknownContact, e164
from streams.clients.hubspot import KEY, Config, HubSpotClient, connect
from streams.clients.hubspot_batch import creations
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject

_CONTACT = "pbx_contact_id"
_PROPERTY = {
    "subject": "hs_call_title",
    "direction": "pbx_direction",
    "customer_number": "pbx_customer_number",
    "customer_name": "pbx_customer_name",
    "participants": "pbx_participants",
    "result": "pbx_result",
    "queue": "pbx_queue",
    "did": "pbx_did",
    "recording": "pbx_recording",
    "candidates": "pbx_candidates",
    "contact_id": _CONTACT,
}
_OURS = (KEY, *(name for name in _PROPERTY.values() if name.startswith("pbx_")))
_READ = ",".join([*_PROPERTY.values(), "hs_timestamp", "hs_call_duration", "hs_call_body"])
_DIRECTION = {"inbound": "INBOUND", "outbound": "OUTBOUND"}
_STATUS = {
    "": "",
    "answered": "COMPLETED",
    "voicemail": "COMPLETED",
    "ivr_only": "COMPLETED",
    "busy": "BUSY",
    "failed": "FAILED",
    "rejected": "FAILED",
}
_SEARCHABLE = ("hs_searchable_calculated_phone_number", "hs_searchable_calculated_mobile_number")
"""HubSpot's own spelling of a contact's numbers: digits, without the country."""
_LAST_DIGITS = 8
_CALLS, _CONTACTS, _PROPERTIES = "/crm/v3/objects/calls", "/crm/v3/objects/contacts", "/crm/v3/properties/calls"
_CALL_TO_CONTACT = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}
_SEARCHED = 200
_GROUP = "trunkline"
_TAG = re.compile(r"</?[A-Za-z][^>]*>")


class HubSpotPortal:
    """Calls in one HubSpot account. An entry's id is our call id, the value of its unique property."""

    def __init__(self, client: HubSpotClient, config: Config) -> None:
        self._client, self._config, self._creations = client, config, creations(client)

    async def find_by_phone(self, number: str) -> Sequence[str]:
        """Contacts with these last digits, each then compared in E.164. Who was just added may not be found yet."""
        value = f"*{str(phonenumbers.parse(number).national_number)[-_LAST_DIGITS:]}"
        query: dict[str, Any] = {
            "filterGroups": [
                {"filters": [{"propertyName": name, "operator": "CONTAINS_TOKEN", "value": value}]}
                for name in _SEARCHABLE
            ],
            "properties": list(self._config.phone_fields),
            "limit": _SEARCHED,
        }
        found: list[str] = []
        while True:
            page = await self._client.search("contacts", query)
            for contact in page.get("results", ()):
                numbers = (contact["properties"].get(name) or "" for name in self._config.phone_fields)
                if number in {e164(raw, self._config.country) for raw in numbers}:
                    found.append(str(contact["id"]))
            after = page.get("paging", {}).get("next", {}).get("after")
            if not after:
                return found
            query["after"] = after

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        contact_id = fields.get("contact_id", "")
        to = [{"to": {"id": contact_id}, "types": [_CALL_TO_CONTACT]}] if contact_id else []
        properties = {KEY: call_id, **_properties(fields), **_for_timeline(fields)}
        try:
            await self._creations.ask((call_id, {"properties": properties, "associations": to}))
        except Reject:
            if await self._there(call_id):
                raise Unknown("HubSpot has an entry of this call already") from None  # an attempt that came late
            await self._require(contact_id)
            raise
        return call_id

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        """The contact moves first; cut off anywhere, the entry reads as one of the two, and the same again ends it."""
        if "contact_id" in fields:
            await self._move(external_id, fields["contact_id"])
        await self._client.ask(
            "PATCH", _path(external_id), {"properties": _properties(fields)}, params={"idProperty": KEY}
        )

    async def drop_call(self, external_id: str) -> None:
        there = await self._there(external_id)
        if there is None:
            raise Gone(external_id)
        await self._client.ask("DELETE", f"{_CALLS}/{there['id']}")

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        there = await self._there(call_id)
        return [Entry(external_id=call_id, fields=_ours(there))] if there else []

    async def _there(self, call_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._client.ask(
                "GET", _path(call_id), params={"idProperty": KEY, "properties": _READ, "associations": "contacts"}
            )
        except Gone:
            return None
        return found

    async def _move(self, call_id: str, contact_id: str) -> None:
        """Put the call into the history of this contact, and take it out of the one that we had put it into."""
        await self._require(contact_id)
        there = await self._there(call_id)
        if there is None:
            raise Gone(call_id)
        before = there["properties"].get(_CONTACT) or ""
        path = f"/crm/v4/objects/calls/{there['id']}/associations"
        if contact_id:
            await self._client.ask("PUT", f"{path}/default/contacts/{quote(contact_id, safe='')}")
        if before not in ("", contact_id) and before in _contacts(there):
            await self._client.ask("DELETE", f"{path}/contacts/{quote(before, safe='')}")

    async def _require(self, contact_id: str) -> None:
        """Raise UnknownContact unless there is one; the id of a contact that was merged leads to the other one."""
        if not contact_id:
            return
        try:
            await self._client.ask("GET", f"{_CONTACTS}/{quote(contact_id, safe='')}")
        except (Gone, Reject):  # Reject: what is no id of HubSpot's
            raise UnknownContact(contact_id) from None


def _path(call_id: str) -> str:
    return f"{_CALLS}/{quote(call_id, safe='')}"


def _properties(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields as HubSpot has them; "" clears a property."""
    written = {_PROPERTY[field]: text for field, text in fields.items() if field in _PROPERTY}
    if "started_at" in fields:
        written["hs_timestamp"] = fields["started_at"]
    if "duration" in fields:
        written["hs_call_duration"] = fields["duration"] and str(int(fields["duration"]) * 1000)
    if "notes" in fields:
        written["hs_call_body"] = html.escape(fields["notes"], quote=False).replace("\n", "<br>")
    if "recording" in fields:
        alone = fields["recording"].startswith("https://") and "\n" not in fields["recording"]
        written["hs_call_recording_url"] = fields["recording"] if alone else ""
    return written


def _for_timeline(fields: Mapping[str, str]) -> dict[str, str]:
    """What HubSpot itself shows and counts by; a hidden number is no number."""
    numbers = [fields.get(name, "") for name in ("customer_number", "did")]
    ends = [number if number.startswith("+") else "" for number in numbers]
    if fields.get("direction") == "outbound":
        ends.reverse()
    native = {
        "hs_call_direction": _DIRECTION.get(fields.get("direction", "")),
        "hs_call_status": _STATUS.get(fields.get("result", ""), "NO_ANSWER"),
        "hs_call_from_number": ends[0],
        "hs_call_to_number": ends[1],
    }
    return {name: value for name, value in native.items() if value}


def _contacts(record: Mapping[str, Any]) -> set[str]:
    """Ids of a call's contacts; one that is linked in two ways is told twice."""
    told = (record.get("associations") or {}).get("contacts") or {}
    return {str(contact["id"]) for contact in told.get("results", ())}


def _ours(record: Mapping[str, Any]) -> dict[str, str]:
    """The fields of an entry under our names."""
    there: Mapping[str, Any] = record["properties"]
    fields = dict.fromkeys(FIELDS, "") | {field: there.get(name) or "" for field, name in _PROPERTY.items()}
    if moment := there.get("hs_timestamp"):
        fields["started_at"] = datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields["duration"] = str(there.get("hs_call_duration") or "").removesuffix("000")
    body = re.sub(r"<br\s*/?>", "\n", there.get("hs_call_body") or "")
    fields["notes"] = html.unescape(_TAG.sub("", body))
    linked = _contacts(record)
    if fields["contact_id"] not in linked:
        fields["contact_id"] = ", ".join(sorted(linked))
    return fields


async def prepare(client: HubSpotClient) -> None:
    """Add our properties of calls where they are missing. Raises Fatal where only a person can."""
    missing = await _missing(client)
    if not missing:
        return
    with suppress(Reject):  # it is there already
        await client.ask("POST", f"{_PROPERTIES}/groups", {"name": _GROUP, "label": "Trunkline"})
    for name in missing:
        made = {
            "name": name,
            "label": name.replace("pbx_", "PBX ").replace("_", " "),
            "groupName": _GROUP,
            "type": "string",
            "fieldType": "text" if name == KEY else "textarea",
            "hasUniqueValue": name == KEY,
        }
        with suppress(Reject):
            await client.ask("POST", _PROPERTIES, made)
    if missing := await _missing(client):
        raise Fatal(f"HubSpot does not add these text properties of calls: add {', '.join(missing)}")


async def _missing(client: HubSpotClient) -> list[str]:
    told = await client.ask("GET", _PROPERTIES)
    there = {str(p["name"]): p for p in told["results"]}
    if KEY in there and not there[KEY].get("hasUniqueValue"):
        raise Fatal(f"HubSpot's property {KEY} of calls takes a value twice: delete it, and it is made anew")
    return [name for name in _OURS if name not in there]


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the journal's share of the rate limit."""
    async with connect(config, clock, rate=config.rate_per_s) as client:
        await prepare(client)
        yield HubSpotPortal(client, config)


connector = Connector(config=Config, open=open_portal)
