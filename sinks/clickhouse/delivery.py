"""One batch from the log to the far side, in the order that makes a crash harmless at any point."""

import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from sinks.clickhouse.ranges import Range
from sinks.sink import Batch, Rejected, Writer
from streams.runtime import metrics
from streams.runtime.clock import Clock
from streams.runtime.errors import Retry
from streams.runtime.retry import Backoff

log = structlog.get_logger()


class DeadLetters(Protocol):
    """Where refused records go."""

    def send(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        """Return when the broker has all of them, else raise Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Commit this position of the batch's partition; the next step comes when the broker has it."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Call this in a thread, again after each Retry; the delivery is sent its answer."""

    call: Callable[[], Any]


Steps = Generator[Commit | Work, Any, None]


def deliver(batch: Batch, writer: Writer, dead: DeadLetters) -> Steps:
    """Write a batch down as pending, write it, send its dead letters, and commit as the last effect.

    Whoever takes the partition over between any two steps finds the pending range and replays it: the same inserts,
    which the server recognises, and the same dead letters, which then stand twice.
    """
    pending = Range(first=batch.first, last=batch.last, skipped=batch.skipped)
    yield Commit(offset=batch.first, metadata=pending.text())
    rejected: Sequence[Rejected] = yield Work(call=lambda: writer.write(batch))
    if rejected:
        known = pending.skipping(r.offset for r in rejected)
        yield Commit(offset=batch.first, metadata=known.text())
        yield Work(call=lambda: dead.send(batch, rejected))
    yield Commit(offset=batch.last + 1, metadata="")


class Attempts:
    """One step of work for one partition, tried until it succeeds; `waiting` between tries."""

    def __init__(self, batch: Batch, clock: Clock) -> None:
        self._batch = batch
        self._clock = clock
        self.waiting = False

    def until_done(self, work: Work, gone: threading.Event) -> Any:
        """The answer of the work, or None once `gone` is set; raises Fatal when a person is needed."""
        backoff = Backoff()
        while not gone.is_set():
            try:
                return work.call()
            except Retry as e:
                pause = backoff.wait(e.after)
                where = f"{self._batch.topic}:{self._batch.partition}:{self._batch.first}:{self._batch.last}"
                log.warning("sink.retry", batch=where, reason=str(e), wait_s=round(pause, 1))
                metrics.INSERT_RETRIES.labels(self._batch.topic).inc()
                self.waiting = True
                self._clock.sleep(pause, until=gone)
                self.waiting = False
        return None
