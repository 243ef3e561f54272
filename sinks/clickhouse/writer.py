"""The ClickHouse writer: bytes from the log become inserts that the server recognises when they come again."""

import hashlib
import io
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import methodcaller
from typing import Any

import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error
from fastavro import parse_schema, schemaless_reader

from schemas.codec import HEADER, plain
from sinks.clickhouse.avro import TAIL, container, tails
from sinks.clickhouse.server import AVRO_READER, RefusedInsert, verdict
from sinks.clickhouse.tables import Format, Table, formats
from sinks.sink import Batch, Rejected
from streams.runtime import metrics
from streams.runtime.errors import Fatal, Retry
from streams.runtime.session import Message

log = structlog.get_logger()

SETTINGS = {
    "async_insert": 0,  # on by default since 26.3, and its deduplication can lose rows
    "wait_end_of_query": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "input_format_avro_allow_missing_fields": 1,  # an old schema version lacks the newest columns
    "min_insert_block_size_bytes": 0,  # one insert, one block: else it is cut at 256 MiB
    "max_partitions_per_insert_block": 0,
}


_COUNT = """
SELECT count() FROM {table} WHERE _partition = {{partition:Int32}} AND _offset BETWEEN {{first:Int64}} AND {{last:Int64}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Records of one schema version in the order of the log."""

    offsets: Sequence[int]
    values: Sequence[bytes]

    def between(self, first: int, last: int) -> "Rows":
        a, b = bisect_left(self.offsets, first), bisect_left(self.offsets, last + 1)
        return Rows(offsets=self.offsets[a:b], values=self.values[a:b])


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Where rows go, and how their bytes are to be read."""

    batch: Batch
    table: Table
    format: Format

    def token(self, first: int, last: int) -> str:
        """Names exactly the rows: the server drops an insert under a token that it has seen, whatever is in it."""
        return f"{self.batch.topic}:{self.batch.partition}:{first}:{last}:{self.format.number}"


class ClickHouseWriter:
    """A Writer that sends one insert per schema version of a batch.

    A refused insert is halved by offsets until the refused rows are found; each half carries the token of its own range.
    A replay halves alike, so the server recognises it piece by piece.
    """

    def __init__(self, client: Client, tables: Mapping[str, Table]) -> None:
        """`tables`: by the topic's name on the cluster."""
        self._client = client
        self._tables = tables
        self._doubtful: set[str] = set()
        """Tokens of inserts whose answer never came."""

    def write(self, batch: Batch) -> list[Rejected]:
        table = self._tables.get(batch.topic)
        if table is None:
            others = ", ".join(self._tables)
            raise Fatal(
                f"topic {batch.topic} has no table in ClickHouse (sinks/clickhouse/tables.py); these do: {others}"
            )
        known = formats(table.record)
        rejected: list[Rejected] = []
        metrics.TOMBSTONES.labels(batch.topic).inc(sum(m.value() is None for m in batch.messages))
        for frame, rows in sorted(_by_frame(batch.messages).items()):
            if frame in known:
                insert = Insert(batch=batch, table=table, format=known[frame])
                rejected += self._insert(insert, rows, batch.first, batch.last)
            else:
                rejected += [Rejected(offset=offset, reason=_foreign(frame, table)) for offset in rows.offsets]
        return rejected

    def close(self) -> None:
        self._client.close()

    def _insert(self, insert: Insert, rows: Rows, first: int, last: int) -> Iterator[Rejected]:
        if not rows.offsets:
            return
        reason = "refused by ClickHouse"
        if insert.batch.skipped.isdisjoint(rows.offsets):
            try:
                self._send(insert, rows, insert.token(first, last))
            except RefusedInsert as e:
                if len(rows.offsets) == 1:
                    _confirm(e, insert.format, rows.values[0])
                reason = str(e)
            else:
                return
        if len(rows.offsets) == 1:
            yield Rejected(offset=rows.offsets[0], reason=reason)
            return
        middle = (first + last) // 2
        yield from self._insert(insert, rows.between(first, middle), first, middle)
        yield from self._insert(insert, rows.between(middle + 1, last), middle + 1, last)

    def _send(self, insert: Insert, rows: Rows, token: str) -> None:
        """Insert once. After a doubt, look: an acknowledgement may then stand for a token without rows.

        A server that is killed between noting the token and putting the rows in their place knows the token for ever
        (MergeTree without replicas, ClickHouse 26.9). Rows that were inserted after all collapse in the table.
        """
        doubt = insert.batch.replayed or token in self._doubtful
        try:
            self._raw_insert(insert, rows, token)
            if doubt and (found := self._found(insert, rows)) < len(rows.offsets):
                log.warning("sink.insert_again", batch=token, found=found, rows=len(rows.offsets))
                self._raw_insert(insert, rows, "")
        except Retry:
            self._doubtful.add(token)
            raise
        self._doubtful.discard(token)

    def _found(self, insert: Insert, rows: Rows) -> int:
        place = {"partition": insert.batch.partition, "first": rows.offsets[0], "last": rows.offsets[-1]}
        try:
            answer = self._client.query(_COUNT.format(table=insert.table.name), place)
        except Error as e:
            raise verdict(e) from None
        return int(answer.result_rows[0][0])

    def _raw_insert(self, insert: Insert, rows: Rows, token: str) -> None:
        """With an empty token the server does not look whether it has the rows."""
        ends = tails(insert.table.topic, insert.batch.partition, rows.offsets)
        sync = hashlib.blake2b(token.encode(), digest_size=16).digest()
        head = f"INSERT INTO {insert.table.name} FORMAT Avro\n".encode()
        body = container(insert.format.schema, rows.values, ends, sync, head=head)
        settings = {**SETTINGS, "insert_deduplication_token": token, "insert_deduplicate": int(bool(token))}
        with metrics.INSERT_SECONDS.labels(insert.batch.topic).time():
            try:
                self._client.raw_insert("", insert_block=body, settings=settings)  # the statement is in the body
            except Error as e:
                raise verdict(e) from None
        metrics.ROWS_INSERTED.labels(insert.batch.topic).inc(len(rows.offsets))


