"""The log and a worker's session with it, in memory: every effect goes into one list, and faults are values of the input."""

import enum
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Self

from streams.runtime.clock import ManualClock
from streams.runtime.errors import Reject, Retry
from streams.runtime.session import Place, Record

POLL = 0.1


class Fault(enum.Enum):
    """What happens when the input comes to this place, once."""

    READ = "the session ends instead of reading on"
    WRITE = "the session ends at the next write"
    COMMIT = "the session ends before the next commit is durable"
    COMMITTED = "the session ends with the next commit durable and not answered"
    REBALANCE = "the partitions are taken and given back"
    USURPED = "the same, and meanwhile another worker publishes the next record as it is"


@dataclass(frozen=True, slots=True)
class MemoryMessage:
    """An input record."""

    _value: bytes | None
    _partition: int = 0
    _offset: int = 0
    _key: bytes | None = b"key"

    def value(self) -> bytes | None:
        return self._value

    def key(self) -> bytes | None:
        return self._key

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return (1, 0)


@dataclass(slots=True)
class MemoryLog:
    """Topics and committed places; `stop` is set when all input was read and nothing came of `idle` more turns."""

    source: str
    clock: ManualClock
    stop: threading.Event
    idle: int = 2
    largest: int = 1_000_000
    topics: dict[str, list[tuple[int, bytes | None]]] = field(default_factory=lambda: defaultdict(list))
    """Committed records with their partition, by topic, oldest first."""
    committed: dict[int, Place] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)
    input: list[MemoryMessage | Fault | None] = field(default_factory=list)
    _sessions: Iterator[int] = field(default_factory=lambda: count(1))

    def feed(self, *records: bytes | Fault | None, partition: int = 0) -> None:
        """Append to the input; a message's offset is its place among all of them."""
        for record in records:
            self.input.append(
                record if isinstance(record, Fault) else MemoryMessage(record, partition, len(self.input))
            )

    def connect(self) -> "MemorySession":
        return MemorySession(self, f"session-{next(self._sessions)}")

    def values(self, topic: str) -> list[bytes | None]:
        return [value for _, value in self.topics[topic]]

    def say(self, *words: object) -> None:
        self.effects.append(" ".join(map(str, words)))


class MemorySession:
    """A session of the only worker: it holds every partition that the input has."""

    def __init__(self, log: MemoryLog, owner: str) -> None:
        self.owner = owner
        self._log = log
        self._changes = [True]
        self._next: dict[int, int] = {}
        self._open: list[tuple[str, int, bytes | None]] | None = None
        self._fault: Fault | None = None
        self._idle = 0

    def __enter__(self) -> Self:
        self._log.say("open", self.owner)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.say("close", self.owner)

    def taken_over(self) -> Sequence[Place] | None:
        if not self._changes:
            return None
        if not self._changes.pop(0):
            self._log.say("lost")
            return []
        partitions = sorted({m.partition() for m in self._log.input if isinstance(m, MemoryMessage)})
        self._log.say("decided", *partitions)
        fresh = {p: Place(partition=p, offset=0, low_water=None, owner="") for p in partitions}
        return list((fresh | self._log.committed).values())

    def said(self, partition: int) -> Iterable[bytes]:
        self._log.say("recall", partition)
        target = self._log.source + "-out"
        return [value for at, value in self._log.topics[target] if at == partition and value is not None]

    def input(self, partition: int, start: int, end: int) -> Iterable[MemoryMessage]:
        self._log.say("replay", partition, start, end)
        return [m for m in self._messages(partition) if start <= m.offset() < end]

    def start(self, offsets: Mapping[int, int]) -> None:
        self._log.say("start", *(f"{p}@{o}" for p, o in offsets.items()))
        self._next = dict(offsets)

    def read(self, limit: int) -> Sequence[MemoryMessage]:
        if not self._next:
            self._log.clock.advance(POLL)
            return ()
        batch: list[MemoryMessage] = []
        for place, record in enumerate(self._log.input):
            if isinstance(record, Fault):
                self._log.input[place] = None  # happens once
                self._happens(record)
                break
            if record and record.offset() >= self._next.get(record.partition(), len(self._log.input)):
                batch.append(record)
                if len(batch) == limit:
                    break
        if not self._next:
            return ()
        for message in batch:
            self._next[message.partition()] = message.offset() + 1
        if batch:
            self._idle = 0
            self._log.say("read", len(batch))
        else:
            self._idle += 1
            self._log.clock.advance(POLL)
            if self._idle >= self._log.idle:
                self._log.stop.set()
        return batch

    def begin(self) -> None:
        assert self._open is None, "one transaction at a time"
        self._log.say("begin")
        self._open = []

    def write(self, topic: str, partition: int, records: Iterable[Record]) -> int:
        assert self._open is not None, "a write stands in a transaction"
        written = 0
        for _, value in records:
            if self._fault is Fault.WRITE:
                raise Retry("broker away in the middle of a batch")
            if len(value or b"") > self._log.largest:
                raise Reject("too large")
            self._log.say("write", topic)
            self._open.append((topic, partition, value))
            written += 1
        return written

    def commit(self, places: Sequence[Place]) -> None:
        assert self._open is not None, "a commit ends a transaction"
        if self._fault is Fault.COMMIT:
            raise Retry("broker away before the commit")
        for topic, partition, value in self._open:
            self._log.topics[topic].append((partition, value))
        self._open = None
        self._log.committed |= {place.partition: place for place in places}
        self._log.say("commit", *(f"{p.partition}@{p.offset}" for p in places))
        if self._fault is Fault.COMMITTED:
            raise Retry("broker away before its answer")

    def abort(self) -> None:
        self._log.say("abort")
        self._open = None

    def lag(self) -> Mapping[int, int]:
        return {}

    def _messages(self, partition: int) -> Iterator[MemoryMessage]:
        for record in self._log.input:
            if isinstance(record, MemoryMessage) and record.partition() == partition:
                yield record

    def _happens(self, fault: Fault) -> None:
        self._idle = -1
        if fault is Fault.READ:
            raise Retry("broker away")
        if fault in (Fault.REBALANCE, Fault.USURPED):
            self._log.say("rebalance")
            self._changes, self._next = [False, True], {}
            if fault is Fault.USURPED:
                self._usurp()
        else:
            self._fault = fault

    def _usurp(self) -> None:
        done = {partition: place.offset for partition, place in self._log.committed.items()}
        message = next(
            m for m in self._log.input if isinstance(m, MemoryMessage) and m.offset() >= done.get(m.partition(), 0)
        )
        self._log.topics[self._log.source + "-out"].append((message.partition(), message.value()))
        self._log.committed[message.partition()] = Place(
            partition=message.partition(), offset=message.offset() + 1, low_water=None, owner="another worker"
        )
