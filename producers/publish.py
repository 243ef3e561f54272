"""Records to Kafka in order: straight when the broker answers, over the disk spool when it does not.

A record leaves memory when the broker has acknowledged it or when it is durable in the spool. While the spool holds
anything that is not under way, new records go behind it, so the order of sending is kept across both roads.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from producers.spool import Spool
from streams.runtime import kafka
from streams.runtime.clock import Clock
from streams.runtime.config import Kafka
from streams.runtime.errors import Fatal

PATIENCE = 2.0
"""Seconds without any acknowledgement after which the broker counts as away."""
WINDOW = 20_000
"""Most records under way at once."""
RENEWAL = 1.0
"""Least seconds between two producers, when one has failed."""
FLUSH = 8.0
"""Seconds that a clean stop waits for the broker before it leaves the rest in the spool."""

log = structlog.get_logger()


class Sender(Protocol):
    """What is used of confluent_kafka.Producer."""

    def produce(self, topic: str, *, key: bytes, value: bytes, on_delivery: Callable[[Any, Any], None]) -> None: ...
    def poll(self, timeout: float) -> int: ...
    def purge(self, *, in_queue: bool = True, in_flight: bool = True) -> None: ...


@dataclass(slots=True)
class _Record:
    topic: str
    key: bytes
    value: bytes
    done: bool = False


def connect(settings: Kafka) -> Producer:
    """A producer that never gives a record up by itself: it waits for the broker as long as it takes."""
    return kafka.producer(settings, **{"message.timeout.ms": 0, "error_cb": _trouble})


def _trouble(error: KafkaError) -> None:
    """The client goes on trying, and events go to the spool meanwhile: a telephone call cannot be asked for again."""
    known = kafka.mapped(error, "connecting")
    if isinstance(known, Fatal):
        log.error("the broker does not let us in; events go to the disk spool", reason=str(known))


class Publisher:
    """Used by one thread, which calls `turn` at least every 100 ms."""

    def __init__(self, open_sender: Callable[[], Sender], spool: Spool, clock: Clock, *, window: int = WINDOW) -> None:
        self._open = open_sender
        self._sender = open_sender()
        self._generation = 0
        self._spool = spool
        self._clock = clock
        self._window = window
        self._under_way: deque[_Record] = deque()
        self._stored = 0
        """How many of those under way, the oldest, are in the spool too."""
        self._appended = 0
        """Records in the spool since the last sync."""
        self._finished = 0
        """Records of the spool acknowledged since the last turn."""
        self._away = False
        self._failed = False
        self._progress = self._renewed = clock.monotonic()
        self.sent = 0
        """Records accepted so far."""
        self.acknowledged = 0
        """Records of this process that the broker has."""
        self.by_topic: Counter[str] = Counter()
        """The same, each topic for itself."""

    @property
    def durable(self) -> int:
        """How many of the records accepted, the oldest, are with the broker or safe on disk."""
        return self.sent - (len(self._under_way) - self._stored) - self._appended

    @property
    def away(self) -> bool:
        """The broker does not answer; records go to the spool."""
        return self._away

    @property
    def roomy(self) -> bool:
        """After a full spool: the broker answers again, and half of the spool is free."""
        return not self._away and self._spool.size * 2 <= self._spool.limit

    def send(self, topic: str, key: bytes, value: bytes) -> bool:
        """Take one record. False: the spool is full, and the record was not taken."""
        if not (self._away or self._spool.waiting):
            record = _Record(topic, key, value)
            if len(self._under_way) < self._window and self._produce(record):
                self._under_way.append(record)
                self.sent += 1
                return True
            self._step_aside("the broker is slow")
        if self._stored < len(self._under_way):
            self._store()
        if self._stored < len(self._under_way) or not self._spool.append(_pack(topic, key, value)):
            return False
        self.sent += 1
        self._appended += 1
        return True

    def turn(self) -> None:
        """Take in acknowledgements, make the spool durable, move it on, and notice that the broker is away."""
        before = self.acknowledged
        self._sender.poll(0)
        self._spool.done(self._finished)
        self._finished = 0
        now = self._clock.monotonic()
        if self.acknowledged != before or not self._under_way:
            self._progress = now
            self._away = self._away and bool(self._under_way) and self.acknowledged == before
        if self._failed:
            self._renew(now)
        elif now - self._progress > PATIENCE and not self._away:
            self._step_aside("the broker does not answer")
        self._sync()
        if not self._away and self._spool.waiting:
            self._drain()

    def close(self) -> None:
        """Wait for the broker a while; what is left then stays in the spool for the next process."""
        until = self._clock.monotonic() + FLUSH
        while (self._under_way or self._spool.waiting) and not self._away and self._clock.monotonic() < until:
            self.turn()
            self._sender.poll(0.05)
        self._spool.done(self._finished)
        self._store()
        self._sync()
        self._spool.close()
        left = len(self._under_way)
        if left or self._spool.size:
            log.warning("stopped before the broker had everything; the spool keeps it", records=left)

    def _produce(self, record: _Record) -> bool:
        try:
            self._sender.produce(
                record.topic,
                key=record.key,
                value=record.value,
                on_delivery=partial(self._delivered, self._generation, record),
            )
        except BufferError:
            return False
        except KafkaException as e:
            log.warning("the broker's client refuses a record; it stays in line", code=e.args[0].name())
            self._failed = True
        return True

    def _delivered(self, generation: int, record: _Record, error: KafkaError | None, _message: object) -> None:
        if generation != self._generation:
            return
        if error is not None:
            if not self._failed:
                log.error("the broker refuses a record; it stays in line", code=error.name(), topic=record.topic)
            self._failed = True
            return
        record.done = True
        while self._under_way and self._under_way[0].done:
            self.by_topic[self._under_way.popleft().topic] += 1
            self.acknowledged += 1
            if self._stored:
                self._stored -= 1
                self._finished += 1

    def _step_aside(self, reason: str) -> None:
        if not self._away:
            log.warning("events go to the disk spool", reason=reason, under_way=len(self._under_way))
        self._away = True
        self._store()

    def _store(self) -> None:
        """Keep what is under way in the spool as well: from here on a crash loses nothing of it."""
        for record in list(self._under_way)[self._stored :]:
            if not self._spool.append(_pack(record.topic, record.key, record.value), taken=True):
                return  # it stays in memory and under way
            self._stored += 1
        self._spool.sync()

    def _sync(self) -> None:
        if self._appended:
            self._spool.sync()
            self._appended = 0

    def _drain(self) -> None:
        for packed in self._spool.take(self._window - len(self._under_way)):
            record = _unpack(packed)
            self._under_way.append(record)
            self._stored += 1
            self._failed |= not self._produce(record)

    def _renew(self, now: float) -> None:
        """A producer that failed for good is replaced; what was under way is sent again, in order.

        The broker may have some of it already: the same event has the same id, and the stream drops the second.
        """
        self._step_aside("the broker refused a record")
        if now - self._renewed < RENEWAL:
            return
        self._failed = False
        self._renewed = now
        self._generation += 1
        self._sender.purge()
        self._sender = self._open()
        for record in self._under_way:
            record.done = False
            self._failed |= not self._produce(record)
        self._progress = now


def _pack(topic: str, key: bytes, value: bytes) -> bytes:
    name = topic.encode()
    return len(name).to_bytes(1, "big") + name + len(key).to_bytes(2, "big") + key + value


def _unpack(packed: bytes) -> _Record:
    after = 1 + packed[0]
    size = int.from_bytes(packed[after : after + 2], "big")
    return _Record(packed[1:after].decode(), packed[after + 2 : after + 2 + size], packed[after + 2 + size :])
