"""A worker's session with Kafka: its place in the group, its transactions, and the log that its state is rebuilt from."""

import faulthandler
import secrets
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Self, cast

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import OffsetSpec

from schemas.topics import DEAD_SUFFIX
from streams.runtime import kafka
from streams.runtime.clock import Clock
from streams.runtime.config import Kafka
from streams.runtime.errors import Fatal, Reject, Retry
from streams.runtime.kafka import TIMEOUT, TRANSACTION_TIMEOUT, mapped
from streams.runtime.pipeline import Stage
from streams.runtime.session import Message, Place, Record
from streams.runtime.span import Span, read

log = structlog.get_logger()

POLL = 0.1
EVERYTHING = 1_000_000
ANSWER = 4.0
"""Seconds that a step of a commit may take: two of them and the clean-up stay under a clean stop's 10 s."""
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
DECIDED = TRANSACTION_TIMEOUT + 15.0
"""Seconds after which no transaction can be open any more: brokers look every 10 s for those whose time is over."""


class KafkaSession:
    """See `streams.runtime.session.Session`. Opens in the constructor: Retry or Fatal when it cannot."""

    def __init__(self, stage: Stage, settings: Kafka, slot: str, clock: Clock, stop: threading.Event) -> None:
        """`slot` is this worker's lasting name: the next process under it ends what this one left open."""
        self.owner = secrets.token_hex(6)
        self._stage = stage
        self._clock = clock
        self._stop = stop
        self._admin = kafka.admin(settings)
        self._check_topics()
        group = settings.name(stage.name)
        self._producer = kafka.transactional(settings, f"{group}-{slot}")
        self._in_transaction = False
        try:
            self._producer.init_transactions(TIMEOUT / 2)
        except KafkaException as e:
            raise mapped(e, "opening transactions") from e
        self._spans = kafka.reader(settings)
        self._consumer = kafka.member(settings, group, slot)
        self._onlooker = partial(kafka.onlooker, settings, group)
        self._group: Any = None
        self._given: list[int] | None = None
        self._started = self._closing = False
        self._consumer.subscribe([stage.source], on_assign=self._on_assign, on_revoke=self._on_revoke)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with suppress(KafkaException, Fatal), _answered():
            if self._in_transaction:
                self._producer.abort_transaction(1.0)
        # close() waits for ever when it finds partitions that were just given (the client then asks itself about a group
        # that it has left already), so what is waiting to be told is told before. SystemError: it garbles an error that
        # comes up in a callback while it closes. Nothing is open any more that anybody waits for.
        with suppress(KafkaException, RuntimeError, SystemError, Fatal), _answered():
            self._consumer.consume(EVERYTHING, 0)
            self._consumer.close()
        with suppress(KafkaException, RuntimeError, Fatal):
            self._spans.close()

    def taken_over(self) -> Sequence[Place] | None:
        if self._given is None:
            return None
        given, self._given = self._given, None
        return [self._committed_place(at) for at in self._decided(given)] if given else []

    def said(self, partition: int) -> Iterable[bytes]:
        topic = self._stage.target
        since = self._clock.now() // 1000 - round(self._stage.window_s * 1000)
        # The end is that of the whole log, not of its decided part: while a stalled worker's transaction is open, what
        # others committed lies behind it, and is waited for.
        end = self._offset(topic, partition, _LATEST)
        start = self._offset(topic, partition, OffsetSpec.for_timestamp(since))
        if start < 0:
            return
        if self._stage.window_records is not None:
            start = max(start, end - self._stage.window_records)
        for message in self._read(topic, partition, start, end):
            value = message.value()
            if value is not None:
                yield value

    def input(self, partition: int, start: int, end: int) -> Iterator[Message]:
        first = self._offset(self._stage.source, partition, _EARLIEST)
        return self._read(self._stage.source, partition, max(start, first), end)

    def start(self, offsets: Mapping[int, int]) -> None:
        self._consumer.assign([self._at(partition, offset) for partition, offset in offsets.items()])
        self._started = True

    def read(self, limit: int) -> Sequence[Message]:
        # consume() waits until it is full: so one record is waited for, and what came with it is taken without.
        first = self._consumer.poll(POLL)
        if first is None:
            return ()
        batch = [first, *self._consumer.consume(limit - 1, 0)] if limit > 1 else [first]
        error = next(filter(None, map(KafkaMessage.error, batch)), None)
        if error is not None:
            raise mapped(error, f"reading {self._stage.source}")
        return cast("Sequence[Message]", batch) if self._started else ()

    def begin(self) -> None:
        try:
            self._producer.begin_transaction()
        except KafkaException as e:
            raise mapped(e, "beginning a transaction") from e
        self._in_transaction = True

    def write(self, topic: str, partition: int, records: Iterable[Record]) -> int:
        produce = self._producer.produce
        count = 0
        for key, value in records:
            try:
                produce(topic, value, key, partition)
            except BufferError:
                self._producer.flush(ANSWER)
                produce(topic, value, key, partition)
            except KafkaException as e:
                if e.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise Reject(f"its answer has {len(value or b'')} bytes, too many for {topic}") from e
                raise mapped(e, f"writing {topic}") from e
            count += 1
        return count

    def commit(self, places: Sequence[Place]) -> None:
        offsets = [self._at(p.partition, p.offset, _metadata(p)) for p in places]
        try:
            # The group as it was when the partitions were given: asked for now, it could be one that this worker has
            # come back to as a stranger, and the batch of partitions that others own since would pass.
            with _answered():
                self._producer.send_offsets_to_transaction(offsets, self._group, ANSWER)
                self._producer.commit_transaction(ANSWER)
        except KafkaException as e:
            raise mapped(e, "committing a batch") from e
        self._in_transaction = False

    def abort(self) -> None:
        try:
            with _answered():
                self._producer.abort_transaction(ANSWER)
        except KafkaException as e:
            raise mapped(e, "aborting a batch") from e
        self._in_transaction = False

    def lag(self) -> Mapping[int, int]:
        found = {}
        for at in self._consumer.position(self._consumer.assignment()):
            _, end = self._consumer.get_watermark_offsets(at, cached=True)
            if at.offset >= 0 and end >= 0:
                found[at.partition] = max(0, end - at.offset)
        return found

    def _check_topics(self) -> None:
        source, target = (kafka.partitions(self._admin, t) for t in (self._stage.source, self._stage.target))
        kafka.partitions(self._admin, self._stage.source + DEAD_SUFFIX)
        if source != target:
            raise Fatal(
                f"{self._stage.source} has {len(source)} partitions and {self._stage.target} {len(target)}: a record keeps "
                "its partition number, so make them equal"
            )

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        if self._closing:
            return  # close() calls this for what comes late, and asking for the group would wait for ever then
        consumer.assign([])  # read nothing before the state is there
        self._group = consumer.consumer_group_metadata()
        self._given = [at.partition for at in given]

    def _on_revoke(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        # No batch is in hand: a transaction begins and ends between two reads, and this is called by a read.
        self._started, self._given = False, []
        if not self._closing:
            consumer.unassign()

    def _decided(self, given: list[int]) -> list[TopicPartition]:
        """The committed offsets, once no transaction that would move them is open any more.

        A transaction that outlives `DECIDED` hangs: its offsets came to the broker behind its own end, when the worker
        or the broker was killed (Kafka's KIP-890), and nobody can decide it. What was committed below it is true; the
        outputs behind it, if there are any, are read by `said`, so nothing is answered twice.
        """
        deadline = self._clock.monotonic() + DECIDED
        found: list[TopicPartition] = []
        while not found:
            try:
                found = self._consumer.committed([self._at(partition) for partition in given], timeout=2.0)
            except KafkaException as e:
                if self._stop.is_set():
                    raise mapped(e, "asking for committed offsets") from e
                if self._clock.monotonic() > deadline:
                    found = self._below_what_hangs(given)
        for at in found:
            if at.error is not None:
                raise mapped(at.error, "asking for committed offsets")
        return found

    def _below_what_hangs(self, given: list[int]) -> list[TopicPartition]:
        onlooker = self._onlooker()
        try:
            found = onlooker.committed([self._at(partition) for partition in given], timeout=ANSWER)
        except KafkaException as e:
            raise mapped(e, "asking for committed offsets") from e
        finally:
            onlooker.close()
        log.error("stream.hanging_transaction", stream=self._stage.name, partitions=given)
        return found

    def _committed_place(self, at: TopicPartition) -> Place:
        owner, _, low_water = (at.metadata or "").partition(" ")
        first = self._offset(self._stage.source, at.partition, _EARLIEST)
        if first <= at.offset <= self._offset(self._stage.source, at.partition, _LATEST):
            low = int(low_water) if low_water.isdecimal() else None
            return Place(partition=at.partition, offset=at.offset, low_water=low, owner=owner)
        if at.offset >= 0:
            log.error("stream.offset_out_of_range", partition=at.partition, committed=at.offset, first=first)
        return Place(partition=at.partition, offset=first, low_water=None, owner="")

    def _offset(self, topic: str, partition: int, spec: OffsetSpec) -> int:
        at = TopicPartition(topic, partition)
        try:
            asked = self._admin.list_offsets({at: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
            return int(asked[at].result(TIMEOUT).offset)
        except KafkaException as e:
            raise mapped(e, f"asking for offsets of {topic}") from e
        except TimeoutError as e:
            raise Retry(f"Kafka: asking for offsets of {topic}: no answer") from e

    def _read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Message]:
        records = read(self._spans, Span(topic, partition, start, end), self._clock, self._stop)
        return cast("Iterator[Message]", records)

    def _at(self, partition: int, offset: int = OFFSET_INVALID, metadata: str = "") -> TopicPartition:
        return TopicPartition(self._stage.source, partition, offset, metadata)


@contextmanager
def _answered() -> Iterator[None]:
    """End the process when the client does not come back, whatever time-out it was given.

    A commit of librdkafka 2.16 waits for ever for a group coordinator that has left the cluster (its issue 5511), while
    the heartbeats of its other threads keep the partitions. After the transaction's own time-out nothing can come of it
    any more; the next process under this slot ends it. The stacks go to the log.
    """
    faulthandler.dump_traceback_later(TRANSACTION_TIMEOUT, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _metadata(place: Place) -> str:
    return f"{place.owner} {'' if place.low_water is None else place.low_water}"
