"""From the ring to a reader: how long until an event of a ringing telephone is enriched and readable by anybody."""

import threading
from typing import Self

from schemas.codec import UndecodableError, decode_row
from schemas.events import EnrichedCallEvent
from streams.runtime import kafka
from streams.runtime.clock import Clock
from streams.runtime.config import Kafka

_RING = frozenset({"leg.created", "leg.ringing", "dial.started", "queue.entered", "agent.offered"})


class RingWatch:
    """Reads the bus as any other service would, from a thread, and keeps the delay of each ringing event in seconds."""

    def __init__(self, connection: Kafka, clock: Clock) -> None:
        self.delays: list[float] = []
        self.seen = 0
        self._connection, self._clock = connection, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="ring-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _read(self) -> None:
        consumer = kafka.reader(self._connection, "call-events-enriched", latest=True)
        try:
            while not self._stop.is_set():
                message = consumer.poll(0.2)
                if message is None or message.error() is not None:
                    continue
                now = self._clock.now()
                self.seen += 1
                try:
                    event = decode_row(EnrichedCallEvent, message.value() or b"")
                except UndecodableError:
                    continue
                if event["type"] in _RING and not event["synthetic"]:
                    self.delays.append((now - event["ts"]) / 1e6)
        finally:
            consumer.close()


def quantile(values: list[float], share: float) -> float | None:
    """The value below which that share of the values lies; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
