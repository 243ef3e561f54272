"""enrich on a real broker, exactly once, beside what the same machine does with the same records and no work at all."""

import gc
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer
from confluent_kafka.cimpl import NewTopic

from schemas.codec import HEADER, decode_row, encode
from schemas.events import CallEvent, Contact, EnrichedCallEvent
from schemas.topics import manifest
from streams.processors import enrich
from streams.run import FEW_COLLECTIONS
from streams.runtime import kafka as clients
from streams.runtime.clock import SystemClock
from streams.runtime.config import Kafka, Settings
from streams.runtime.kafka_session import KafkaSession
from streams.runtime.pipeline import Message, Record, Stage, Worker

EVENTS = 1_000_000
CONTACTS = 5_000
RATE = 2_000
SECONDS = 8
_CLOCK = SystemClock()
_NOBODY = 3
"""One event in three has no customer's number."""


class _Meter:
    """Wall and CPU seconds of this process, librdkafka's threads included, between `start` and `end`."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def start(self) -> None:
        self.wall, self.cpu = -_CLOCK.monotonic(), -self._used()

    def end(self) -> None:
        self.wall += _CLOCK.monotonic()
        self.cpu += self._used()

    def result(self, name: str, events: int) -> dict[str, float]:
        return {f"{name}_events_per_s": events / self.wall, f"{name}_cpu_us_per_event": self.cpu / events * 1e6}

    @staticmethod
    def _used() -> float:
        times = psutil.Process().cpu_times()
        return float(times.user + times.system)


def bench(kafka: str, events: int = EVENTS) -> dict[str, float]:
    """Events per second and CPU per event of each, how much of the pass-through enrich reaches, and its latency.

    `pass_through` guarantees nothing, `frame` is a worker that copies exactly once. The latency is from the producer to
    a read-committed reader, at 2,000 events/s.
    """
    gc.set_threshold(FEW_COLLECTIONS)  # the same for all, so that only the work differs
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        settings = Settings(
            data_dir=Path(folder), kafka=Kafka(bootstrap=kafka, topic_prefix=f"bench-{uuid.uuid4().hex}-")
        )
        _make_topics(settings)
        found = _produce(settings, events)
        found |= _consume(settings, events)
        found |= _pass_through(settings, events)
        source, copy = settings.kafka.name("call-events"), settings.kafka.name("copy")
        frame = Stage(name="frame", source=source, target=copy, window_s=0, open=lambda _: _Copy())
        found |= _through(frame, settings, events, "frame")
        found |= _through(enrich.open_stage(settings, _CLOCK), settings, events, "enrich")
        found["enrich_share"] = found["enrich_events_per_s"] / found["pass_through_events_per_s"]
        return found | _latency(settings)


def _make_topics(settings: Settings) -> None:
    made = [NewTopic(settings.kafka.name(t.name), t.partitions) for t in manifest().topics.values()]
    made.append(NewTopic(settings.kafka.name("copy"), 6))
    admin = clients.admin(settings.kafka)
    for future in admin.create_topics(made).values():
        future.result(30)
    producer = clients.producer(settings.kafka)
    for i in range(CONTACTS):
        contact = Contact(
            tenant="bench", crm="crm", contact_id=str(i), name=f"Contact {i}", numbers=(_number(i),), updated_at=1
        )
        producer.produce(settings.kafka.name("contacts"), encode(contact), f"crm:{i}".encode())
    producer.flush(30)


def _number(i: int) -> str:
    return f"+32470{i:06}"


def _event(i: int) -> CallEvent:
    return CallEvent(
        event_id=i.to_bytes(16),
        customer_number="" if i % _NOBODY == 0 else _number(i % (CONTACTS + 500)),
        tenant="bench",
        pbx="main",
        merge_key="bench/main",
        type="leg.updated",
        ts=_CLOCK.now(),
        received_at=_CLOCK.now(),
        seq=i,
        call_id=f"main:1782900000.{i}",
        leg_id=f"main:1782900000.{i}",
        channel=f"PJSIP/trunk-{i:08x}",
        caller_raw="0470000000",
        caller_e164="+32470000000",
        callee_raw="200",
        queue="sales",
        data={"state": "4", "context": "from-trunk", "exten": "200"},
    )


def _produce(settings: Settings, events: int) -> dict[str, float]:
    shapes = [encode(_event(i)) for i in range(3 * (CONTACTS + 500))]
    producer, topic, meter = clients.producer(settings.kafka), settings.kafka.name("call-events"), _Meter()
    meter.start()
    for i in range(events):
        shape = shapes[i % len(shapes)]
        _put(producer, topic, shape[:HEADER] + i.to_bytes(16) + shape[HEADER + 16 :], b"bench/main", i // 500 % 6)
    producer.flush(60)
    meter.end()
    return meter.result("produce", events)


def _put(producer: Producer, topic: str, value: bytes | None, key: bytes | None, partition: int) -> None:
    try:
        producer.produce(topic, value, key, partition)
    except BufferError:
        producer.flush(60)
        producer.produce(topic, value, key, partition)


def _read(consumer: Consumer, events: int) -> Iterator[list[Any]]:
    count = 0
    while count < events:
        first = consumer.poll(10)
        assert first is not None
        batch = [m for m in [first, *consumer.consume(10_000, 0)] if m.error() is None]
        count += len(batch)
        yield batch


def _consume(settings: Settings, events: int) -> dict[str, float]:
    meter = _Meter()
    meter.start()
    consumer = clients.reader(settings.kafka, "call-events")
    for batch in _read(consumer, events):
        for message in batch:
            message.value()
    meter.end()
    consumer.close()
    return meter.result("consume", events)


def _pass_through(settings: Settings, events: int) -> dict[str, float]:
    producer, topic, meter = clients.producer(settings.kafka), settings.kafka.name("copy"), _Meter()
    meter.start()
    consumer = clients.reader(settings.kafka, "call-events")
    for batch in _read(consumer, events):
        for m in batch:
            _put(producer, topic, m.value(), m.key(), m.partition())
    producer.flush(60)
    meter.end()
    consumer.close()
    return meter.result("pass_through", events)


class _Measured(KafkaSession):
    """Starts the meter with the first batch, ends it with the last commit, and then stops the worker."""

    meter = _Meter()
    left = 0
    finished: Callable[[], None]

    def read(self, limit: int) -> Any:
        if not self.meter.wall and self._started:
            self.meter.start()
        batch = super().read(limit)
        self.left -= len(batch)
        return batch

    def commit(self, places: Any) -> None:
        super().commit(places)
        if self.left <= 0:
            self.meter.end()
            self.finished()


class _Copy:
    """A Task without work: what is left is the cost of the frame, transactions included."""

    def recall(self, value: bytes) -> None: ...

    def replay(self, messages: Sequence[Message]) -> None: ...

    def process(self, messages: Sequence[Message], now: int) -> Iterator[Record]:
        return ((message.key(), message.value()) for message in messages)

    def tick(self, now: int) -> Iterable[Record]:
        return ()

    def low_water(self) -> int | None:
        return None


def _through(stage: Stage, settings: Settings, events: int, name: str) -> dict[str, float]:
    stop = threading.Event()

    def connect() -> _Measured:
        session = _Measured(stage, settings.kafka, "bench", _CLOCK, stop)
        session.meter, session.left, session.finished = meter, events, stop.set
        return session

    meter = _Meter()
    Worker(stage, _CLOCK, stop).run(connect)
    return meter.result(name, events)


def _latency(settings: Settings) -> dict[str, float]:
    stop = threading.Event()
    stage = enrich.open_stage(settings, _CLOCK)
    worker = threading.Thread(
        target=Worker(stage, _CLOCK, stop).run,
        args=[lambda: KafkaSession(stage, settings.kafka, "bench", _CLOCK, stop)],
    )
    consumer = clients.reader(settings.kafka, "call-events-enriched", latest=True)
    worker.start()
    producer = clients.producer(settings.kafka)
    flood = threading.Thread(target=_flood, args=(producer, settings.kafka.name("call-events")))
    try:
        producer.produce(settings.kafka.name("call-events"), encode(_event(2 * EVENTS)), b"bench/main", 0)
        producer.flush(10)
        _delays(consumer, 1)  # the worker has joined its group and works
        flood.start()
        delays = sorted(_delays(consumer, RATE * SECONDS))
    finally:
        stop.set()
        worker.join(20)
        flood.join(20)
        consumer.close()
    return {"enrich_p50_ms": delays[len(delays) // 2] / 1000, "enrich_p99_ms": delays[len(delays) * 99 // 100] / 1000}


def _delays(consumer: Consumer, count: int) -> list[int]:
    delays: list[int] = []
    while len(delays) < count:
        message = consumer.poll(20)
        assert message is not None
        if message.error() is None:
            delays.append(_CLOCK.now() - decode_row(EnrichedCallEvent, message.value() or b"")["ts"])
    return delays


def _flood(producer: Producer, topic: str) -> None:
    begin = _CLOCK.monotonic()
    for i in range(RATE * SECONDS):
        ahead = begin + i / RATE - _CLOCK.monotonic()
        if ahead > 0:
            producer.poll(0)
            _CLOCK.sleep(ahead)
        producer.produce(topic, encode(_event(EVENTS + i)), b"bench/main", i % 6)
    producer.flush(30)
