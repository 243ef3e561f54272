"""amoCRM (Kommo): a call is a note of the type call_in or call_out on its contact's card.

`POST /calls` is not used: it chooses the card itself, by the last ten digits of a number, which two countries share, and
promises nothing about a `uniq` that it has seen. A note goes to the card that we name, and has the same `uniq` among its
params. The portal finds no note by that, so the journal reads which call notes were written or edited since it last
looked, which is one page, and keeps where each of its own stands. It wakes nobody's timeline twice: it only adds and
edits, for the API cannot delete a note; a note that is taken away is emptied, says so, and is no entry any more.

All fields are rows of the note's text (`call_result`), which people read and may edit; number, duration, recording and
status also stand where the card's player and filters look for them. The time on the card is when the note was written.
"""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import phonenumbers

from sinks.crm.connector import Connector, Entry, Portal
from sinks.crm.journal import FIELDS
from streams.clients.amocrm import PAGE, AmoClient, Config, connect
from streams.clients.amocrm_lists import numbers, updated
from streams.clients.crm import Gone, Unknown, UnknownContact, e164
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject

_LABELS = {
    "subject": "Call",
    "direction": "Direction",
    "started_at": "Started",
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
_MORE = "\n  "
"""How a row goes on: text from outside never begins a line, so it cannot pass for a row."""
_OURS = "trunkline:"
_TAKEN_AWAY = "This call is told elsewhere."
_TYPES = ("call_in", "call_out")
_STATUS = {"voicemail": 1, "answered": 4, "busy": 7} | dict.fromkeys(
    ("no_answer", "abandoned", "short_abandon", "abandoned_ringing", "queue_timeout", "queue_empty", "queue_full"), 6
)
"""The API's numbers: left a message, talked to, engaged, not reached."""
_NOTES_OF = re.compile(r"(contacts|companies|leads)/(\d{1,18})")
_LAG_S = 60
"""How long after its time a note may come to light."""
_LAST_DIGITS = 10


class Places:
    """Where the notes of each call stand, as far as they were written since `notes_days` before the session began."""

    def __init__(self, client: AmoClient, kinds: Sequence[str], since: int) -> None:
        """`since` is in seconds."""
        self._client = client
        self._of: dict[str, set[str]] = {}
        self._marks = dict.fromkeys(kinds, since)
        self._door = asyncio.Lock()
        self._begun = self._done = 0

    def add(self, uniq: str, place: str) -> None:
        self._of.setdefault(uniq, set()).add(place)

    async def of(self, uniq: str) -> Sequence[str]:
        """Notes that had this `uniq`, oldest first, by a look that began after this was called."""
        asked = self._begun
        async with self._door:
            if self._done <= asked:
                self._begun += 1
                for kind in self._marks:
                    await self._look(kind)
                self._done = self._begun
        return sorted(self._of.get(uniq, ()), key=lambda place: int(place.rpartition("/")[2]))

    async def _look(self, kind: str) -> None:
        types = {f"filter[note_type][{n}]": one for n, one in enumerate(_TYPES)}
        newest = self._marks[kind]
        async for note in updated(self._client, f"{kind}/notes", newest, types):
            uniq = str((note.get("params") or {}).get("uniq") or "")
            if uniq.startswith(_OURS):
                self.add(uniq, f"{kind}/{note['id']}")
            newest = max(newest, int(note["updated_at"]) - _LAG_S)
        self._marks[kind] = newest


class AmoPortal:
    """Call notes in one account."""

    def __init__(self, client: AmoClient, config: Config, now: int) -> None:
        """`now` is in seconds."""
        self._client, self._config, self._home = client, config, config.unknown_on
        if self._home and not _NOTES_OF.fullmatch(self._home):
            raise Fatal("`unknown_on` of this CRM must be a card, as contacts/1, companies/1 or leads/1")
        self._since = now - round(config.notes_days * 86_400)
        kinds = dict.fromkeys([*config.cards, *([self._home.partition("/")[0]] if self._home else [])])
        self._places = Places(client, list(kinds), self._since)

    async def find_by_phone(self, number: str) -> Sequence[str]:
        """Cards that the portal's search shows for these last digits, each then compared in E.164."""
        query = {"query": str(phonenumbers.parse(number).national_number)[-_LAST_DIGITS:]}
        holders: dict[str, None] = {}
        for kind in self._config.cards:
            for page in itertools.count(1):
                rows = await self._client.rows(kind, query, page)
                holders |= {f"{kind}/{r['id']}": None for r in rows if self._has(r, number)}
                if len(rows) < PAGE:
                    break
        return list(holders)

    def _has(self, card: Mapping[str, Any], number: str) -> bool:
        known = {e164(one, self._config.country) for one in numbers(card)}
        return number in known and not card.get("is_deleted")

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        card = fields.get("contact_id", "") or self._home
        if not card:
            raise Reject("nobody in the CRM is known to have this number: set `unknown_on` to note such calls")
        if _seconds(fields.get("started_at", ""), self._since) < self._since:
            raise Reject("the call is older than `notes_days`: whether it has a note already cannot be told")
        kind, card_id = _card(card)
        params = {"uniq": _OURS + call_id, "source": "Trunkline", "duration": 0}
        note_type = "call_out" if fields.get("direction") == "outbound" else "call_in"
        note = {"entity_id": card_id, "note_type": note_type, "params": _with_rows(params, fields)}
        try:
            told = await self._client.post(f"{kind}/notes", [note])
        except (Reject, Gone) as e:
            await self._require(card)
            raise Reject(str(e) or "amoCRM answered 404 to a note") from None
        made = f"{kind}/{_made(told)}"
        self._places.add(_OURS + call_id, made)
        return made

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        """Params are written whole, as they were read, but for these fields: what the API does with half is not said."""
        kind, _ = _card(external_id)
        note = await self._note(external_id)
        card_id = int(note["entity_id"])
        if "contact_id" in fields:
            card = fields["contact_id"] or self._home
            if card != f"{kind}/{card_id}":
                card_id = await self._target(kind, card)
        params = _with_rows(note["params"], fields)
        told = await self._write(external_id, {**note, "entity_id": card_id}, params)
        if int(told.get("entity_id", card_id)) != card_id:  # a note that the portal leaves where it is
            raise UnknownContact(fields["contact_id"])

    async def drop_call(self, external_id: str) -> None:
        note = await self._note(external_id)
        empty = {"uniq": f"void:{note['params']['uniq']}", "duration": 0, "link": "", "call_result": _TAKEN_AWAY}
        await self._write(external_id, note, {**note["params"], **empty})

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        entries = []
        for place in await self._places.of(_OURS + call_id):
            try:
                note = await self._note(place)
            except Gone:
                continue
            if note["params"]["uniq"] == _OURS + call_id:
                entries.append(Entry(external_id=place, fields=_ours(note, place, self._home)))
        return entries

    async def _write(self, external_id: str, note: Mapping[str, Any], params: Mapping[str, Any]) -> Mapping[str, Any]:
        kind, note_id = _card(external_id)
        told = {k: v for k, v in params.items() if v is not None}  # read as null, refused as null
        body = {"entity_id": note["entity_id"], "note_type": note["note_type"], "params": told}
        answer = await self._client.patch(f"{kind}/notes/{note_id}", body)
        return answer if isinstance(answer, Mapping) else {}

    async def _note(self, external_id: str) -> dict[str, Any]:
        """Raises Gone, also for one that was taken away."""
        kind, note_id = _card(external_id)
        note = await self._client.get(f"{kind}/notes/{note_id}")
        params = (note or {}).get("params") or {}
        if not str(params.get("uniq") or "").startswith(_OURS) or params.get("call_result") == _TAKEN_AWAY:
            raise Gone(external_id)
        return dict(note)

    async def _target(self, kind: str, card: str) -> int:
        """The card to move a note to: one of the same kind that is there."""
        if not card or card.partition("/")[0] != kind:
            raise UnknownContact(card)
        await self._require(card)
        return _card(card)[1]

    async def _require(self, card: str) -> None:
        """Raise UnknownContact unless the portal shows it."""
        kind, card_id = _card(card)
        try:
            found = await self._client.get(f"{kind}/{card_id}")
        except Gone:
            found = None
        if found and not found.get("is_deleted"):
            return
        if card == self._home:
            raise Fatal("the card `unknown_on` of this CRM is not there: name another")
        raise UnknownContact(card)


def _ours(note: Mapping[str, Any], place: str, home: str) -> dict[str, str]:
    """The fields of a note under our names."""
    told = dict(reversed(_parts(str(note["params"].get("call_result") or ""))))  # the first of two rows counts
    fields = {field: told.get(_LABELS.get(field, ""), "") for field in FIELDS}
    card = f"{place.partition('/')[0]}/{note['entity_id']}"
    return fields | {"contact_id": "" if card == home else card}


def _card(text: str) -> tuple[str, int]:
    """Kind and id of a card or of a note."""
    if not (found := _NOTES_OF.fullmatch(text)):
        raise UnknownContact(text)
    return found[1], int(found[2])


def _made(told: Any) -> int:
    try:
        return int(told["_embedded"]["notes"][0]["id"])
    except (LookupError, TypeError, ValueError):
        raise Unknown("amoCRM answered without the note's id") from None


def _seconds(started_at: str, default: int) -> int:
    return round(datetime.fromisoformat(started_at).timestamp()) if started_at else default


def _parts(text: str) -> list[tuple[str, str]]:
    """The text as (label, value) rows of ours and ("", lines) of others, in order."""
    parts: list[tuple[str, str]] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        label, colon, value = line.partition(": ")
        if colon and label in _FIELD_OF:
            parts.append((label, value))
        elif line.startswith("  ") and parts and parts[-1][0]:
            parts[-1] = (parts[-1][0], f"{parts[-1][1]}\n{line[2:]}")
        else:
            parts.append(("", line))
    return parts


def _with_rows(params: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The params with these fields as they should read; rows are replaced, taken away or added, the rest is left."""
    there = str(params.get("call_result") or "")
    wanted = {_LABELS[f]: fields[f] for f in FIELDS if f in fields and f in _LABELS}
    kept = [(label, wanted.pop(label, value) if label else value) for label, value in (_parts(there) if there else [])]
    rows = [(label, value) for label, value in [*kept, *wanted.items()] if value or not label]
    text = "\n".join(f"{label}: {value.replace(chr(10), _MORE)}" if label else value for label, value in rows)
    done = {**params, "call_result": text}
    if "duration" in fields:
        done["duration"] = int(fields["duration"] or 0)
    if "customer_number" in fields:
        done["phone"] = fields["customer_number"]
    if "recording" in fields:
        link = next((r for r in fields["recording"].split("\n") if r.startswith(("https://", "http://"))), "")
        done |= {"link": link} if link or done.get("link") else {}
    if "result" in fields:
        done.pop("call_status", None)
        done |= {"call_status": _STATUS[fields["result"]]} if fields["result"] in _STATUS else {}
    return done


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the journal's share of the rate limit."""
    async with connect(config, clock, rate=config.rate_per_s) as client:
        yield AmoPortal(client, config, clock.now() // 1_000_000)


connector = Connector(config=Config, open=open_portal)
