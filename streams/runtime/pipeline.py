"""One stage of the stream: poll, process, write, commit, with one Kafka transaction per batch.

A worker's state is a function of the log. So there is one way out of every trouble (a broker that is away, a fenced
producer, a rebalance in the middle of a commit): throw the session with the broker away, open a new one, and rebuild
the state from what was committed.
"""

import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import methodcaller
from typing import Protocol, TypeVar

import structlog

from streams.runtime import metrics
from streams.runtime.batch import Batch
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Retry
from streams.runtime.retry import Backoff
from streams.runtime.session import Connect, Message, Output, Place, Record, Refused, Session

__all__ = ["Message", "Output", "Record", "Refused", "Stage", "Task", "Worker"]

BATCH = 25_000
"""Most records of one transaction: some 150 ms of enrichment, beside which the 10-20 ms of its commit are little."""
TICK_US = 100_000
LAG_US = 1_000_000

T = TypeVar("T")
log = structlog.get_logger()


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

    def process(self, messages: Sequence[Message], now: int) -> Iterable[Record | Refused]:
        """Answer the next input, in order; `now` is microseconds.

        A record that cannot be used is answered with Refused. When anything is raised (Reject says so on purpose), the
        batch is thrown away, the state is rebuilt and the record is looked for in ever smaller batches, until it is
        alone and goes to the dead letters: right, but slow.
        """
        ...

    def tick(self, now: int) -> Iterable[Record]:
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
    window_records: int | None = None
    """And how many records at most (a transaction's marker counts as one); None: no bound."""
    open: Callable[[int], Task]
    """A fresh task for a partition number."""
    refresh: Callable[[], bool] | None = None
    """Called before each batch: brings shared look-up tables up to date. It does a little at a time; while it answers
    False (not there yet) nothing is processed. May raise Retry."""


