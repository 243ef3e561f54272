"""A record that could not be used, with its bytes, its place and the reason, for the twin of its topic."""

from importlib.metadata import version
from typing import Protocol

from schemas.codec import encode
from schemas.events import DeadLetter

_VERSION = version("trunkline")


class Record(Protocol):
    """What is kept of the record."""

    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...


def dead_letter(record: Record, *, topic: str, stage: str, reason: str, trace: str = "", at: int, limit: int) -> bytes:
    """The framed DeadLetter of a record of `topic`; `at` is microseconds.

    When it would have more than `limit` bytes it goes without the record's own: they stay at their place in the topic.
    """
    value = record.value()
    fits = len(value or b"") + len(reason) + len(trace) + 1000 < limit
    return encode(
        DeadLetter(
            topic=topic,
            partition=record.partition(),
            offset=record.offset(),
            key=record.key(),
            value=value if fits else None,
            stage=stage,
            reason=reason if fits else f"{reason} (its {len(value or b'')} bytes are too many for a dead letter)",
            trace=trace,
            version=_VERSION,
            at=at,
        )
    )
