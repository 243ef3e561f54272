"""Fakes at the sink's edges. Each appends to one effect log, so that a test can compare the whole order."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clickhouse_connect.driver.exceptions import DatabaseError
from fastavro import reader

from schemas.codec import encode
from schemas.events import CrmWrite
from sinks.sink import Batch, Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the sink reads of a Kafka message."""

    at: int
    body: bytes | None
    where: str = "crm-writes"
    in_partition: int = 0

    def value(self) -> bytes | None:
        return self.body

    def key(self) -> bytes | None:
        return b"k"

    def partition(self) -> int:
        return self.in_partition

    def offset(self) -> int:
        return self.at

    def topic(self) -> str:
        return self.where

    def error(self) -> None:
        """It is a record."""

    def timestamp(self) -> tuple[int, int]:
        return (1, 0)


def write(number: int) -> bytes:
    """A framed record of the topic crm-writes."""
    return encode(CrmWrite(tenant="acme", crm="sandbox", call_id=f"main:{number}", state="INTENT", rev=1, at=number))


def batch(values: Mapping[int, bytes | None], **options: Any) -> Batch:
    """A batch with these values by offset."""
    messages = [Record(at=offset, body=value) for offset, value in values.items()]
    known: dict[str, Any] = {"topic": "crm-writes", "partition": 0, "first": min(values), "last": max(values)}
    return Batch(messages=messages, **known | options)


@dataclass(slots=True)
class FakeClient:
    """A ClickHouse client whose server keeps rows by token, and refuses or fails as it is told."""

    refuse: Callable[[Mapping[str, Any]], int | None] = lambda _: None
    """The error code of a row, None when it is fine."""
    fail: list[int | None] = field(default_factory=list)
    """Error codes of the next inserts, None for one without a code (no answer); the rows are kept all the same."""
    keep: bool = True
    """Whether an insert that is not answered was carried out."""
    effects: list[str] = field(default_factory=list)
    settings: list[Mapping[str, Any]] = field(default_factory=list)
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    closed: int = 0

    def raw_insert(self, table: str, *, insert_block: bytes, settings: Mapping[str, Any]) -> None:
        assert not table
        statement, _, file = insert_block.partition(b"\n")
        assert statement == b"INSERT INTO crm_writes FORMAT Avro"
        token = settings["insert_deduplication_token"]
        self.settings.append(settings)
        try:
            rows: list[Any] = list(reader(io.BytesIO(file)))
        except Exception:  # noqa: BLE001 - as the server, which has one code for all that its reader throws
            self.effects.append(f"refuse {token}")
            raise DatabaseError("unreadable", code=1001) from None
        for row in rows:
            if code := 469 if row["_topic"] != "crm-writes" else self.refuse(row):
                self.effects.append(f"refuse {token}")
                raise DatabaseError("refused", code=code)
        self.effects.append(f"insert {token or 'without token'}")
        failure = self.fail.pop(0) if self.fail else 0
        if failure == 0 or self.keep:
            if not token or token not in self.tokens:
                self.rows += rows
            self.tokens.add(token)
        if failure != 0:
            raise DatabaseError("no answer", code=failure)

    def query(self, _: str, place: Mapping[str, int]) -> Any:
        self.effects.append("count")
        inside = [r for r in self.rows if place["first"] <= r["_offset"] <= place["last"]]
        return type("Result", (), {"result_rows": [(len(inside),)]})

    def close(self) -> None:
        self.closed += 1

    def offsets(self) -> list[int]:
        return sorted(row["_offset"] for row in self.rows)


@dataclass(slots=True)
class FakeDeadLetters:
    effects: list[str] = field(default_factory=list)

    def send(self, _: Batch, rejected: Sequence[Rejected]) -> None:
        self.effects.append(f"dead {[r.offset for r in rejected]}")


def batch_of(topic: str, values: Sequence[bytes | None], first: int = 0) -> Batch:
    """These values one after the other, from that offset on."""
    messages = [Record(at=at, body=value) for at, value in enumerate(values, first)]
    return Batch(topic=topic, partition=0, first=first, last=first + len(values) - 1, messages=messages)