class Worker:
    """Runs a stage on the partitions that the group gives it."""

    def __init__(self, stage: Stage, clock: Clock, stop: threading.Event) -> None:
        self._stage = stage
        self._clock = clock
        self._stop = stop
        self._backoff = Backoff()
        self._limit = BATCH
        self._tasks: dict[int, Task] = {}
        self._left: dict[int, Task] = {}
        """Those of the last partitions held, also while they are under way to somebody."""
        self._places: dict[int, Place] = {}
        """As last committed."""
        self._ticked = self._measured = 0

    def run(self, connect: Connect) -> None:
        """Work until `stop` is set, over as many sessions as it takes; raises Fatal."""
        while not self._stop.is_set():
            try:
                with connect() as session:
                    self._serve(session)
            except Retry as e:
                metrics.STREAM_ABORTED.labels(self._stage.name).inc()
                # A batch that outlived its transaction on a starved machine must not be tried at the same size for ever.
                self._limit = max(1, self._limit // 2)
                if self._stop.is_set():
                    return
                wait = self._backoff.wait(e.after)
                log.warning("stream.session_over", stream=self._stage.name, reason=str(e), again_in=wait)
                self._clock.sleep(wait, until=self._stop)

    def _serve(self, session: Session) -> None:
        self._tasks, self._left, self._places = {}, {}, {}
        while not self._stop.is_set():
            if self._stage.refresh and not self._stage.refresh():
                continue
            messages = session.read(self._limit)
            self._take_over(session)
            now = self._clock.now()
            self._transact(session, messages, now)
            self._measure(session, now)

    def _take_over(self, session: Session) -> None:
        """When partitions changed hands: have the state of each before its first record is read."""
        places = session.taken_over()
        if places is None:
            return
        metrics.STREAM_LAG.clear()
        self._tasks = {
            place.partition: self._revived(session, place) or self._rebuild(session, place) for place in places
        }
        self._places = {place.partition: place for place in places}
        if places:
            self._left = dict(self._tasks)
            session.start({place.partition: place.offset for place in places})
        log.info("stream.partitions", stream=self._stage.name, partitions=sorted(self._tasks))

    def _revived(self, session: Session, place: Place) -> Task | None:
        """The state that we left, when nobody has written since."""
        return self._left.get(place.partition) if place.owner == session.owner else None

    def _rebuild(self, session: Session, place: Place) -> Task:
        task = self._stage.open(place.partition)
        skipped = _feed(task.recall, session.said(place.partition))
        if place.low_water is not None:
            replayed = session.input(place.partition, place.low_water, place.offset)
            skipped += _feed(task.replay, ([message] for message in replayed))
        if skipped:
            log.warning("stream.rebuild_skipped", stream=self._stage.name, partition=place.partition, records=skipped)
        return task

    def _transact(self, session: Session, messages: Sequence[Message], now: int) -> None:
        """The answers to a batch and the new places: all of it, or nothing."""
        started = self._clock.monotonic()
        inputs = _by_partition(messages)
        ticks = {} if inputs else self._tick(now)
        if not inputs and not ticks:
            return
        batch = Batch(session, self._stage.source, self._stage.target, now)
        session.begin()
        try:
            for partition, part in inputs.items():
                batch.put(partition, self._tasks[partition].process(part, now))
        except (Retry, Fatal):
            raise
        except Exception as e:
            self._isolate(session, messages, e)
            raise Retry("the state is rebuilt without a record that cannot be processed", after=0) from e
        # Time passes for a task behind what was waiting for it: after a pause of ours, silence is not the source's.
        ticks = ticks or self._tick(now)
        for partition, out in ticks.items():
            batch.put(partition, out)
        self._commit(session, [self._place(session, partition, inputs) for partition in {**inputs, **ticks}])
        self._backoff.success()
        self._limit = min(BATCH, self._limit * 2)
        batch.committed(self._stage.name, len(messages))
        metrics.STREAM_COMMIT.labels(self._stage.name).observe(self._clock.monotonic() - started)

    def _tick(self, now: int) -> dict[int, list[Record]]:
        """What the passing of time makes the tasks say, where it makes them say anything."""
        if now - self._ticked < TICK_US:
            return {}
        self._ticked = now
        answers = {partition: list(task.tick(now)) for partition, task in self._tasks.items()}
        return {partition: out for partition, out in answers.items() if out}

    def _isolate(self, session: Session, messages: Sequence[Message], error: Exception) -> None:
        """A record broke the stage. Read fewer of them next time, or, when it stood alone, set it aside."""
        session.abort()
        if len(messages) > 1:
            self._limit = len(messages) // 2
            return
        message = messages[0]
        where = traceback.extract_tb(error.__traceback__)[-1]
        trace = f"{type(error).__name__} at {where.filename.rpartition('/')[2]}:{where.lineno} in {where.name}"
        batch = Batch(session, self._stage.source, self._stage.target, self._clock.now())
        session.begin()
        batch.bury(message, self._stage.name, str(error), trace)
        # The task's own low water is not to be trusted any more; the one before this record still holds.
        before = self._places[message.partition()]
        self._commit(session, [replace(before, offset=message.offset() + 1, owner=session.owner)])
        batch.committed(self._stage.name, 1)
        log.error("stream.record_set_aside", stream=self._stage.name, partition=message.partition(), trace=trace)

    def _place(self, session: Session, partition: int, inputs: Mapping[int, Sequence[Message]]) -> Place:
        part = inputs.get(partition)
        offset = part[-1].offset() + 1 if part else self._places[partition].offset
        low_water = self._tasks[partition].low_water()
        return Place(partition=partition, offset=offset, low_water=low_water, owner=session.owner)

    def _commit(self, session: Session, places: Sequence[Place]) -> None:
        session.commit(places)
        self._places |= {place.partition: place for place in places}

    def _measure(self, session: Session, now: int) -> None:
        if now - self._measured >= LAG_US:
            self._measured = now
            for partition, records in session.lag().items():
                metrics.STREAM_LAG.labels(self._stage.name, partition).set(records)


def _by_partition(batch: Sequence[Message]) -> dict[int, list[Message]]:
    inputs: dict[int, list[Message]] = {}
    for partition, run in groupby(batch, methodcaller("partition")):
        inputs.setdefault(partition, []).extend(run)
    return inputs


def _feed(take: Callable[[T], None], items: Iterable[T]) -> int:
    """Give all items to a task; returns how many it choked on: those were set aside when they first came."""
    skipped = 0
    for item in items:
        try:
            take(item)
        except Exception:  # noqa: BLE001 - whatever a broken record does, the state without it is the right one
            skipped += 1
    return skipped
