"""The embedded broker is a real Kafka that keeps what it acknowledged."""

from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.embedded.kafka import EmbeddedKafka
from tests.support.services import MakeTopic

pytestmark = pytest.mark.integration


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{topic}-writer"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value)
    producer.commit_transaction(30)


def consume(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"{topic}-readers", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    got: list[bytes | None] = []
    for _ in range(60):
        got += [message.value() for message in consumer.consume(count, timeout=0.5) if not message.error()]
        if len(got) >= count:
            break
    consumer.close()
    return got


def test_transactions_are_read_back(kafka: str, topic: MakeTopic) -> None:
    """What a committed transaction wrote, a consumer group reads in order."""
    name = topic(partitions=1)
    produce(kafka, name, [b"1", b"2", b"3"])
    assert consume(kafka, name, 3) == [b"1", b"2", b"3"]


def test_kill_loses_nothing(tmp_path: Path) -> None:
    """What was committed before a SIGKILL is there after the restart, at the same address, and clients go on."""
    with EmbeddedKafka(tmp_path, heap="300m") as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        admin.create_topics([NewTopic("kept", num_partitions=1)])["kept"].result(30)
        produce(broker.bootstrap, "kept", [b"1", b"2"])
        killed, address = broker.pid, broker.bootstrap
        broker.kill()
        assert broker.pid is None
        broker.start()
        assert (broker.pid != killed, broker.bootstrap) == (True, address)
        produce(broker.bootstrap, "kept", [b"3"])
        assert consume(broker.bootstrap, "kept", 3) == [b"1", b"2", b"3"]


def test_listens_on_the_loopback_only(tmp_path: Path) -> None:
    """No other machine can reach the broker, and after the stop no process is left."""
    with EmbeddedKafka(tmp_path, heap="300m") as broker:
        assert broker.pid is not None
        process = psutil.Process(broker.pid)
        addresses = {c.laddr.ip.removeprefix("::ffff:") for c in process.net_connections("tcp") if c.status == "LISTEN"}
        assert addresses == {"127.0.0.1"}
    assert not process.is_running()
