"""enrich: every fact once, with the customer behind its number, without decoding it.

An event's id and number stand first in its bytes and the customer's fields are appended last (see `schemas.codec`). So a
body is not looked into: one that has the right frame and is no CallEvent inside goes on, and whoever decodes it first
sends it to the dead letters.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from schemas import codec
from schemas.codec import UndecodableError
from schemas.events import CallEvent
from schemas.topics import manifest
from streams.processors.contacts import HIDDEN, INTERNAL, NONE, Contacts, Follower
from streams.processors.dedupe import Seen
from streams.runtime import metrics
from streams.runtime.clock import Clock
from streams.runtime.config import Settings
from streams.runtime.pipeline import Message, Record, Refused, Stage
from streams.runtime.session import RECORD_LIMIT

NAME = "enrich"
_CURRENT = codec.header(manifest().schemas["CallEvent"].current_id)
_ENRICHED = codec.header(manifest().schemas["EnrichedCallEvent"].current_id)
_SHORTEST = 32
_LONGEST = RECORD_LIMIT - 20_000
_HIDDEN = b"\x0chidden\x021"
"""`hidden: "1"` in the encoded map; that it is there is checked by decoding, that it is not there needs no check."""
_INTERNAL = b"\x10internal"


@dataclass(frozen=True, slots=True)
class Enrich:
    """The Task of one partition.

    Of a schema's last field, the map `data`, the last byte is 0. A record where it is not (cut, or not an event) and one
    of another schema version are decoded, and that decides.
    """

    seen: Seen
    contacts: Contacts

    def recall(self, value: bytes) -> None:
        self.seen.add(codec.event_id(value))

    def replay(self, messages: Sequence[Message]) -> None:
        """Nothing to do: what was processed is in the output."""

    def process(self, messages: Sequence[Message], now: int) -> Iterator[Record | Refused]:  # noqa: ARG002
        new, old, known, tail = self.seen.new, self.seen.old, self.contacts.tails.get, self.contacts.tail
        current, enriched = _CURRENT, _ENRICHED
        duplicates = 0
        for message in messages:
            value = message.value()
            try:
                if value is None or value[:5] != current or value[-1] or not _SHORTEST < len(value) < _LONGEST:
                    value = _current(value)
                # The slices here are codec.customer_number, codec.event_id and codec.enrich, without their calls.
                if size := value[21]:
                    number = value[22 : 22 + (size >> 1)]
                    appended = known(number) or tail(number)
                else:
                    appended = nobody(value)
            except UndecodableError as e:
                yield Refused(message=message, reason=str(e), stage=NAME)
                continue
            identity = value[5:21]
            if identity in new or identity in old:
                duplicates += 1
            else:
                new.add(identity)
                yield message.key(), enriched + value[5:] + appended
        self.seen.turn()
        metrics.STREAM_DUPLICATES.labels(NAME).inc(duplicates)

    def tick(self, now: int) -> Iterable[Record]:  # noqa: ARG002
        return ()

    def low_water(self) -> int | None:
        return None


def open_stage(settings: Settings, clock: Clock) -> Stage:  # noqa: ARG001 - every stage is opened so
    """The stage on this set-up's topics."""
    own = settings.streams.enrich
    contacts = Contacts()
    return Stage(
        name=NAME,
        source=settings.kafka.name("call-events"),
        target=settings.kafka.name("call-events-enriched"),
        window_s=own.window_seconds,
        window_records=own.seen_events,
        open=lambda _: Enrich(Seen(own.seen_events), contacts),
        refresh=Follower(settings.kafka, contacts).refresh,
    )


def nobody(value: bytes) -> bytes:
    """The tail of an event without a customer's number: its caller is hidden, or it is internal, or neither."""
    if value.find(_HIDDEN) >= 0 and codec.decode_row(CallEvent, value)["data"].get("hidden") == "1":
        return HIDDEN
    if value.find(_INTERNAL) >= 0 and codec.decode_row(CallEvent, value)["direction"] == "internal":
        return INTERNAL
    return NONE


def _current(value: bytes | None) -> bytes:
    """The event in the current schema version; UndecodableError when it is none."""
    if value is None:
        raise UndecodableError("a tombstone is no event")
    if len(value) >= _LONGEST:
        raise UndecodableError(f"its {len(value)} bytes leave no room for the customer's")
    return codec.encode(codec.decode(CallEvent, value))
