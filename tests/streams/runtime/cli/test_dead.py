"""`trunkline dead` on the real broker: what is listed is masked, what is replayed is the same bytes at the same place."""

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner, Result

from schemas.codec import encode
from schemas.events import DeadLetter
from schemas.topics import manifest
from streams.runtime import kafka as clients
from streams.runtime import topics
from streams.runtime.cli import app
from streams.runtime.clock import SystemClock
from streams.runtime.config import Kafka
from streams.runtime.errors import Fatal, Reject, Retry

pytestmark = pytest.mark.integration

Run = Callable[..., Result]
LETTER = DeadLetter(
    topic="",
    partition=2,
    offset=40,
    key=b"default/main",
    value=b"\x00raw \x1b[2J +32470123456",
    stage="enrich",
    reason="no schema for +32470123456",
    version="0.1.0",
    at=1_790_000_000_000_000,
)


@pytest.fixture(scope="module")
def cluster(kafka: str) -> Kafka:
    """The topics of a set-up on the session's broker; each test has a topic of its own among them."""
    cluster = Kafka(bootstrap=kafka, topic_prefix=f"dead-{uuid.uuid4().hex}-")
    list(topics.apply(clients.admin(cluster), cluster))
    reader = clients.reader(cluster)
    for name in map(cluster.name, manifest().topics):
        ready(reader, name)
    reader.close()
    return cluster


def ready(reader: Consumer, name: str) -> None:
    """The broker's answer comes before every client sees the topic and its leaders."""
    for _ in range(200):
        with suppress(Retry, Fatal):
            clients.end_of(reader, name)
            return
        SystemClock().sleep(0.05)
    raise TimeoutError(name)


@pytest.fixture
def run(cluster: Kafka, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TRUNKLINE_KAFKA__BOOTSTRAP", cluster.bootstrap)
    monkeypatch.setenv("TRUNKLINE_KAFKA__TOPIC_PREFIX", cluster.topic_prefix)
    monkeypatch.setenv("TRUNKLINE_CLICKHOUSE__URL", "http://127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "300")
    return lambda *arguments: CliRunner().invoke(app, ["dead", *arguments], catch_exceptions=True)


def bury(cluster: Kafka, topic: str, *letters: DeadLetter) -> None:
    """Dead letters of a topic, and one beside them that is none."""
    producer = clients.producer(cluster)
    for letter in letters:
        value = encode(replace(letter, topic=cluster.name(topic)))
        producer.produce(cluster.name(f"{topic}.dead"), value, letter.key, partition=2)
    producer.produce(cluster.name(f"{topic}.dead"), b"nonsense", partition=0)
    assert producer.flush(20) == 0


def arrived(cluster: Kafka, topic: str, partition: int) -> list[tuple[bytes | None, bytes | None]]:
    consumer = clients.reader(cluster)
    try:
        consumer.assign([TopicPartition(cluster.name(topic), partition, 0)])
        found = []
        while (message := consumer.poll(10)) and message.error() is None:
            found.append((message.key(), message.value()))
        return found
    finally:
        consumer.close()


def test_the_list_tells_why_and_masks_numbers(cluster: Kafka, run: Run) -> None:
    """A reason may quote what it could not use; a record that is no dead letter is told and passed over."""
    bury(cluster, "contacts", LETTER)
    result = run("list")
    assert "contacts.dead:2:0" in result.stdout
    assert "no schema for ***56" in result.stdout
    assert "+32470123456" not in result.stdout
    assert "is no dead letter" in result.stderr
    (row,) = [json.loads(line) for line in run("list", "--json", "--topic", "contacts").stdout.splitlines()]
    assert (row["id"], row["stage"], row["offset"]) == ("contacts.dead:2:0", "enrich", 40)
    assert bytes.fromhex(row["value"]) == LETTER.value


def test_one_is_shown_with_its_bytes_and_cannot_steer_the_terminal(cluster: Kafka, run: Run) -> None:
    """Hex is exact, text is readable."""
    bury(cluster, "calls", LETTER)
    shown = run("show", "calls.dead:2:0").stdout
    assert (LETTER.value or b"").hex() in shown
    assert "+32470123456" in shown
    assert "\x1b" not in shown


def test_a_replayed_record_is_the_same_bytes_at_the_same_place(cluster: Kafka, run: Run) -> None:
    """Order within its merge scope depends on the partition."""
    bury(
        cluster,
        "call-events",
        LETTER,
        replace(LETTER, value=b"second", offset=41),
        replace(LETTER, partition=-1, offset=-1),
    )
    result = run("replay", "call-events.dead:2:1")
    assert result.stdout == "1 written again\n"
    assert arrived(cluster, "call-events", 2) == [(LETTER.key, b"second")]
    result = run("replay", "--topic", "call-events")
    assert result.stdout.splitlines()[0] == "2 written again"
    assert "1 never were a record of a topic" in result.stdout
    assert arrived(cluster, "call-events", 2)[1:] == [(LETTER.key, LETTER.value), (LETTER.key, b"second")]


def test_what_the_broker_does_not_take_is_told(cluster: Kafka, run: Run) -> None:
    """Not counted as written."""
    bury(cluster, "crm-writes", replace(LETTER, partition=99))
    result = run("replay", "crm-writes.dead:2:0")
    assert "1 of 1 were not written" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "call-events.dead"), "not TOPIC:PARTITION:OFFSET"),
        (("show", "call-events.dead:2:x"), "not TOPIC:PARTITION:OFFSET"),
        (("show", "call-events.dead:5:7"), "no such dead letter"),
        (("show", "nothing.dead:2:7"), "there is no "),
        (("list", "--topic", "nothing"), "there is no topic nothing"),
        (("replay",), "name either the dead letters"),
        (("replay", "call-events.dead:2:0", "--topic", "call-events"), "name either the dead letters"),
    ],
)
def test_a_wrong_place_is_told(run: Run, arguments: tuple[str, ...], told: str) -> None:
    """With how it is written."""
    result = run(*arguments)
    assert isinstance(result.exception, Reject)
    assert told in str(result.exception)
