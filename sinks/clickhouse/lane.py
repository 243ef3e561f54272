"""What one topic-partition has delivered and the far side does not have yet: cut into batches, without any I/O."""

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import methodcaller

from sinks.clickhouse.ranges import Range
from sinks.sink import Batch
from streams.runtime.session import Message

# What a Python object of a message costs beside its value; measured on confluent-kafka 2.16.
_OVERHEAD = 400
_VALUE = methodcaller("value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a batch is full, and how soon the next short one may follow."""

    rows: int
    bytes: int
    seconds: float


class Lane:
    """One partition, in the thread that reads; only `gone` is shared with the thread that writes its batch."""

    def __init__(self, topic: str, partition: int, limits: Limits, pending: Range | None, start: int = 0) -> None:
        """`pending`: the range that the former owner wrote down and did not finish; it becomes the first batch.

        `start`: the first offset that is still to be read.
        """
        self.topic = topic
        self.partition = partition
        self.key = topic, partition
        self.gone = threading.Event()
        self.busy = False
        self.bytes = 0
        """What waits here, in memory."""
        self.taken_at = float("-inf")
        self.next = start
        """The offset that comes next from the log."""
        self._limits = limits
        self._pending = pending
        self._messages: list[Message] = []
        self._end = 0

    def add(self, messages: Sequence[Message]) -> None:
        self._messages += messages
        if messages:
            self.next = messages[-1].offset() + 1
        self.bytes += _size(messages)

    def end(self, offset: int) -> None:
        """The partition was read up to here: nothing below will come."""
        self._end = max(self._end, offset)

    def ready(self, now: float) -> bool:
        """Whether `take` has a batch; `now` in seconds.

        A full one at once. A short one, too, unless the last batch was taken less than `seconds` ago: alone, a record
        does not wait; in a stream, inserts stay few.
        """
        if self.busy:
            return False
        if self._pending:
            return self._end > self._pending.last or self._reached() >= self._pending.last
        if not self._messages:
            return False
        full = len(self._messages) >= self._limits.rows or self.bytes >= self._limits.bytes
        return full or now - self.taken_at >= self._limits.seconds

    def take(self, now: float) -> Batch:
        """Return the next batch; the lane is busy until `busy` is set False."""
        replayed = self._pending is not None
        if self._pending:
            span, self._pending = self._pending, None
            count = bisect_right(self._messages, span.last, key=lambda m: m.offset())
        else:
            count = min(len(self._messages), self._limits.rows)
            span = Range(first=self._messages[0].offset(), last=self._messages[count - 1].offset())
        messages, self._messages = self._messages[:count], self._messages[count:]
        self.bytes = _size(self._messages)
        self.busy, self.taken_at = True, now
        return Batch(
            topic=self.topic,
            partition=self.partition,
            first=span.first,
            last=span.last,
            messages=messages,
            replayed=replayed,
            skipped=span.skipped,
        )

    def _reached(self) -> int:
        return self._messages[-1].offset() if self._messages else -1


def _size(messages: Sequence[Message]) -> int:
    return _OVERHEAD * len(messages) + sum(map(len, filter(None, map(_VALUE, messages))))
