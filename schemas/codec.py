"""Bytes on the wire: Confluent framing (0x00, 4-byte schema number, Avro body), and what can be done without decoding.

Avro has no framing inside a record, so a record plus appended fields is a valid record of the schema that lists those
fields last. That is how enrichment works: a new header, the original body, an encoded tail.
"""

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, get_args, get_type_hints

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas import events
from schemas.events import CallEvent, EnrichedCallEvent
from schemas.topics import manifest

T = TypeVar("T")

HEADER = 5
_ID_END = HEADER + 16
_TAIL = tuple(f.name for f in fields(EnrichedCallEvent))[len(fields(CallEvent)) :]


class UndecodableError(ValueError):
    """These bytes are not a record of any schema that this version knows."""


def header(schema_id: int) -> bytes:
    return struct.pack(">bI", 0, schema_id)


def schema_id(value: bytes) -> int:
    """The wire number of a framed record; raises UndecodableError when there is no frame."""
    if len(value) < HEADER or value[0]:
        raise UndecodableError("no Confluent header (0x00 and a 4-byte schema number)")
    return int.from_bytes(value[1:HEADER])


def encode(record: object) -> bytes:
    """A record of `schemas.events` as framed Avro, under the current schema number of its type."""
    kind: Any = type(record)
    head, schema, rows = _writer(kind)
    out = io.BytesIO()
    out.write(head)
    schemaless_writer(out, schema, rows(record))
    return out.getvalue()


def decode(record_type: type[T], value: bytes) -> T:
    """The record behind framed bytes of any released version; raises UndecodableError, never anything else."""
    kind: Any = record_type
    record: T = _maker(kind)(decode_row(record_type, value))
    return record


def decode_row(record_type: type, value: bytes) -> dict[str, Any]:
    """As `decode`, but the plain row by field name: half the cost, for loops that look at every event.

    Lists stay lists and nested records stay dicts; do not keep or change them.
    """
    kind: Any = record_type
    writer, reader = _reader(kind, schema_id(value))
    try:
        row: Any = schemaless_reader(io.BytesIO(value[HEADER:]), writer, reader)
    except Exception as e:  # a C decoder's errors on arbitrary bytes are not a closed set
        raise UndecodableError(f"not a {record_type.__name__}: {type(e).__name__}") from e
    cells: dict[str, Any] = row
    return cells


def event_id(value: bytes) -> bytes:
    """The 16-byte id of a framed CallEvent or EnrichedCallEvent, undecoded."""
    return value[HEADER:_ID_END]


def customer_number(value: bytes) -> bytes:
    """The customer's E.164 number of a framed CallEvent, undecoded ASCII; b"" when unknown.

    A number has at most 16 characters, so its Avro length is one byte: twice the count.
    """
    n = value[_ID_END]
    return value[_ID_END + 1 : _ID_END + 1 + (n >> 1)]


def enrich(value: bytes, tail: bytes) -> bytes:
    """A framed current-version CallEvent and an encoded tail as a framed EnrichedCallEvent."""
    return _ENRICHED_HEADER + value[HEADER:] + tail


def encode_tail(tail: Mapping[str, Any]) -> bytes:
    """The appended fields of EnrichedCallEvent (all of them, by name) as Avro bytes."""
    out = io.BytesIO()
    schemaless_writer(out, _tail_schema(), tail)
    return out.getvalue()


def plain(schema: Any) -> Any:
    """A schema without logical types: times stay the integers that they are on the wire."""
    if isinstance(schema, dict):
        return {k: plain(v) for k, v in schema.items() if k not in ("logicalType", "doc")}
    if isinstance(schema, list):
        return [plain(s) for s in schema]
    return schema


def as_row(record: Any) -> dict[str, Any]:
    """A record as nested dicts and lists, as Avro and JSON writers want it."""
    return {f.name: _cell(getattr(record, f.name)) for f in fields(record)}


def _cell(value: Any) -> Any:
    if is_dataclass(value):
        return as_row(value)
    if isinstance(value, tuple):
        return [_cell(v) for v in value]
    return value


@cache
def _parsed(record: str, version: int | None) -> Any:
    return parse_schema(plain(manifest().schemas[record].parsed(version)))


@cache
def _tail_schema() -> Any:
    full = manifest().schemas["EnrichedCallEvent"].parsed()
    return parse_schema({**plain(full), "name": "Tail", "fields": [f for f in full["fields"] if f["name"] in _TAIL]})


@cache
def _writer(record_type: type) -> tuple[bytes, Any, Callable[[Any], Mapping[str, Any]]]:
    known = manifest().schemas[record_type.__name__]
    names = tuple(f.name for f in fields(record_type))
    flat = attrgetter(*names)
    nested = any(is_dataclass(a) for hint in get_type_hints(record_type).values() for a in get_args(hint))
    rows = as_row if nested else lambda record: dict(zip(names, flat(record), strict=True))
    return header(known.current_id), _parsed(record_type.__name__, None), rows


@cache
def _reader(record_type: type, wire_id: int) -> tuple[Any, Any]:
    known = manifest().schemas[record_type.__name__]
    for version, number in known.ids:
        if number == wire_id:
            current = version == known.ids[-1][0]
            return _parsed(known.record, None if current else version), None if current else _parsed(known.record, None)
    raise UndecodableError(f"schema number {wire_id} is no released version of {record_type.__name__}")


@cache
def _maker(record_type: type) -> Callable[[Mapping[str, Any]], Any]:
    """From a decoded row to the frozen value: arrays become tuples, nested records their own values."""
    lists = {name: _item(hint) for name, hint in get_type_hints(record_type).items() if _is_tuple(hint)}

    def make(row: Mapping[str, Any]) -> Any:
        cells = dict(row)
        for name, item in lists.items():
            cells[name] = tuple(cells[name]) if item is None else tuple(item(r) for r in cells[name])
        return record_type(**cells)

    return make


def _is_tuple(hint: Any) -> bool:
    return getattr(hint, "__origin__", None) is tuple


def _item(hint: Any) -> Callable[[Mapping[str, Any]], Any] | None:
    inner = get_args(hint)[0]
    return _maker(inner) if is_dataclass(inner) and isinstance(inner, type) else None


def record_types() -> Iterator[type]:
    """Every record type that a topic can carry."""
    for name in manifest().schemas:
        yield getattr(events, name)


_ENRICHED_HEADER = header(manifest().schemas["EnrichedCallEvent"].current_id)
