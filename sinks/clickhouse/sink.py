"""The ClickHouse sink: every record of its topics as a row, exactly once, without decoding it."""

import gc
import threading
from contextlib import closing

import structlog

from sinks.clickhouse.consumer import consumer
from sinks.clickhouse.dead_letters import KafkaDeadLetters
from sinks.clickhouse.delivery import deliver
from sinks.clickhouse.lane import Limits
from sinks.clickhouse.migrate import migrate, migrations
from sinks.clickhouse.reader import Reader
from sinks.clickhouse.server import connect
from sinks.clickhouse.tables import TABLES
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.sink import Sink, Writer
from streams.runtime import kafka, slots
from streams.runtime.clock import Clock
from streams.runtime.config import Settings
from streams.runtime.errors import Retry
from streams.runtime.retry import Backoff

log = structlog.get_logger()

GROUP = "sink-clickhouse"
# A batch is as many objects as it has records; they die together, none of them in a cycle.
_FEW_COLLECTIONS = 100_000
_MOST_BYTES = 64 * 1024 * 1024


def open_writer(settings: Settings) -> ClickHouseWriter:
    """A writer to the configured server, its tables as this version needs them."""
    client = connect(settings.clickhouse)
    for name in migrate(client, migrations()):
        log.info("sink.migrated", file_name=name)
    return ClickHouseWriter(client, {settings.kafka.name(table.topic): table for table in TABLES})


sink = Sink(config=Settings, open=open_writer, max_batch=1_000_000)


def run(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Run until `stop`, through every absence of the server or the brokers; raises Fatal when a person is needed."""
    gc.set_threshold(_FEW_COLLECTIONS)
    slot = slots.claim(settings.data_dir / "slots", GROUP)
    backoff = Backoff()
    while not stop.is_set():
        try:
            with closing(sink.open(settings)) as writer:
                backoff.success()
                reader(settings, writer, slot, clock).run(stop)
        except Retry as e:
            log.warning("sink.again", reason=str(e))
            clock.sleep(backoff.wait(e.after), until=stop)


def reader(settings: Settings, writer: Writer, slot: str, clock: Clock) -> Reader:
    """What reads the sink's topics as the group's member `slot` and delivers to `writer`."""
    dead = KafkaDeadLetters(kafka.producer(settings.kafka), clock)
    return Reader(
        consumer=consumer(settings.kafka, GROUP, slot),
        topics=[settings.kafka.name(table.topic) for table in TABLES],
        deliver=lambda batch: deliver(batch, writer, dead),
        limits=Limits(
            rows=settings.clickhouse.batch_rows, bytes=_MOST_BYTES, seconds=settings.clickhouse.batch_seconds
        ),
        clock=clock,
    )
