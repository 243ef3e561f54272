"""From Kafka to deliveries: reads partitions into lanes, drives their deliveries, follows the group's rebalances.

One thread does everything with the consumer; threads do the work of deliveries and put their answers into a queue.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import methodcaller
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from sinks.clickhouse.commits import SESSION_IS_OVER, Commits, Key
from sinks.clickhouse.delivery import Attempts, Commit, Steps, Work
from sinks.clickhouse.lane import Lane, Limits
from sinks.clickhouse.ranges import parse
from sinks.sink import Batch
from streams.runtime import kafka, metrics
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal

log = structlog.get_logger()

_CHUNK = 5_000
_POLL = 0.05
_GRACE = 6.0
_STALLED = 1.0
_LAG_EVERY = 5.0
_MOST_BYTES = 192 * 1024 * 1024
# The server reads one insert in one thread: a second one keeps it busy while the first is on its way.
_PARALLEL = 2


# A call of a Python function for every record would cost as much as all that the sink does with it.
_TOPIC, _PARTITION, _ERROR = methodcaller("topic"), methodcaller("partition"), methodcaller("error")


def _runs(messages: Sequence[Any]) -> Iterator[tuple[Key, list[Any]]]:
    """Neighbours of one partition together."""
    for partition, same_number in groupby(messages, _PARTITION):
        for topic, run in groupby(same_number, _TOPIC):
            yield (topic, partition), list(run)


@dataclass(slots=True, kw_only=True, eq=False)
class _Flight:
    """A batch on its way, and what it holds in memory."""

    lane: Lane
    bytes: int
    steps: Steps
    attempts: Attempts


class Reader:
    """Runs one consumer until told to stop. `run` is the only public call; its thread serves all callbacks."""

    def __init__(
        self,
        consumer: Consumer,
        topics: Sequence[str],
        deliver: Callable[[Batch], Steps],
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._commits = Commits(clock)
        self._consumer = consumer
        self._topics = list(topics)
        self._deliver = deliver
        self._limits = limits
        self._clock = clock
        self._lanes: dict[Key, Lane] = {}
        self._flights: dict[Key, _Flight] = {}
        self._done: queue.SimpleQueue[tuple[_Flight, Any, BaseException | None]] = queue.SimpleQueue()
        self._paused = False
        self._lag_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Read, deliver and commit until `stop`; raises Fatal when a person is needed, Retry when a new try may do.

        On stop the batches under way are finished if that takes less than 6 s; what was only read is read again later.
        """
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        try:
            while not stop.is_set():
                self._receive()
                self._collect(0)
                self._commits.send(self._consumer)
                self._start_ready()
                self._commits.send(self._consumer)
                self._report_lag()
            self._finish()
        except KafkaException as e:
            raise kafka.mapped(e, "reading") from e
        finally:
            self._abandon(list(self._lanes))
            self._consumer.close()

    def _receive(self) -> None:
        """Take in what has come, or wait for the far side when there is no room."""
        if self._room():
            self._pause(False)
        elif self._collect(_STALLED):
            return
        else:
            self._pause(True)
        first = self._consumer.poll(_POLL)  # `consume` alone would wait for a whole chunk
        if first is None:
            return
        for (topic, partition), run in _runs([first, *self._consumer.consume(_CHUNK, 0)]):
            records = run
            if any(map(_ERROR, run)):
                records = [m for m in run if not m.error()]
                for message in run:
                    if error := message.error():
                        self._trouble(error, message)
            if lane := self._lanes.get((topic, partition)):
                lane.add(records)

    def _room(self) -> bool:
        held = sum(lane.bytes for lane in self._lanes.values()) + sum(f.bytes for f in self._flights.values())
        return held < _MOST_BYTES

    def _start_ready(self) -> None:
        """Begin the deliveries that are due, the longest wait first."""
        now = self._clock.monotonic()
        for lane in sorted(self._lanes.values(), key=lambda each: each.taken_at):
            if lane.ready(now) and sum(not f.attempts.waiting for f in self._flights.values()) < _PARALLEL:
                held = lane.bytes
                batch = lane.take(now)
                flight = _Flight(
                    lane=lane,
                    bytes=held - lane.bytes,
                    steps=self._deliver(batch),
                    attempts=Attempts(batch, self._clock),
                )
                self._flights[lane.key] = flight
                self._advance(flight, None)

    def _advance(self, flight: _Flight, answer: Any) -> None:
        """Bring a delivery to its next step."""
        try:
            step = flight.steps.send(answer)
        except StopIteration:
            del self._flights[flight.lane.key]
            flight.lane.busy = False
            return
        if isinstance(step, Commit):
            self._commits.want(flight.lane.key, step, partial(self._advance, flight, None))
        else:
            name = f"{flight.lane.topic}-{flight.lane.partition}"
            threading.Thread(target=self._work, args=(flight, step), name=name, daemon=True).start()

    def _work(self, flight: _Flight, step: Work) -> None:
        try:
            self._done.put((flight, flight.attempts.until_done(step, flight.lane.gone), None))
        except BaseException as e:  # noqa: BLE001 - it is raised again in the thread that reads
            self._done.put((flight, None, e))

    def _collect(self, wait: float) -> bool:
        """Take in the answers of work that is done; tells whether there was one."""
        found = False
        while True:
            try:
                flight, answer, error = self._done.get(timeout=wait) if wait and not found else self._done.get_nowait()
            except queue.Empty:
                return found
            found = True
            if flight.lane.gone.is_set():
                continue
            if error:
                raise error
            self._advance(flight, answer)

    def _finish(self) -> None:
        """Read no more; let batches under way finish for a while."""
        self._pause(True)
        self._let_finish(list(self._flights))

    def _let_finish(self, keys: Sequence[Key]) -> None:
        """Let deliveries under way finish and commit for a while; a far side that does not answer is not waited for."""
        until = self._clock.monotonic() + _GRACE
        self._commits.send(self._consumer)
        while self._clock.monotonic() < until and any(
            not self._flights[key].attempts.waiting for key in keys if key in self._flights
        ):
            self._collect(_POLL)
            self._commits.send(self._consumer)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin each partition where its former owner committed, with the range that it left pending.

        The group has closed the former owner's generation by now, so what is read here is its last word.
        """
        starts = []
        for place in self._consumer.committed(partitions, timeout=kafka.TIMEOUT) if partitions else []:
            if place.error:
                raise KafkaException(place.error)
            pending = parse(place.metadata) if place.offset >= 0 else None
            lane = Lane(place.topic, place.partition, self._limits, pending, max(place.offset, 0))
            self._lanes[lane.key] = lane
            start = place.offset if place.offset >= 0 else OFFSET_BEGINNING
            starts.append(TopicPartition(place.topic, place.partition, start))
            if pending:
                log.info("sink.replay", topic=place.topic, partition=place.partition, range=pending.text())
        consumer.incremental_assign(starts)
        if self._paused and starts:
            consumer.pause(starts)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        keys = [(p.topic, p.partition) for p in partitions]
        self._let_finish(keys)
        self._abandon(keys)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._abandon([(p.topic, p.partition) for p in partitions])

    def _abandon(self, keys: Sequence[Key]) -> None:
        """Forget partitions: what of them is not committed is pending for the next owner."""
        for key in keys:
            if lane := self._lanes.pop(key, None):
                lane.gone.set()
            self._flights.pop(key, None)
            self._commits.forget(key)

    def _trouble(self, error: KafkaError, message: Any) -> None:
        """React to what stands in the stream instead of a record."""
        code = error.code()
        lane = self._lanes.get((message.topic(), message.partition()))
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes have no public names
            if lane:
                lane.end(message.offset())
        elif code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            if lane:
                self._skip_lost(lane)
        elif isinstance(verdict := kafka.mapped(error, "reading"), Fatal) or code in SESSION_IS_OVER:
            raise verdict
        else:
            log.warning("sink.kafka", reason=error.name(), topic=message.topic())

    def _skip_lost(self, lane: Lane) -> None:
        """Go on where the log begins now: what stood before was deleted before it was read, and that is said."""
        place = TopicPartition(*lane.key)
        low, _ = self._consumer.get_watermark_offsets(place, timeout=kafka.TIMEOUT)
        log.error("sink.lost", topic=lane.topic, partition=lane.partition, first=lane.next, log_begins_at=low)
        metrics.SINK_LOST.labels(lane.topic).inc(max(low - lane.next, 0))
        self._consumer.incremental_unassign([place])  # a partition whose position is out of range cannot seek
        self._consumer.incremental_assign([TopicPartition(*lane.key, low)])

    def _pause(self, wanted: bool) -> None:
        """Stop or go on reading while the consumer stays in its group: used when the far side is away for long."""
        if wanted == self._paused:
            return
        self._paused = wanted
        places = [TopicPartition(*key) for key in self._lanes]
        (self._consumer.pause if wanted else self._consumer.resume)(places)

    def _report_lag(self) -> None:
        now = self._clock.monotonic()
        if now - self._lag_at < _LAG_EVERY:
            return
        self._lag_at = now
        lag = 0
        for place in self._consumer.position([TopicPartition(*key) for key in self._lanes]):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            lag += max(high - place.offset, 0) if place.offset >= 0 and high >= 0 else 0
        metrics.SINK_LAG.labels("clickhouse").set(lag)
