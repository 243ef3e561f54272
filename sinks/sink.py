"""What a sink is: a far side outside the log, and a writer that can repeat itself without doubling anything there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from streams.runtime.session import Message

C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """All records of one topic-partition between two offsets, in order.

    "All" is what the log still holds: offsets that a transaction marker took, that an aborted transaction wrote or that
    compaction removed are no records. A tombstone (value None) is one.
    """

    topic: str
    partition: int
    first: int
    last: int
    messages: Sequence[Message]
    replayed: bool = False
    """It was written down by a former owner of the partition: the far side may have it, whole or in part."""
    skipped: frozenset[int] = frozenset()
    """Offsets that the far side is known to refuse: refused again without being asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One record of a batch that the far side does not take, now or later."""

    offset: int
    reason: str
    """For a person and without a word of the record's own text."""


class Writer(Protocol):
    """Writes batches idempotently: the same batch twice leaves the same far side."""

    def write(self, batch: Batch) -> Sequence[Rejected]:
        """Return, once all the rest is durable, only what was refused.

        Called from several threads, one batch per partition at a time; may block for as long as the far side's time-out.
        Raises Retry when it is not known that everything was written: the same batch comes again, also after a crash.
        Raises Fatal when a person is needed.
        """
        ...

    def close(self) -> None:
        """Let go of connections; a second time changes nothing. Batches that are being written may fail with Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink(Generic[C]):
    """One far side: what it is configured by, how it is opened, and the most records that a batch may hold."""

    config: type[C]
    open: Callable[[C], Writer]
    """Raises Retry while the far side is away, Fatal when it does not let us in."""
    max_batch: int
