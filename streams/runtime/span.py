"""A stretch of a partition, read from its start to its end and no further."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from streams.runtime.clock import Clock
from streams.runtime.errors import Retry
from streams.runtime.kafka import TRANSACTION_TIMEOUT, mapped

AT_ONCE = 10_000
SILENCE = TRANSACTION_TIMEOUT + 20.0
"""Seconds without a record after which the span is given up: longer than any transaction can stay undecided."""


@dataclass(frozen=True, slots=True)
class Span:
    topic: str
    partition: int
    start: int
    end: int
    """One past the last offset."""


def read(consumer: Consumer, span: Span, clock: Clock, stop: threading.Event) -> Iterator[Message]:
    """The committed records of a span, in order; `consumer` tells ends of partitions and is used for nothing else.

    A transaction that is still open inside the span is waited for. Raises Retry when it does not come to its end, or
    when `stop` is set.
    """
    if span.start >= span.end:
        return
    consumer.assign([TopicPartition(span.topic, span.partition, span.start)])
    deadline = clock.monotonic() + SILENCE
    while not stop.is_set() and clock.monotonic() < deadline:
        first = consumer.poll(0.2)
        if first is None:
            continue
        for message in [first, *consumer.consume(AT_ONCE, 0)]:
            error = message.error()
            at = cast("int", message.offset())
            if error is None and at < span.end:
                yield message
            elif error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise mapped(error, f"reading {span.topic}")
            if at >= (span.end if error else span.end - 1):
                consumer.unassign()
                return
        deadline = clock.monotonic() + SILENCE
    raise Retry(f"{span.topic}/{span.partition} was not read up to {span.end}")
