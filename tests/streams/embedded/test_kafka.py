"""The embedded broker is a real Kafka that keeps what it acknowledged."""

import pytest
from confluent_kafka import Consumer, Producer

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
