"""One stage of the stream: poll, process, write, commit, with one Kafka transaction per batch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


class Message(Protocol):
    """What the pipeline reads: a `confluent_kafka.Message`."""

    def value(self) -> bytes | None: ...
    def key(self) -> bytes | None: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def timestamp(self) -> tuple[int, int]:
        """(kind, milliseconds since the epoch)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One record for the stage's target, on the partition number of its input."""

    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An input record that cannot be used: it becomes a DeadLetter in the batch's own transaction."""

    message: Message
    reason: str
    stage: str


class Task(Protocol):
    """The state of one stage for one input partition; called by one thread, never at the same time.

    A new owner of the partition calls `recall` for every record of the target's window, then `replay` for the input
    that the low water names, then `process` and `tick` for ever. A task may not block and has no effects of its own.
    """

    def recall(self, value: bytes) -> None:
        """Take in one record of the target partition's window, oldest first: what this stage has already said."""
        ...

    def replay(self, messages: Sequence[Message]) -> None:
        """Take in input that was processed before, [low water, committed), in order; nothing is written for it."""
        ...

    def process(self, messages: Sequence[Message], now: int) -> Iterable[Output | Refused]:
        """Answer the next input, in order; `now` is microseconds. `Reject` refuses the whole of `messages`."""
        ...

    def tick(self, now: int) -> Iterable[Output]:
        """Answer the passing of time (µs); called between batches, at least every 200 ms."""
        ...

    def low_water(self) -> int | None:
        """Lowest input offset that a new owner must replay to have this state; None: no need to replay anything."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A processor between two topics with the same number of partitions."""

    name: str
    source: str
    target: str
    window_s: float
    """How far back `recall` reads the target partition, in seconds."""
    open: Callable[[int], Task]
    """A fresh task for a partition number."""
    refresh: Callable[[], None] | None = None
    """Called before each batch: brings shared look-up tables up to date, without blocking."""
