"""The sink's surroundings for integration tests: its topics under a prefix of the test's own, real processes, and SQL."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.cimpl import NewTopic

from schemas.codec import HEADER, decode, encode
from schemas.events import DeadLetter, EnrichedCallEvent
from schemas.topics import DEAD_SUFFIX
from sinks.clickhouse.server import connect
from sinks.clickhouse.sink import GROUP
from sinks.clickhouse.tables import TABLES
from streams.embedded.process import SUPERVISED
from streams.runtime import kafka as clients
from streams.runtime.clock import SystemClock
from streams.runtime.config import ClickHouse, Kafka, Settings

CLOCK = SystemClock()
EVENTS = "call-events-enriched"
MONTH = 31 * 86_400 * 1_000_000


def event(partition: int, number: int) -> bytes:
    """A framed event, unlike any other; every 50th is of another month."""
    return encode(
        EnrichedCallEvent(
            event_id=partition.to_bytes(8) + number.to_bytes(8),
            tenant="acme",
            pbx=f"pbx{partition}",
            merge_key=f"acme/pbx{partition}",
            type="leg.updated",
            ts=1_790_000_000_000_000 + 1000 * number + (MONTH if number % 50 == 0 else 0),
            received_at=1_790_000_000_000_000,
            data={"n": str(number)},
        )
    )


def broken(value: bytes, kind: int) -> bytes | None:
    """What cannot be used: cut, foreign, of an unknown number, no text at all, and a tombstone, which is no harm."""
    return (value[:-2], b'{"json": true}', b"\0\0\0\0\x07" + value[HEADER:], b"", None)[kind % 5]


class World:
    """Topics, the group's position, dead letters and tables of one set-up, and the sinks that run in it."""

    def __init__(self, folder: Path, kafka: str, warehouse: ClickHouse, partitions: int) -> None:
        self.settings = Settings(
            data_dir=folder,
            kafka=Kafka(bootstrap=kafka, topic_prefix=f"test-{uuid.uuid4().hex}-"),
            clickhouse=warehouse,
        )
        self.partitions = partitions
        self.folder = folder
        self.sinks: list[subprocess.Popen[bytes]] = []
        self._group = Consumer({"bootstrap.servers": kafka, "group.id": self.name(GROUP)})  # looks, never joins
        self._producer = clients.producer(self.settings.kafka)
        names = [self.name(t.topic) + twin for t in TABLES for twin in ("", DEAD_SUFFIX)]
        self._admin = clients.admin(self.settings.kafka)
        for future in self._admin.create_topics([NewTopic(name, partitions) for name in names]).values():
            future.result(30)
        self.wait(self._ready)

    def _ready(self) -> bool:
        """The answer to a creation comes before the topic can be used."""
        try:
            return not any(
                self.ends(t.topic + twin) != [0] * self.partitions for t in TABLES for twin in ("", DEAD_SUFFIX)
            )
        except KafkaException:
            return False

    def name(self, topic: str) -> str:
        return self.settings.kafka.name(topic)

    def produce(self, topic: str, partition: int, values: Iterable[bytes | None], key: bytes = b"k") -> None:
        for value in values:
            self._producer.produce(self.name(topic), value, key, partition)
        assert self._producer.flush(30) == 0

    def start(self, rows: int = 100_000, seconds: float = 0.5) -> subprocess.Popen[bytes]:
        """A sink as an operator starts it, in a process of its own."""
        cluster, warehouse = self.settings.kafka, self.settings.clickhouse
        environ = {
            SUPERVISED: "1",
            "TRUNKLINE_DATA_DIR": str(self.folder),
            "TRUNKLINE_KAFKA__BOOTSTRAP": cluster.bootstrap,
            "TRUNKLINE_KAFKA__TOPIC_PREFIX": cluster.topic_prefix,
            "TRUNKLINE_CLICKHOUSE__URL": warehouse.url,
            "TRUNKLINE_CLICKHOUSE__DATABASE": warehouse.database,
            "TRUNKLINE_CLICKHOUSE__PASSWORD": warehouse.password.get_secret_value(),
            "TRUNKLINE_CLICKHOUSE__BATCH_ROWS": str(rows),
            "TRUNKLINE_CLICKHOUSE__BATCH_SECONDS": str(seconds),
        }
        command = [sys.executable, "-m", "streams.runtime.cli", "run", "sink", "clickhouse"]
        with (self.folder / "sink.log").open("ab") as log:
            sink = subprocess.Popen(command, env=os.environ | environ, cwd=self.folder, stdout=log, stderr=log)
        self.sinks.append(sink)
        return sink

    def stop(self) -> None:
        for sink in self.sinks:
            sink.terminate()
        for sink in self.sinks:
            try:
                sink.wait(20)
            except subprocess.TimeoutExpired:
                sink.kill()
                sink.wait(10)
        self._group.close()

    def committed(self, topic: str) -> list[int]:
        """The group's position in each partition; negative before the first commit."""
        return [place.offset for place in self._group.committed(self._places(topic), timeout=10)]

    def ends(self, topic: str) -> list[int]:
        return [self._group.get_watermark_offsets(place, timeout=10)[1] for place in self._places(topic)]

    def done(self, *topics: str) -> Callable[[], bool]:
        """Whether everything in these topics is committed."""

        def look() -> bool:
            try:
                places = [pair for t in topics for pair in zip(self.ends(t), self.committed(t), strict=True)]
            except KafkaException:  # a broker that was killed comes back step by step
                return False
            return all(end in (0, at) for end, at in places)

        return look

    def wait(self, what: Callable[[], bool], *, within: float = 90.0) -> None:
        """Look until it is so; fails after `within` seconds with what the sinks said."""
        deadline = CLOCK.monotonic() + within
        while not what():
            assert CLOCK.monotonic() < deadline, self.said()[-20:]
            CLOCK.sleep(0.2)

    def said(self) -> list[dict[str, Any]]:
        """The log lines of all sinks; what is no JSON as `text`."""
        log = self.folder / "sink.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [json.loads(line) if line.startswith("{") else {"text": line} for line in lines]

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """As retention does, at once."""
        place = TopicPartition(self.name(topic), partition, offset)
        self._admin.delete_records([place])[place].result(30)

    def query(self, sql: str) -> list[Any]:
        client: Client = connect(self.settings.clickhouse)
        try:
            return list(client.query(sql).result_rows)
        finally:
            client.close()

    def rows(self, sql: str) -> list[Any]:
        """As `query`, and nothing while there is no such table yet, or no server."""
        try:
            return self.query(sql)
        except Error:
            return []

    def dead(self, topic: str) -> list[DeadLetter]:
        """Every dead letter, those that a crash doubled twice."""
        ends = sum(self.ends(topic + DEAD_SUFFIX))
        reader = clients.reader(self.settings.kafka, topic + DEAD_SUFFIX)
        letters: list[DeadLetter] = []
        deadline = CLOCK.monotonic() + 30
        while len(letters) < ends:
            assert CLOCK.monotonic() < deadline
            message = reader.poll(0.5)
            if message is not None and not message.error():
                value = message.value()
                assert value is not None
                letters.append(decode(DeadLetter, value))
        reader.close()
        return letters

    def _places(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(self.name(topic), p) for p in range(self.partitions)]
