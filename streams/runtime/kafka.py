"""Kafka clients, why they are set as they are, and what a Kafka error means for the runtime."""

from typing import Any

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from streams.runtime.config import Kafka
from streams.runtime.errors import Fatal, Retry
from streams.runtime.session import RECORD_LIMIT

TIMEOUT = 10.0
SESSION_TIMEOUT = 6.0
"""Seconds after which the group gives the partitions of a silent worker to others."""
TRANSACTION_TIMEOUT = 10.0
"""Seconds after which the broker aborts the transaction of a worker that is gone; until then readers wait."""
log = structlog.get_logger()

_A_PERSON_IS_NEEDED = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001 - that is how the client names its own codes
    KafkaError._INVALID_ARG,  # noqa: SLF001
    KafkaError._SSL,  # noqa: SLF001
    KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.INVALID_TRANSACTION_TIMEOUT,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.UNSUPPORTED_VERSION,
}


def mapped(error: KafkaException | KafkaError, doing: str) -> Retry | Fatal:
    """What the runtime does about an error of the client, by its code.

    Everything that time or a new session can mend is Retry: a broker that is away, a rebalance, a transaction that has
    to be aborted, and also a fenced producer, for a new session takes the place anew, or learns that it has none.
    """
    cause: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    if cause.code() in _A_PERSON_IS_NEEDED:
        return Fatal(f"Kafka: {doing}: {cause.name()}: {cause.str()}")
    return Retry(f"Kafka: {doing}: {cause.name()}")


def admin(kafka: Kafka) -> AdminClient:
    return AdminClient(_common(kafka) | {"error_cb": _mutter})  # its callbacks run in a thread of its own


def producer(kafka: Kafka, **options: Any) -> Producer:
    """Idempotent and at ease: for single records whose delivery is asked for (`on_delivery`, `flush`).

    `options` go over what is set here.
    """
    return Producer(_common(kafka) | _WRITES | options)


def transactional(kafka: Kafka, identity: str) -> Producer:
    """A producer that the broker knows by `identity`: a new one ends the transaction of the one before at once."""
    return Producer(
        _common(kafka)
        | _WRITES
        | {
            "transactional.id": identity,
            "transaction.timeout.ms": round(TRANSACTION_TIMEOUT * 1000),
            "message.max.bytes": RECORD_LIMIT,
            "linger.ms": 20,  # a commit does not wait for it
            # A commit is five requests, and each may find the one before not finished yet: short naps, not 100 ms.
            "retry.backoff.ms": 5,
            "retry.backoff.max.ms": 200,
            # Forgetting all brokers when none answers makes the next commit wait for ever (librdkafka issue 5511).
            "metadata.recovery.strategy": "none",
        }
    )


def member(kafka: Kafka, group: str, instance: str, **options: Any) -> Consumer:
    """A consumer of a group whose offsets are committed by transactions.

    It is a static member: a worker that is started again under the same `instance` gets its partitions back at once,
    where a stranger would wait for the session of the dead one to end. Its assignor is an eager one: partitions then
    change hands only in callbacks, never behind the back of a transaction. `options` go over all that.
    """
    return Consumer(
        _common(kafka)
        | _READS
        | {
            "group.id": group,
            "group.instance.id": instance,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": round(SESSION_TIMEOUT * 1000),
            "heartbeat.interval.ms": 500,
            "max.poll.interval.ms": 900_000,  # reading a large window is no reason to lose the partition
            "auto.offset.reset": "error",  # what was deleted unread is told, not skipped
        }
        | options
    )


def onlooker(kafka: Kafka, group: str) -> Consumer:
    """A consumer that joins nothing: it tells what a group has committed without waiting for open transactions."""
    return Consumer(_common(kafka) | _READS | {"group.id": group, "isolation.level": "read_uncommitted"})


def reader(kafka: Kafka, topic: str = "", *, latest: bool = False) -> Consumer:
    """A consumer without a group that tells where a partition ends (an error event, _PARTITION_EOF).

    With a topic it reads all its partitions, from the beginning or only what comes; without, the caller assigns.
    """
    client = Consumer(_common(kafka) | _READS | {"group.id": "none", "enable.partition.eof": True})
    if topic:
        known = kafka.name(topic)
        start = OFFSET_END if latest else OFFSET_BEGINNING
        client.assign([TopicPartition(known, p, start) for p in partitions(client, known)])
    return client


def partitions(client: Consumer | AdminClient, topic: str) -> list[int]:
    """The partition numbers of a topic; Fatal when it does not exist."""
    try:
        known = client.list_topics(topic, timeout=TIMEOUT).topics[topic]
    except KafkaException as e:
        raise mapped(e, f"looking for the topic {topic}") from e
    if known.error is not None and known.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise Fatal(f"the topic {topic} does not exist: `trunkline topics apply` creates it")
    if known.error is not None:
        raise mapped(known.error, f"looking for the topic {topic}")
    return sorted(known.partitions)


def end_of(client: Consumer, topic: str) -> int:
    """How many places a topic has given out: at least its records, with markers of transactions among them."""
    try:
        ends = [
            client.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT)
            for partition in partitions(client, topic)
        ]
    except KafkaException as e:  # a topic that was just created has no leaders yet
        raise mapped(e, f"looking for the end of {topic}") from e
    return sum(end for _, end in ends)


_WRITES: dict[str, Any] = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 5,
    "batch.num.messages": 10_000,
    "queue.buffering.max.messages": 500_000,
    "partitioner": "murmur2_random",  # as the Java clients choose, so that a key has one partition for everybody
}

_READS: dict[str, Any] = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    # Two batches ahead. What is fetched costs its size and some 300 bytes a record besides, in every stage that is behind.
    "queued.min.messages": 50_000,
    "queued.max.messages.kbytes": 32_768,
    "fetch.message.max.bytes": 2_097_152,
    "fetch.queue.backoff.ms": 10,
}


def _common(kafka: Kafka) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap or f"127.0.0.1:{kafka.port}",
        "security.protocol": kafka.security_protocol,
        "reconnect.backoff.max.ms": 1000,
        "log_level": 2,  # what is wrong is told to `error_cb`
        "error_cb": _trouble,
    }
    if kafka.ca_file:
        options["ssl.ca.location"] = kafka.ca_file
    if kafka.sasl_mechanism:
        options |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username,
            "sasl.password": kafka.sasl_password.get_secret_value(),
        }
    return options


def _trouble(error: KafkaError) -> None:
    """Errors of the connection itself: the client goes on trying, unless it is not let in."""
    known = mapped(error, "connecting")
    if isinstance(known, Fatal):
        raise known
    _mutter(error)


def _mutter(error: KafkaError) -> None:
    log.debug("kafka.trouble", reason=error.name())
