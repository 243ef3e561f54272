"""The events of one call from the log itself, for a set-up without a warehouse."""

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.codec import as_row, decode
from schemas.events import Call, EnrichedCallEvent
from streams.processors.explaining.watch import names_of
from streams.processors.folding import wire
from streams.runtime import kafka
from streams.runtime.cli.call_events import HOUR_US, SETTLED_US, SOURCE, Names
from streams.runtime.config import Kafka
from streams.runtime.errors import Reject, Retry

_TIMEOUT = 10.0
_WITHOUT_IDS = frozenset({*SOURCE, "agent.completed"})


def of_log(connection: Kafka, call: str, late_us: int) -> Iterator[EnrichedCallEvent]:
    """The events of the call with that id, native id or leg, up to `late_us` after its last revision.

    Reads the topic `calls` for the record, then its partition of the events from the call's time on. Raises Reject when
    `calls` has no such call, Retry or Fatal when the broker does not answer.
    """
    client = kafka.reader(connection)
    try:
        found = _record(client, connection, call)
        if found is None:
            raise Reject(
                f"no call {call} in the topic {connection.name('calls')}: it is older than the topic keeps, or "
                "`trunkline run stream fold` has not come to it yet"
            )
        record, partition = found
        yield from _events(client, connection, record, partition, record.updated_at + late_us)
    finally:
        client.close()


def _record(client: Consumer, connection: Kafka, call: str) -> tuple[Call, int] | None:
    """The last record of the call, or of the one it was united with, and its partition."""
    topic = connection.name("calls")
    starts = [TopicPartition(topic, p, 0) for p in kafka.partitions(client, topic)]
    named, found = call.encode(), None
    for message in _read(client, starts):
        value = message.value()
        if value is None or named not in value:
            continue
        record = decode(Call, value)
        if record.state != "merged" and call in names_of(as_row(record)):
            found = record, message.partition() or 0
    return found


def _events(
    client: Consumer, connection: Kafka, record: Call, partition: int, until: int
) -> Iterator[EnrichedCallEvent]:
    topic = connection.name("call-events-enriched")
    names = Names(record.native_ids, pbx=record.pbx, settled=record.updated_at + SETTLED_US)
    try:
        at = TopicPartition(topic, partition, (record.started_at - HOUR_US) // 1000)
        (start,) = client.offsets_for_times([at], timeout=_TIMEOUT)
    except KafkaException as e:
        raise kafka.mapped(e, f"looking for the call's time in {topic}") from e
    for message in _read(client, [start]):
        value = message.value() or b""
        if message.timestamp()[1] * 1000 > until:
            return
        # Ids stand in the bytes as they are: nearly every record of other calls is passed over undecoded.
        named = any(name.encode() in value for name in (*names.natives, *names.legs))
        if named or wire.event_type(value) in _WITHOUT_IDS:
            event = decode(EnrichedCallEvent, value)
            if names.take(event):
                yield event


def _read(client: Consumer, starts: list[TopicPartition]) -> Iterator[Message]:
    """What is there from the starts on, each partition in its order, until each has come to its end."""
    client.assign(starts)
    unread = {start.partition for start in starts}
    while unread:
        message = client.poll(_TIMEOUT)
        if message is None:
            raise Retry("the broker does not answer while the log is read; try again")
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name
            unread.discard(message.partition() or 0)
        elif error is not None:
            raise kafka.mapped(error, f"reading {message.topic()}")
        else:
            yield message
