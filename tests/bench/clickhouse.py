"""The ClickHouse sink on a real broker and engine, beside a raw insert of the same bytes and reading without a sink."""

import gc
import hashlib
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil
from confluent_kafka.cimpl import NewTopic

from schemas.codec import encode
from schemas.events import EnrichedCallEvent
from schemas.topics import manifest
from sinks.clickhouse.avro import container, tails
from sinks.clickhouse.migrate import migrate, migrations
from sinks.clickhouse.server import connect
from sinks.clickhouse.sink import open_writer, reader
from sinks.clickhouse.tables import TABLES, formats
from sinks.clickhouse.writer import SETTINGS
from sinks.sink import Batch, Rejected, Writer
from streams.runtime import kafka as clients
from streams.runtime.clock import SystemClock
from streams.runtime.config import ClickHouse, Kafka, Settings

ROWS = 600_000
BATCH = 100_000
PARTITIONS = 2
TOPIC = "call-events-enriched"
_CLOCK = SystemClock()


def bench(kafka: str, clickhouse_url: str, rows: int = ROWS) -> dict[str, float]:
    """Rows per second and CPU per row of the sink, and its share of the raw insert.

    The raw insert sends ready containers of the same rows, one after the other as a loop of a script would, and two at a
    time as the sink does. CPU is this process's: reading, joining, sending; the engine's own is not in it.
    """
    gc.set_threshold(100_000)
    values = [encode(_event(i)) for i in range(rows)]
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        settings = Settings(
            data_dir=Path(folder),
            kafka=Kafka(bootstrap=kafka, topic_prefix=f"bench-{uuid.uuid4().hex}-"),
            clickhouse=ClickHouse(url=clickhouse_url, database=f"bench_{uuid.uuid4().hex}", batch_rows=BATCH),
        )
        _produce(settings, values)
        found = {"bytes_per_row": sum(map(len, values)) / rows}
        found |= _consume(settings, rows)
        found |= _raw(settings, values, "raw_insert", 1)
        found |= _raw(settings, values, "raw_two_at_a_time", 2)
        found |= _sink(settings, rows)
        connect(settings.clickhouse).command(f"DROP DATABASE {settings.clickhouse.database}")
    for raw in ("raw_insert", "raw_two_at_a_time"):
        found[f"sink_of_{raw}"] = found["sink_rows_per_s"] / found[f"{raw}_rows_per_s"]
    return found


class _Meter:
    """Wall and CPU seconds of this process, librdkafka's threads included, from `start` to `end`."""

    def __init__(self) -> None:
        self.began: tuple[float, float] | None = None
        self.wall = self.cpu = 0.0

    def start(self) -> None:
        self.began = self.began or self._now()

    def end(self) -> None:
        assert self.began
        self.wall, self.cpu = (b - a for a, b in zip(self.began, self._now(), strict=True))

    def figures(self, name: str, rows: int) -> dict[str, float]:
        return {f"{name}_rows_per_s": rows / self.wall, f"{name}_cpu_us_per_row": self.cpu / rows * 1e6}

    @staticmethod
    def _now() -> tuple[float, float]:
        times = psutil.Process().cpu_times()
        return _CLOCK.monotonic(), float(times.user + times.system)


def _event(i: int) -> EnrichedCallEvent:
    return EnrichedCallEvent(
        event_id=hashlib.blake2b(i.to_bytes(8), digest_size=16).digest(),
        customer_number=f"+32470{i % 5000:06}",
        tenant="bench",
        pbx="main",
        merge_key="bench/main",
        type=("leg.created", "leg.updated", "bridge.joined", "leg.ended")[i % 4],
        ts=1_790_000_000_000_000 + 500 * i,
        received_at=1_790_000_000_000_900 + 500 * i,
        seq=i,
        call_id=f"main:1790000000.{i // 20}",
        leg_id=f"main:1790000000.{i // 10}",
        channel=f"PJSIP/trunk-{i // 10:08x}",
        direction="inbound",
        caller_raw="0470000000",
        caller_e164="+32470000000",
        callee_raw="200",
        queue="sales",
        agent=f"agent {i % 50}",
        data={"state": "4", "context": "from-trunk", "exten": "200"},
        match="matched",
        crm="sandbox",
        contact_id=str(i % 5000),
        contact_name=f"Contact {i % 5000}",
        owner="jan",
        match_rule="e164",
    )


def _produce(settings: Settings, values: Sequence[bytes]) -> None:
    admin, producer, topic = clients.admin(settings.kafka), clients.producer(settings.kafka), settings.kafka.name(TOPIC)
    topics = [NewTopic(settings.kafka.name(t.topic), PARTITIONS) for t in TABLES]
    for future in admin.create_topics(topics).values():
        future.result(30)
    for i, value in enumerate(values):
        while True:
            try:
                producer.produce(topic, value, b"bench/main", i // 1000 % PARTITIONS)
            except BufferError:
                producer.flush(60)
            else:
                break
    producer.flush(60)


def _consume(settings: Settings, rows: int) -> dict[str, float]:
    meter = _Meter()
    consumer = clients.reader(settings.kafka, TOPIC)
    left = rows
    while left > 0:
        meter.start()
        first = consumer.poll(10)
        assert first is not None
        left -= sum(m.error() is None for m in [first, *consumer.consume(10_000, 0)])
    meter.end()
    consumer.close()
    return meter.figures("consume", rows)


def _raw(settings: Settings, values: Sequence[bytes], name: str, width: int) -> dict[str, float]:
    """Insert ready bytes, `width` inserts at a time."""
    client = connect(settings.clickhouse)
    client.database = f"{settings.clickhouse.database}_raw"
    list(migrate(client, migrations()))
    (form,) = formats(manifest().topics[TOPIC].record).values()
    blocks = []
    for first in range(0, len(values), BATCH):
        part = values[first : first + BATCH]
        blocks.append(container(form.schema, part, tails(TOPIC, 0, range(first, first + len(part))), b"s" * 16))
    meter = _Meter()
    meter.start()
    with ThreadPoolExecutor(width) as pool:
        list(
            pool.map(lambda b: client.raw_insert("call_events", insert_block=b, fmt="Avro", settings=SETTINGS), blocks)
        )
    meter.end()
    client.command(f"DROP DATABASE {client.database}")
    return meter.figures(name, len(values))


@dataclass(slots=True)
class _Timed:
    """A writer that starts the meter with the first batch and stops the sink after the last."""

    writer: Writer
    left: int
    stop: threading.Event
    meter: _Meter = field(default_factory=_Meter)
    inserts: Iterator[int] = field(default_factory=count)

    def write(self, batch: Batch) -> Sequence[Rejected]:
        self.meter.start()
        rejected = self.writer.write(batch)
        next(self.inserts)
        self.left -= len(batch.messages)
        if self.left <= 0:
            self.meter.end()
            self.stop.set()
        return rejected

    def close(self) -> None:
        self.writer.close()


def _sink(settings: Settings, rows: int) -> dict[str, float]:
    timed = _Timed(open_writer(settings), rows, threading.Event())
    reader(settings, timed, "bench", _CLOCK).run(timed.stop)
    client = connect(settings.clickhouse)
    (found,) = client.query("SELECT count(), uniqExact((_partition, _offset)) FROM call_events").result_rows
    assert tuple(found) == (rows, rows), f"{rows} were sent, {found} are there"
    return timed.meter.figures("sink", rows) | {"sink_rows_per_insert": rows / next(timed.inserts)}