_VALUE, _OFFSET = methodcaller("value"), methodcaller("offset")


def _by_frame(messages: Sequence[Message]) -> dict[bytes, Rows]:
    """The records by the five bytes that stand before their bodies.

    A tombstone is no row: compaction may forget its key, the warehouse remembers.
    """
    values = list(map(_VALUE, messages))
    offsets = list(map(_OFFSET, messages))
    if None in values:
        offsets = [o for o, value in zip(offsets, values, strict=True) if value is not None]
        values = [value for value in values if value is not None]
    if not values:
        return {}
    first = values[0][:HEADER]
    if len(first) == HEADER and all(map(methodcaller("startswith", first), values)):  # nearly always
        return {first: Rows(offsets=offsets, values=values)}
    groups: dict[bytes, tuple[list[int], list[bytes]]] = {}
    for offset, value in zip(offsets, values, strict=True):
        own_offsets, own_values = groups.setdefault(value[:HEADER], ([], []))
        own_offsets.append(offset)
        own_values.append(value)
    return {frame: Rows(offsets=o, values=v) for frame, (o, v) in groups.items()}


def _foreign(frame: bytes, table: Table) -> str:
    if len(frame) < HEADER or frame[0]:
        return "no Confluent header (0x00 and a 4-byte schema number)"
    return f"schema number {int.from_bytes(frame[1:])} is no released version of {table.record}"


def _confirm(refused: RefusedInsert, form: Format, value: bytes) -> None:
    """Let a row be refused only for its own fault.

    The errors of the server's Avro library come under codes that a full disk can have as well: with one of those, a row
    that our own reader finds whole is not to blame. Raises Retry then.
    """
    if refused.code not in AVRO_READER:
        return
    source = io.BytesIO(value)
    try:
        schemaless_reader(source, _parsed(form.schema), None)
    except Exception:  # noqa: BLE001 - a C decoder's errors on arbitrary bytes are not a closed set
        return
    if source.tell() == len(value):
        raise Retry(f"{refused} on a record that is whole")


@cache
def _parsed(schema: bytes) -> Any:
    full = json.loads(schema)
    return parse_schema(plain({**full, "fields": full["fields"][: -len(TAIL)]}))
