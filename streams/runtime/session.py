"""A worker's session with the broker: what a stage's loop needs of it, on Kafka or in memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

RECORD_LIMIT = 1_040_000
"""Most bytes of a record that a stream writes: under the broker's 1 MiB, over a producer's 1,000,000, so that an input
of the largest size still fits with what is added to it."""


class Message(Protocol):
    """What the pipeline reads: a `confluent_kafka.Message`."""

    def value(self) -> bytes | None: ...
    def key(self) -> bytes | None: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def timestamp(self) -> tuple[int, int]:
        """(kind, milliseconds since the epoch)."""
        ...


class Output(NamedTuple):
    """One record for the stage's target, on the partition number of its input."""

    key: bytes | None
    value: bytes | None


Record = tuple[bytes | None, bytes | None]
"""An Output, or the same as a plain tuple, which costs a tenth: the hot path makes one per event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An input record that cannot be used: it becomes a DeadLetter in the batch's own transaction."""

    message: Message
    reason: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stage stands in one input partition, as a transaction commits it."""

    partition: int
    offset: int
    """The next input."""
    low_water: int | None
    owner: str
    """Which session wrote it: when that was ours, nobody has written since, and our state is still right."""


class Session(Protocol):
    """A worker's session with the broker, from joining the group to the first error.

    Called by one thread. Every method may raise Retry (the session is over and to be closed; nothing of an open
    transaction is committed, unless it is from `commit`, where only the next session learns that) or Fatal.
    """

    owner: str

    def taken_over(self) -> Sequence[Place] | None:
        """All partitions that this worker holds now, or None when that is as it was at the last call.

        Returns after the transactions of former owners are decided. Partitions change hands in `read` only; after a
        rebalance has begun they are none, until it is over.
        """
        ...

    def said(self, partition: int) -> Iterable[bytes]:
        """The target partition's window up to its end, oldest first."""
        ...

    def input(self, partition: int, start: int, end: int) -> Iterable[Message]:
        """What the input partition holds of [start, end)."""
        ...

    def start(self, offsets: Mapping[int, int]) -> None:
        """Let `read` answer, from these offsets on."""
        ...

    def read(self, limit: int) -> Sequence[Message]:
        """The next input: what is there, at once, or after 100 ms nothing. Never of a partition not started."""
        ...

    def begin(self) -> None: ...

    def write(self, topic: str, partition: int, records: Iterable[Record]) -> int:
        """Put records into the open transaction as they come, and count them; Reject when one is too large."""
        ...

    def commit(self, places: Sequence[Place]) -> None:
        """Commit the open transaction with these places: durable when it returns."""
        ...

    def abort(self) -> None: ...

    def lag(self) -> Mapping[int, int]:
        """Records behind the end of the input, by partition, as last heard."""
        ...


Connect = Callable[[], AbstractContextManager[Session]]
