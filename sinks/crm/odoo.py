"""Odoo: a call is a note in the history of its contact (`mail.message` on `res.partner`, subtype Note).

Not an activity: in Odoo that is work still to be done, and its row is deleted when somebody does it. Not a posted
message: `message_post` has no key, so the same one twice is two notes. `load()` with an external id has one: it makes
the record or finds the one it made before, also when eight of them come at once (measured on Odoo 14; those that lose
are told `ids: false` inside a 200). Subject, date and contact are columns of the note, the other fields are a list in
its body, a row each; a row is replaced only as long as it reads as the ledger knows it, and whatever else a person
wrote into the body stays.

A note always stands on a document, for Odoo 14 cannot move one that stands on none: calls of nobody known are on the
contact of Odoo's user that we write as, or on the document of `unknown_on`.

With `missed_task` an inbound call that nobody answered is an activity too, of the contact's owner: work to be done. It
comes before the note, with an external id of its own, so that both are there once the note is; after that it belongs
to its owner and is touched no more, but for a call that turns out to be part of another one.
"""

import html
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import phonenumbers

from sinks.crm.connector import Connector, Entry, Portal
from sinks.crm.journal import FIELDS
from streams.clients.crm import Gone, UnknownContact, e164
from streams.clients.odoo import Config, OdooClient, connect
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject, Retry

_LABELS = {
    "direction": "Direction",
    "duration": "Duration (s)",
    "customer_number": "Number",
    "customer_name": "Customer",
    "participants": "Participants",
    "result": "Result",
    "queue": "Queue",
    "did": "Dialled",
    "recording": "Recording",
    "candidates": "Possible contacts",
    "notes": "Notes",
}
_FIELD_OF = {label: field for field, label in _LABELS.items()}
_ROW = re.compile(r"<li><b>([^<]*)</b>: (.*?)</li>", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^>]*>")  # Odoo stores "<%" as it is
_READ = ["subject", "date", "model", "res_id", "body"]
_CONTACT = "res.partner"
_REFUSALS = 8
"""`ids: false` has no code, only text in the database's language: a row that is refused so often is not a conflict of
two writers, which ends within milliseconds, but its data."""
_LAST_DIGITS = 8
_QUIET = {"mail_activity_quick_update": True}
"""Tells Odoo to mail nobody that there is something to do; it would also refuse a user without a mail address."""
_MISSED = frozenset(
    [
        "voicemail",
        "abandoned",
        "queue_timeout",
        "queue_empty",
        "queue_full",
        "closed",
        "busy",
        "no_answer",
        "rejected",
        "abandoned_ringing",
    ]
)
"""Outcomes after which somebody should call back; who hung up at once, or was served by a menu, wants no call."""


