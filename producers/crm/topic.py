"""The `contacts` topic as its one writer sees it: what it says of each contact, and how far the CRM has been read."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from schemas.codec import decode, encode
from schemas.events import Contact
from schemas.topics import manifest
from streams.runtime import kafka, metrics
from streams.runtime.config import Kafka
from streams.runtime.errors import Retry

_CHUNK = 5_000
_TIMEOUT = 8.0
"""Seconds: below the ten that a clean stop may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far the CRM has been read. Times are microseconds by the CRM's clock; 0: never."""

    token: str
    swept: int = 0
    """Every contact that was updated before is on the topic."""
    reconciled: int = 0
    """Every contact that was deleted before has its tombstone."""


class ContactTopic:
    """Produces only what differs from what the topic already says.

    The position is committed for a group of its own, as the metadata of partition 0's offset, after everything that
    came before it is acknowledged: topic and position cannot disagree, and no file has to be kept.
    """

    def __init__(self, cluster: Kafka, crm: str) -> None:
        self._crm, self._cluster = crm, cluster
        self._topic, self._group = (
            cluster.name(manifest().topics["contacts"].name),
            cluster.name(f"trunkline-contacts-{crm}"),
        )
        self._producer, self._admin = kafka.producer(cluster), kafka.admin(cluster)
        self._known: dict[str, bytes] = {}
        self._failed: KafkaError | None = None

    def recall(self) -> Position | None:
        """Read the topic to its end, and the position; None when there is none. Blocks."""
        reader = kafka.reader(self._cluster, manifest().topics["contacts"].name)
        try:
            unread = {each.partition for each in reader.assignment()}
            while unread:
                for message in reader.consume(_CHUNK, 0.1):
                    error = message.error()
                    if error is None:
                        self._remember(message.key() or b"", message.value())
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - has no other name
                        unread.discard(message.partition())
                    else:
                        raise kafka.mapped(error, "reading contacts back")
        finally:
            reader.close()
        return self._position()

    def known(self) -> Collection[str]:
        """Ids of the contacts that the topic holds."""
        return self._known.keys()

    def put(self, contact: Contact) -> None:
        """Say how the contact is, unless the topic says so already; its time alone is no difference."""
        print_ = _print(contact)
        if self._known.get(contact.contact_id) != print_:
            self._produce(contact.contact_id, encode(contact))
            self._known[contact.contact_id] = print_
            metrics.CRM_CONTACTS.labels(self._crm, "changed").inc()

    def remove(self, contact_id: str) -> None:
        """Say that the contact is gone, once."""
        if self._known.pop(contact_id, None) is not None:
            self._produce(contact_id, None)
            metrics.CRM_CONTACTS.labels(self._crm, "deleted").inc()

    def settle(self, position: Position) -> None:
        """Return when all records are acknowledged and then the position; raises Retry or Fatal. Blocks."""
        left = self._producer.flush(_TIMEOUT)
        if self._failed:
            raise kafka.mapped(self._failed, "writing contacts")
        if left:
            raise Retry(f"Kafka: {left} contacts are not acknowledged yet")
        place = TopicPartition(self._topic, 0, 0, json.dumps(asdict(position)))
        wanted = [ConsumerGroupTopicPartitions(self._group, [place])]
        try:
            self._admin.alter_consumer_group_offsets(wanted)[self._group].result(_TIMEOUT)
        except KafkaException as e:
            raise kafka.mapped(e, "committing the position") from e
        except TimeoutError as e:
            raise Retry("Kafka: committing the position: no answer") from e

    def _position(self) -> Position | None:
        asked = [ConsumerGroupTopicPartitions(self._group, [TopicPartition(self._topic, 0)])]
        try:
            answer = self._admin.list_consumer_group_offsets(asked)[self._group].result(_TIMEOUT)
        except KafkaException as e:
            raise kafka.mapped(e, "reading the position") from e
        except TimeoutError as e:
            raise Retry("Kafka: reading the position: no answer") from e
        told = answer.topic_partitions[0].metadata
        return Position(**json.loads(told)) if told else None

    def _remember(self, key: bytes, value: bytes | None) -> None:
        crm, _, contact_id = key.decode().partition(":")
        if crm != self._crm:
            return
        if value is None:
            self._known.pop(contact_id, None)
        else:
            self._known[contact_id] = _print(decode(Contact, value))

    def _produce(self, contact_id: str, value: bytes | None) -> None:
        key = f"{self._crm}:{contact_id}".encode()
        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(1.0)
            else:
                break
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        self._failed = self._failed or error


def _print(contact: Contact) -> bytes:
    """A fingerprint of what enrichment and people see of a contact."""
    return blake2b(encode(replace(contact, updated_at=0)), digest_size=8).digest()
