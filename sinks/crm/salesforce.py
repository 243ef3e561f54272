"""Salesforce: a call is a closed task in the history of its contact, one for each value of an external id field.

The id of the call is the key of an upsert, so a write that comes twice is one task; many go in one request. Contact,
subject, direction, duration and result are columns of the task, the date is its date; the other fields are a list in its
comments, a paragraph each, continued by lines that begin with two blanks. A paragraph is replaced only as long as it
reads as the ledger knows it, and whatever else a person wrote into the comments stays.

Tasks are read back by queryAll, for Salesforce archives closed ones after a year and no longer shows them otherwise.
When contacts are merged Salesforce moves their tasks to the one that stays; to the ledger that is a person's edit.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import phonenumbers
from phonenumbers import PhoneNumberFormat

from sinks.crm.connector import Connector, Entry, Portal
from sinks.crm.journal import FIELDS
from streams.clients.batches import Batches
from streams.clients.crm import Gone, UnknownContact, e164
from streams.clients.salesforce import Config, Refused, SalesforceClient, connect
from streams.clients.soql import literal, phrase
from streams.runtime.clock import Clock
from streams.runtime.errors import Retry

_TASK, _CONTACT = "Task", "Contact"
_COLUMNS = {
    "contact_id": "WhoId",
    "subject": "Subject",
    "direction": "CallType",
    "duration": "CallDurationInSeconds",
    "result": "CallDisposition",
}
_LABELS = {
    "started_at": "Started",
    "customer_number": "Number",
    "customer_name": "Customer",
    "participants": "Participants",
    "queue": "Queue",
    "did": "Dialled",
    "recording": "Recording",
    "candidates": "Possible contacts",
    "notes": "Notes",
}
_FIELD_OF = {label: field for field, label in _LABELS.items()}
_ROW = re.compile(rf"^({'|'.join(_FIELD_OF)}): (.*(?:\n  .*)*)(?:\n|\Z)", re.MULTILINE)
_NOT_THERE = {
    "ENTITY_IS_DELETED",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
    "INVALID_CROSS_REFERENCE_KEY",
    "MALFORMED_ID",
    "NOT_FOUND",
}
"""The contact, or the task itself."""
_SPELLINGS = (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL)
_LAST_DIGITS = 8
_WRITES = 200
_READS = 20
"""Tasks that are read at once: their ids stand in the address, which ends at 16,384 characters."""


class SalesforcePortal:
    """Tasks in one org."""

    def __init__(self, client: SalesforceClient, config: Config) -> None:
        self._client, self._config = client, config
        # What the org's own triggers refuse may be the size of the batch, so a refused record is tried again by itself.
        self._upserts = Batches(
            partial(client.upsert, _TASK, config.call_id_field), most=_WRITES, again=Refused, repeatable=False
        )
        self._updates = Batches(partial(client.update, _TASK), most=_WRITES, again=Refused)
        self._by_call = Batches(partial(self._read, config.call_id_field), most=_READS, again=Refused)
        self._by_id = Batches(partial(self._read, "Id"), most=_READS, again=Refused)

    async def find_by_phone(self, number: str) -> Sequence[str]:
        """Contacts with this number in any of the fields, each compared in E.164."""
        fields = self._config.phone_fields
        columns = ", ".join(("Id", *fields))
        if self._config.find == "sosl":
            wanted = " OR ".join(phrase(text) for text in _spellings(number))
            sosl = f"FIND {{{wanted}}} IN PHONE FIELDS RETURNING {_CONTACT}({columns} ORDER BY Id) LIMIT 2000"
            found = await self._client.search(sosl)
        else:
            pattern = literal(f"%{'%'.join(_last_digits(number))}%")
            like = " OR ".join(f"{field} LIKE {pattern}" for field in fields)
            soql = f"SELECT {columns} FROM {_CONTACT} WHERE ({like}) ORDER BY Id"  # noqa: S608 - escaped
            found = await self._client.query(soql)
        country = self._config.country
        return [str(c["Id"]) for c in found if number in {e164(str(c.get(f) or ""), country) for f in fields}]

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        key = self._config.call_id_field
        task = {
            key: call_id,
            "Status": self._config.status,
            **_columns({**dict.fromkeys(_COLUMNS, ""), **fields}),
            "ActivityDate": fields.get("started_at", "")[:10] or None,
            "Description": _with_rows("", fields) or None,
        }
        try:
            return await self._upserts.ask(task)
        except Refused as e:
            if e.code in _NOT_THERE and fields.get("contact_id"):
                raise UnknownContact(e.code) from None
            if e.code == "DUPLICATE_VALUE" and await self.confirm(call_id):
                raise Retry("another write of the same call came first") from None
            raise

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        """Salesforce writes whole columns, so the comments are read and their other text is written as it was."""
        changes = _columns(fields)
        if _LABELS.keys() & fields.keys():
            changes["Description"] = _with_rows(await self._comments(external_id), fields) or None
        if "started_at" in fields:
            changes["ActivityDate"] = fields["started_at"][:10] or None
        try:
            await self._updates.ask({"Id": external_id, **changes})
        except Refused as e:
            if e.code not in _NOT_THERE:
                raise
            await self._comments(external_id)
            if not fields.get("contact_id"):
                raise
            raise UnknownContact(e.code) from None

    async def drop_call(self, external_id: str) -> None:
        await self._client.delete(_TASK, external_id)

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        found = await self._by_call.ask(call_id)
        return [Entry(external_id=str(t["Id"]), fields=_ours(t)) for t in found]

    async def _comments(self, external_id: str) -> str:
        """Raises Gone when the task is not there."""
        found = await self._by_id.ask(external_id)
        if not found:
            raise Gone(external_id)
        return _lines(found[0]["Description"])

    async def _read(self, column: str, values: Sequence[str]) -> list[list[dict[str, Any]] | Exception]:
        """The tasks with each of the values, oldest first."""
        columns = ", ".join(("Id", self._config.call_id_field, "Description", *_COLUMNS.values()))
        where = f"{column} IN ({', '.join(map(literal, values))}) AND IsDeleted = false"
        soql = f"SELECT {columns} FROM {_TASK} WHERE {where} ORDER BY CreatedDate, Id"  # noqa: S608 - escaped
        found = await self._client.query(soql, deleted=True)
        return [[t for t in found if t[column] == value] for value in values]  # SOQL itself is blind to case


def _last_digits(number: str) -> str:
    return str(phonenumbers.parse(number).national_number)[-_LAST_DIGITS:]


def _spellings(number: str) -> Sequence[str]:
    """How people usually write the number, each once."""
    parsed = phonenumbers.parse(number)
    written = [phonenumbers.format_number(parsed, form) for form in _SPELLINGS]
    bare = "".join(c for c in written[-1] if c.isdecimal())
    return list(dict.fromkeys([*written, bare, number.removeprefix("+")]))


def _columns(fields: Mapping[str, str]) -> dict[str, Any]:
    """The task's columns for those of our fields that have one; an empty one is null."""
    changes: dict[str, Any] = {column: fields[f] or None for f, column in _COLUMNS.items() if f in fields}
    if fields.get("direction"):
        changes["CallType"] = fields["direction"].capitalize()
    if fields.get("duration"):
        changes["CallDurationInSeconds"] = int(fields["duration"])
    return changes


