"""`trunkline dead`: what could not be used, why, and sending it through again."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from rich.console import Console
from rich.table import Table

from schemas.codec import UndecodableError, decode
from schemas.events import DeadLetter
from schemas.topics import DEAD_SUFFIX, manifest
from streams.runtime import kafka
from streams.runtime.cli.common import Config, Json, cell, settings
from streams.runtime.config import Kafka
from streams.runtime.errors import Reject, Retry
from streams.runtime.logs import mask, printable

app = typer.Typer(help="Dead letters: records that could not be used.", no_args_is_help=True)

_TIMEOUT = 10.0
Topic = Annotated[str, typer.Option(help="Only this topic's dead letters, such as call-events.")]
Where = tuple[int, int]
"""Partition and offset in the dead-letter topic."""


@app.command("list")
def show(config: Config = None, topic: Topic = "", json: Json = False) -> None:
    """Every dead letter that is still kept: where it came from and why it was refused."""
    table = Table(title="dead letters")
    for column in ("dead letter", "when", "stage", "reason", "came from"):
        table.add_column(column)
    for name, (partition, offset), letter in _all(settings(config).kafka, topic):
        place = f"{name}:{partition}:{offset}"
        if json:
            row = {**asdict(letter), "id": place, "key": _hex(letter.key), "value": _hex(letter.value)}
            sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            continue
        when = datetime.fromtimestamp(letter.at / 1e6, UTC).isoformat(sep=" ", timespec="seconds")
        origin = f"{letter.topic}:{letter.partition}:{letter.offset}"
        table.add_row(place, when, letter.stage, cell(mask(letter.reason)), origin)
    if not json:
        Console().print(table)


@app.command("show")
def one(
    place: Annotated[str, typer.Argument(help="TOPIC:PARTITION:OFFSET, from `dead list`.")], config: Config = None
) -> None:
    """One dead letter, whole, with its bytes."""
    letter = _get(settings(config).kafka, place)
    for key, value in asdict(letter).items():
        typer.echo(f"{key}: {_hex(value) if isinstance(value, bytes) else printable(str(value))}")
    if letter.value:
        typer.echo(f"as text: {printable(letter.value.decode(errors='replace'))}")


@app.command("replay")
def replay(
    places: Annotated[list[str] | None, typer.Argument(help="TOPIC:PARTITION:OFFSET each, from `dead list`.")] = None,
    config: Config = None,
    topic: Topic = "",
) -> None:
    """Write the original bytes to the topic they were read from, to be tried again after the cause was mended.

    The dead letter stays until its retention ends; a record that was used after all is a duplicate, which changes nothing.
    """
    connection = settings(config).kafka
    if bool(places) == bool(topic):
        raise Reject("name either the dead letters (TOPIC:PARTITION:OFFSET) or --topic for all of one topic")
    letters = [_get(connection, p) for p in places] if places else [found for _, _, found in _all(connection, topic)]
    stuck = [letter for letter in letters if letter.offset < 0]
    done = _write(connection, [letter for letter in letters if letter.offset >= 0])
    typer.echo(f"{done} written again")
    if stuck:
        typer.echo(f"{len(stuck)} never were a record of a topic (unreadable at the source) and cannot be replayed")


def _write(connection: Kafka, letters: list[DeadLetter]) -> int:
    """How many were written, which is all of them; Retry otherwise."""
    producer = kafka.producer(connection)
    refused: list[str] = []

    def answered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(error.name())

    for letter in letters:
        producer.produce(letter.topic, letter.value, letter.key, partition=letter.partition, on_delivery=answered)
        producer.poll(0)
    left = producer.flush(_TIMEOUT) + len(refused)
    if left:
        why = ", ".join(sorted(set(refused))) or "no answer"
        raise Retry(
            f"{left} of {len(letters)} were not written ({why}); run it again: what arrives twice is a duplicate"
        )
    return len(letters)


def _all(connection: Kafka, topic: str) -> Iterator[tuple[str, Where, DeadLetter]]:
    names = [name for name, t in manifest().topics.items() if t.name.endswith(DEAD_SUFFIX)]
    if topic and topic + DEAD_SUFFIX not in names:
        raise Reject(f"there is no topic {topic}; `trunkline topics list` shows them")
    known = {connection.name(name): name for name in ([topic + DEAD_SUFFIX] if topic else names)}
    consumer = kafka.reader(connection)
    try:
        starts = [TopicPartition(name, p, 0) for name in known for p in kafka.partitions(consumer, name)]
        for name, where, letter in _read(consumer, starts):
            yield known[name], where, letter
    finally:
        consumer.close()


def _get(connection: Kafka, place: str) -> DeadLetter:
    topic, _, rest = place.partition(":")
    partition, _, offset = rest.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise Reject(f"{place}: not TOPIC:PARTITION:OFFSET as `trunkline dead list` prints it")
    if topic not in manifest().topics or not topic.endswith(DEAD_SUFFIX):
        raise Reject(f"there is no topic {topic} of dead letters; `trunkline dead list` shows what there is")
    start = TopicPartition(connection.name(topic), int(partition), int(offset))
    consumer = kafka.reader(connection)
    try:
        if start.partition in kafka.partitions(consumer, start.topic):
            low, high = consumer.get_watermark_offsets(start, timeout=_TIMEOUT)
            for _, where, letter in _read(consumer, [start] if low <= start.offset < high else []):
                if where == (start.partition, start.offset):
                    return letter
                break  # it was no dead letter, or a mark that has no record
    finally:
        consumer.close()
    raise Reject(f"{place}: no such dead letter (any more)")


def _read(consumer: Consumer, starts: list[TopicPartition]) -> Iterator[tuple[str, Where, DeadLetter]]:
    """The dead letters from there on, each partition's in order, until each has come to its end."""
    unread = {(start.topic, start.partition) for start in starts}
    consumer.assign(starts)
    while unread:
        message = consumer.poll(_TIMEOUT)
        if message is None:
            raise Retry("the broker does not answer while dead letters are read; try again")
        topic, where = message.topic() or "", (message.partition() or 0, message.offset() or 0)
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name
            unread.discard((topic, where[0]))
        elif error is not None:
            raise kafka.mapped(error, f"reading {topic}")
        else:
            try:
                yield topic, where, decode(DeadLetter, message.value() or b"")
            except UndecodableError:
                typer.echo(f"{topic}:{where[0]}:{where[1]} is no dead letter", err=True)


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()
