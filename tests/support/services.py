"""The real Kafka and the real ClickHouse, one of each for a whole test session, started by the first test that asks.

In containers where a Docker engine answers, else the embedded ones. A test that uses them carries one marker:
`@pytest.mark.integration` (or `real`, `chaos`).
"""

import functools
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import clickhouse_connect
import pytest
from clickhouse_connect.driver import Client
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.embedded.clickhouse import EmbeddedClickHouse
from streams.embedded.kafka import EmbeddedKafka
from streams.runtime.clock import SystemClock

_KAFKA_IMAGE = "confluentinc/cp-kafka:8.0.0"
_CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.8"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickHouseServer:
    """Where the session's ClickHouse answers over HTTP, and as whom."""

    host: str
    port: int
    user: str = "default"
    password: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def connect(self, database: str = "default", **options: Any) -> Client:
        """A client in that database; options as clickhouse_connect.get_client has them."""
        where: dict[str, Any] = {"host": self.host, "port": self.port, "database": database}
        return clickhouse_connect.get_client(username=self.user, password=self.password, **where, **options)


class MakeTopic(Protocol):
    """Creates a topic with a random name, ready for use, and returns the name."""

    def __call__(self, partitions: int = 1, **config: str) -> str: ...


@functools.cache
def docker_answers() -> bool:
    """Tell whether a Docker engine, not only its command line, is there."""
    if shutil.which("docker") is None:
        return False
    probe = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=30).returncode == 0


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line past pytest's capture: a first download takes its time, and a person must see why."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", end="", flush=True)  # noqa: T201

    return line


@pytest.fixture(scope="session")
def kafka(say: Callable[[str], None]) -> Iterator[str]:
    """Bootstrap address of the session's broker."""
    if docker_answers():
        from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 - slow, and only where Docker is

        with KafkaContainer(_KAFKA_IMAGE).with_kraft() as container:
            yield container.get_bootstrap_server()
        return
    with (
        TemporaryDirectory(prefix="trunkline-kafka-") as folder,
        EmbeddedKafka(Path(folder), heap="400m", progress=say) as broker,
    ):
        yield broker.bootstrap


@pytest.fixture
def topic(kafka: str) -> MakeTopic:
    """A factory of topics: `topic(partitions=4, **{"cleanup.policy": "compact"})`."""
    admin = AdminClient({"bootstrap.servers": kafka})
    clock = SystemClock()

    def make(partitions: int = 1, **config: str) -> str:
        name = f"test-{uuid.uuid4().hex}"
        created = admin.create_topics([NewTopic(name, num_partitions=partitions, config=config)])
        created[name].result(timeout=30)
        for _ in range(100):  # the answer comes before every client sees it
            known = admin.list_topics(name, timeout=10).topics[name].partitions
            if len(known) == partitions and all(each.leader >= 0 for each in known.values()):
                return name
            clock.sleep(0.05)
        raise TimeoutError(name)

    return make


@pytest.fixture(scope="session")
def clickhouse() -> Iterator[ClickHouseServer]:
    """The session's ClickHouse."""
    if docker_answers():
        from testcontainers.community.clickhouse import ClickHouseContainer  # noqa: PLC0415 - as above

        with ClickHouseContainer(_CLICKHOUSE_IMAGE) as container:
            host, port = container.get_container_host_ip(), int(container.get_exposed_port(8123))
            yield ClickHouseServer(host=host, port=port, user=container.username, password=container.password)
        return
    with (
        TemporaryDirectory(prefix="trunkline-clickhouse-") as folder,
        EmbeddedClickHouse(Path(folder)) as engine,
    ):
        yield ClickHouseServer(host="127.0.0.1", port=engine.port)


@pytest.fixture
def database(clickhouse: ClickHouseServer) -> Iterator[str]:
    """Name of an empty database that is the test's own, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    with clickhouse.connect() as client:
        client.command(f"CREATE DATABASE {name}")
        yield name
        client.command(f"DROP DATABASE {name}")