def _row(label: str, text: str) -> str:
    return f"{label}: {text}".replace("\n", "\n  ") + "\n"


def _with_rows(comments: str, fields: Mapping[str, str]) -> str:
    """The comments with these fields as they should read: rows are replaced, taken away or added, the rest is left.

    The first row of a label is ours; a person may have written another one below.
    """
    wanted = {_LABELS[f]: fields[f] for f in FIELDS if f in fields and f in _LABELS}

    def replaced(row: re.Match[str]) -> str:
        text = wanted.pop(row[1], None)
        if text is None:
            return row[0]
        return _row(row[1], text) if text else ""

    kept = _ROW.sub(replaced, comments)
    added = "".join(_row(label, text) for label, text in wanted.items() if text)
    end = "\n" if added and kept and not kept.endswith("\n") else ""
    return f"{kept}{end}{added}".rstrip("\n")


def _lines(text: str | None) -> str:
    """A person's edit in the browser ends every line with CR LF."""
    return (text or "").replace("\r\n", "\n")


def _ours(task: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a task under our names."""
    fields = dict.fromkeys(FIELDS, "")
    for row in _ROW.finditer(_lines(task["Description"])):
        field = _FIELD_OF[row[1]]
        fields[field] = fields[field] or row[2].replace("\n  ", "\n")
    for field, column in _COLUMNS.items():
        fields[field] = "" if task[column] is None else str(task[column])
    return fields | {"direction": fields["direction"].lower()}


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the journal's share of the rate limit."""
    async with connect(config, clock, rate=config.rate_per_s) as client:
        yield SalesforcePortal(client, config)


connector = Connector(config=Config, open=open_portal)