class OdooPortal:
    """Notes in one Odoo."""

    def __init__(self, client: OdooClient, config: Config, home: tuple[str, int]) -> None:
        """`home` is the document, as model and id, that calls of nobody known are noted on."""
        self._client, self._config, self._home = client, config, home
        self._refused: Counter[str] = Counter()

    async def find_by_phone(self, number: str) -> Sequence[str]:
        """Contacts with these last digits in any spelling, each then compared in E.164.

        `phone_sanitized` is of no use: it holds one number of a contact only, the mobile one first.
        """
        pattern = f"%{'%'.join(_last_digits(number))}%"
        fields = self._config.phone_fields
        domain = ["|"] * (len(fields) - 1) + [[field, "=ilike", pattern] for field in fields]
        found = await self._client.rows(_CONTACT, domain, fields, order="id")
        country = self._config.country
        return [str(c["id"]) for c in found if number in {e164(str(c[f] or ""), country) for f in fields}]

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        name = _external_id(call_id)
        columns = {
            "id": f"__trunkline__.{name}",
            "message_id": _message_id(call_id),
            "message_type": "comment",
            "subtype_id/id": "mail.mt_note",
            "subject": fields.get("subject", ""),
            "date": _date(fields.get("started_at", "")),
            "body": _with_rows("", fields),
        }
        model, res_id = self._document(fields.get("contact_id", ""))
        columns |= {"model": model, "res_id": str(res_id)}
        if self._config.missed_task and fields.get("direction") == "inbound" and fields.get("result") in _MISSED:
            await self._task(name, fields)
        told = await self._client.call(
            "mail.message", "load", repeatable=False, fields=list(columns), data=[list(columns.values())]
        )
        if not told["ids"]:  # and nothing was saved
            await self._require(fields.get("contact_id", ""))
            self._give_up_or_retry(name)
        self._refused.pop(name, None)
        return str(told["ids"][0])

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        """Odoo writes whole columns, so the body is read and its other rows are written as they were."""
        message = await self._message(external_id)
        changes: dict[str, Any] = {}
        if "subject" in fields:
            changes["subject"] = fields["subject"]
        if "started_at" in fields:
            changes["date"] = _date(fields["started_at"]) or False
        if "contact_id" in fields:
            await self._require(fields["contact_id"])
            model, res_id = self._document(fields["contact_id"])
            changes |= {"model": model, "res_id": res_id}
        if _LABELS.keys() & fields.keys():
            changes["body"] = _with_rows(message["body"] or "", fields)
        await self._client.call("mail.message", "write", [message["id"]], vals=changes)

    async def drop_call(self, external_id: str) -> None:
        message = await self._message(external_id)
        if self._config.missed_task and message["message_id"]:
            name = message["message_id"].strip("<>").partition("@")[0]
            domain = [["module", "=", "__trunkline__"], ["name", "=", _task_id(name)]]
            for task in await self._client.rows("ir.model.data", domain, ["res_id"]):
                await self._client.call("mail.activity", "unlink", [task["res_id"]])
        await self._client.call("mail.message", "unlink", [message["id"]])

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        domain = [["message_id", "=", _message_id(call_id)]]
        found = await self._client.rows("mail.message", domain, _READ, order="id")
        return [Entry(external_id=str(m["id"]), fields=_ours(m, self._home)) for m in found]

    async def _task(self, name: str, fields: Mapping[str, str]) -> None:
        """An activity on the contact for its owner, else for the user that we write as; the same again changes nothing."""
        contact_id = fields.get("contact_id", "")
        if not contact_id.isdecimal():
            return
        contact = await self._client.rows(_CONTACT, [["id", "=", int(contact_id)]], ["user_id"])
        if not contact:
            return
        columns = {
            "id": f"__trunkline__.{_task_id(name)}",
            "res_model_id/id": "base.model_res_partner",
            "res_id": contact_id,
            "activity_type_id/id": "mail.mail_activity_data_call",
            "summary": f"{fields.get('subject', '')}: {fields.get('customer_number', '')}",
            "date_deadline": fields.get("started_at", "")[:10],
        }
        if contact[0]["user_id"]:
            columns["user_id/.id"] = str(contact[0]["user_id"][0])
        told = await self._client.call(
            "mail.activity", "load", fields=list(columns), data=[list(columns.values())], context=_QUIET
        )
        if not told["ids"]:
            self._give_up_or_retry(name)

    def _give_up_or_retry(self, name: str) -> None:
        """Raise Retry for a row that was not saved, Reject when that happened too often."""
        self._refused[name] += 1
        if self._refused[name] < _REFUSALS:
            raise Retry("Odoo did not save it")
        raise Reject(f"Odoo did not save it, {self._refused.pop(name)} times")

    async def _message(self, external_id: str) -> dict[str, Any]:
        """Raises Gone; Odoo itself does nothing, and says nothing, when it deletes a record that is not there."""
        found = await self._client.rows("mail.message", [["id", "=", int(external_id)]], ["body", "message_id"])
        if not found:
            raise Gone(external_id)
        return found[0]

    async def _require(self, contact_id: str) -> None:
        """Raise UnknownContact unless Odoo shows it, archived or not."""
        if not contact_id:
            return
        there = contact_id.isdecimal() and await self._client.rows(
            _CONTACT, [["id", "=", int(contact_id)], ["active", "in", [True, False]]], ["id"]
        )
        if not there:
            raise UnknownContact(contact_id)

    def _document(self, contact_id: str) -> tuple[str, int]:
        """Model and id of what the note stands on."""
        if not contact_id:
            return self._home
        return _CONTACT, int(contact_id) if contact_id.isdecimal() else 0


