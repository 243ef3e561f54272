"""Records that ClickHouse cannot take, on the twin topic of the one they came from."""

from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from schemas.topics import DEAD_SUFFIX
from sinks.sink import Batch, Rejected
from streams.runtime import kafka, metrics
from streams.runtime.clock import Clock
from streams.runtime.dead_letters import dead_letter
from streams.runtime.errors import Retry
from streams.runtime.session import Message

log = structlog.get_logger()

STAGE = "sink clickhouse"
_ANSWER = 30.0
_CHUNK = 1000
_LIMIT = 1_000_000  # the producer's message.max.bytes


class KafkaDeadLetters:
    """Sends dead letters. After a crash those of a batch may come twice: the same bytes of the same place."""

    def __init__(self, producer: Producer, clock: Clock) -> None:
        """`producer` is idempotent; several threads may share it."""
        self._producer = producer
        self._clock = clock

    def send(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        """Return when the broker has every letter, else raise Retry."""
        messages = {m.offset(): m for m in batch.messages}
        for start in range(0, len(rejected), _CHUNK):
            failures: list[KafkaError] = []
            for each in rejected[start : start + _CHUNK]:
                self._produce(batch, messages[each.offset], each.reason, failures)
            left = self._producer.flush(_ANSWER)
            if failures:
                raise kafka.mapped(failures[0], f"writing to {batch.topic}{DEAD_SUFFIX}")
            if left:
                raise Retry(f"Kafka does not answer for {batch.topic}{DEAD_SUFFIX}")
        log.warning("sink.dead_letters", topic=batch.topic, partition=batch.partition, count=len(rejected))
        metrics.DEAD_LETTERS.labels(batch.topic, STAGE).inc(len(rejected))

    def _produce(self, batch: Batch, message: Message, reason: str, failures: list[KafkaError]) -> None:
        now = self._clock.now()
        letter = dead_letter(message, topic=batch.topic, stage=STAGE, reason=reason, at=now, limit=_LIMIT)
        try:
            self._producer.produce(
                batch.topic + DEAD_SUFFIX,
                letter,
                message.key(),
                batch.partition,
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
        except KafkaException as e:
            raise kafka.mapped(e, f"writing to {batch.topic}{DEAD_SUFFIX}") from None
