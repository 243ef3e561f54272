"""The real Kafka and the real ClickHouse, one of each for a whole test session, started by the first test that asks.

In containers where a Docker engine answers, else the embedded ones. A test that uses them carries one marker:
`@pytest.mark.integration` (or `real`, `chaos`).
"""

import functools
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from testcontainers.community.kafka import KafkaContainer

from streams.embedded.kafka import EmbeddedKafka
from streams.runtime.clock import SystemClock

_KAFKA_IMAGE = "confluentinc/cp-kafka:8.0.0"


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