def _last_digits(number: str) -> str:
    return str(phonenumbers.parse(number).national_number)[-_LAST_DIGITS:]


def _external_id(call_id: str) -> str:
    """Odoo splits an external id at its one dot; what is neither letter nor digit is told by its code."""
    return "call_" + re.sub(r"[^A-Za-z0-9]", lambda c: f"_{ord(c[0]):x}_", call_id)


def _task_id(name: str) -> str:
    return name.replace("call_", "task_", 1)


def _message_id(call_id: str) -> str:
    return f"<{_external_id(call_id)}@trunkline>"


def _date(started_at: str) -> str:
    """Odoo's form of UTC, without a zone."""
    return started_at.replace("T", " ").removesuffix("Z")


def _row(label: str, text: str) -> str:
    written = html.escape(text).replace("\n", "<br>")
    return f"<li><b>{label}</b>: {written}</li>"


def _with_rows(body: str, fields: Mapping[str, str]) -> str:
    """The body with these fields as they should read: rows are replaced, taken away or added, the rest is left."""
    wanted = {_LABELS[f]: fields[f] for f in FIELDS if f in fields and f in _LABELS}
    there = {row[1] for row in _ROW.finditer(body)}

    def replaced(row: re.Match[str]) -> str:
        if row[1] not in wanted:
            return row[0]
        return _row(row[1], wanted[row[1]]) if wanted[row[1]] else ""

    kept = _ROW.sub(replaced, body)
    added = "".join(_row(label, text) for label, text in wanted.items() if text and label not in there)
    if not added:
        return kept
    head, end, tail = kept.rpartition("</ul>")
    return f"{head}{added}{end}{tail}" if end else f"{kept}<ul>{added}</ul>"


def _ours(message: Mapping[str, Any], home: tuple[str, int]) -> dict[str, str]:
    """The fields of a note under our names."""
    fields = dict.fromkeys(FIELDS, "")
    for row in _ROW.finditer(message["body"] or ""):
        if field := _FIELD_OF.get(row[1]):
            text = _TAG.sub("", re.sub(r"<br\s*/?>", "\n", row[2]))
            fields[field] = html.unescape(text)
    fields["subject"] = message["subject"] or ""
    fields["started_at"] = f"{message['date']}Z".replace(" ", "T") if message["date"] else ""
    if message["model"] == _CONTACT and (_CONTACT, message["res_id"]) != home:
        fields["contact_id"] = str(message["res_id"])
    return fields


async def home_of(client: OdooClient, config: Config) -> tuple[str, int]:
    """Where calls of nobody known are noted."""
    if not config.unknown_on:
        user = await client.rows("res.users", [["login", "=", config.login]], ["partner_id"])
        if not user:
            raise Fatal("Odoo has no user of this name: set `login` of this CRM, also with a key")
        return _CONTACT, int(user[0]["partner_id"][0])
    model, _, record = config.unknown_on.partition(":")
    if not (model and record.isdecimal()):
        raise Fatal("`unknown_on` of this CRM must be a document as model:id, say mail.channel:1")
    return model, int(record)


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the journal's share of the rate limit."""
    async with connect(config, clock, rate=config.rate_per_s) as client:
        yield OdooPortal(client, config, await home_of(client, config))


connector = Connector(config=Config, open=open_portal)
