"""Whose number is this: E.164 to the encoded tail of an enriched event, from the compacted topic of contacts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, Message

from schemas.codec import UndecodableError, decode, encode_tail
from schemas.events import Contact
from streams.runtime import kafka, metrics
from streams.runtime.config import Kafka

TOPIC = "contacts"
_AT_ONCE = 2000
_WAIT = 0.1
log = structlog.get_logger()

_TAILS = 200_000
"""Most tails kept encoded: the numbers that call, not all that are known."""
_CROWD = 50
"""More contacts than this under one number say that it is a placeholder or a switchboard: it tells nobody's name."""
_SHARED = ("crm", "company_id", "owner", "priority", "segment")
"""What candidates may agree on."""


def tail(match: str, **fields: Any) -> bytes:
    """The appended fields, encoded; what is not given is empty."""
    empty: dict[str, Any] = dict.fromkeys(
        ("crm", "contact_id", "company_id", "contact_name", "owner", "segment", "match_rule"), ""
    )
    return encode_tail(empty | {"priority": 0, "candidates": []} | fields | {"match": match})


NONE = tail("none")
HIDDEN = tail("hidden")
INTERNAL = tail("internal")


class Contacts:
    """The contacts by number; `put` follows the topic, `tail` answers for the hot path.

    A number that one contact has is `matched`. A number that several have is `ambiguous`, whoever they are: two persons,
    a person and the company's switchboard, the same customer in two CRMs. None of them is chosen; what all of them
    agree on (the company, the owner) is no guess and is told, a company counting as a member of itself. A number that a
    crowd shares has no candidates either.
    """

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}
        self._keys: dict[bytes, tuple[bytes, ...]] = {}
        self.tails: dict[bytes, bytes] = {}
        """The answers of `tail` that are kept: the hot loop looks here before it asks."""

    def __len__(self) -> int:
        """How many numbers are known."""
        return len(self._keys)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Take in one record of the topic; None is a tombstone. Raises UndecodableError, and then nothing changed."""
        new = frozenset(_numbers(value))
        old = frozenset(_numbers(self._records.get(key)))
        for number in old - new:
            rest = tuple(k for k in self._keys[number] if k != key)
            if rest:
                self._keys[number] = rest
            else:
                del self._keys[number]
        for number in new - old:
            self._keys[number] = (*self._keys.get(number, ()), key)
        for number in old | new:
            self.tails.pop(number, None)
        if value is None or not new:
            self._records.pop(key, None)
        else:
            self._records[key] = value

    def tail(self, number: bytes) -> bytes:
        """The encoded tail for an event with this customer number."""
        known = self.tails.get(number)
        if known is None:
            if len(self.tails) >= _TAILS:
                self.tails.clear()
            known = self.tails[number] = self._encoded(number)
        return known

    def _encoded(self, number: bytes) -> bytes:
        keys = self._keys.get(number)
        if keys is None:
            return NONE
        if len(keys) > _CROWD:
            return tail("ambiguous", match_rule="crowd")
        found = [decode(Contact, self._records[key]) for key in keys]
        rows = [_row(contact) for contact in found]
        if len(rows) == 1:
            return tail("matched", match_rule="number", **rows[0])
        shared = {name: rows[0][name] for name in _SHARED if all(row[name] == rows[0][name] for row in rows)}
        return tail("ambiguous", match_rule="number", candidates=sorted(_names(found)), **shared)


class Follower:
    """Keeps Contacts up to date with their topic, all partitions of it, without a group."""

    def __init__(self, settings: Kafka, contacts: Contacts) -> None:
        self._settings = settings
        self._contacts = contacts
        self._reader: Consumer | None = None
        self._unread: set[int] = set()
        """Partitions that were not read to their end yet."""

    def refresh(self) -> bool:
        """Take in what has come; False while the topic has not been read to its end for the first time."""
        if self._reader is None:
            self._reader = kafka.reader(self._settings, TOPIC)
            self._unread = {at.partition for at in self._reader.assignment()}
        first = self._reader.poll(_WAIT if self._unread else 0)
        if first is not None:
            for message in [first, *self._reader.consume(_AT_ONCE, 0)]:
                self._take(message)
            metrics.CONTACTS.set(len(self._contacts))
        return not self._unread

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            try:
                self._contacts.put(message.key() or b"", message.value())
            except UndecodableError:
                where = {"partition": message.partition(), "offset": message.offset()}
                log.warning("enrich.contact_unreadable", **where)  # the contact stays as it was known before
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - that is how the client names its own codes
            self._unread.discard(message.partition())
        else:
            raise kafka.mapped(error, "reading contacts")


def _row(contact: Contact) -> Mapping[str, Any]:
    return {
        "crm": contact.crm,
        "contact_id": contact.contact_id,
        "company_id": contact.contact_id if contact.kind == "company" else contact.company_id,
        "contact_name": contact.name,
        "owner": contact.owner,
        "priority": contact.priority,
        "segment": contact.segment,
    }


def _names(contacts: Iterable[Contact]) -> Iterator[str]:
    """Contact ids, with their CRM where there are several."""
    several = len({contact.crm for contact in contacts}) > 1
    for contact in contacts:
        yield f"{contact.crm}:{contact.contact_id}" if several else contact.contact_id


def _numbers(value: bytes | None) -> Iterator[bytes]:
    if value is not None:
        yield from (number.encode() for number in decode(Contact, value).numbers if number)
