"""Bytes in and out of the fold, at the price of a hot loop.

The body of an enriched event begins with the body of the plain event, so the plain event's schema reads it up to the
tail; the tail is decoded only for the one event of a call that decides its customer.
"""

import io
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas import codec
from schemas.events import Call, CallEvent, EnrichedCallEvent
from schemas.topics import manifest

Row = dict[str, Any]
_TAIL = tuple(f.name for f in fields(EnrichedCallEvent))[len(fields(CallEvent)) :]


class Said(NamedTuple):
    """The head of a framed Call, read without decoding the rest."""

    call_id: str
    rev: int
    merge_key: str
    state: str
    merged_into: str


def event_type(value: bytes) -> str:
    """The type of a framed event, sliced; "" when it is not to be had that way, so the event must be read.

    A third of a PBX's events are not about calls (telephone and member states): they need not be decoded.
    """
    at = codec.HEADER + 16
    try:
        for _ in range(4):  # customer_number, tenant, pbx, merge_key
            at += 1 + (value[at] >> 1) if value[at] < 0x80 else len(value)  # noqa: PLR2004 - Avro's continuation bit
        return value[at + 1 : at + 1 + (value[at] >> 1)].decode("ascii", "replace")
    except IndexError:
        return ""


def read_event(value: bytes) -> tuple[Row, bytes]:
    """The plain event's row and the bytes of its tail; raises UndecodableError."""
    current, schema = _event_schema()
    if codec.schema_id(value) != current:
        row = codec.decode_row(EnrichedCallEvent, value)
        return row, codec.encode_tail({name: row[name] for name in _TAIL})
    row, end = _read(value, schema, codec.HEADER)
    return row, value[end:]


def _read(value: bytes, schema: Any, start: int) -> tuple[Row, int]:
    """The record that begins there, and where it ends."""
    body = io.BytesIO(value)
    body.seek(start)
    try:
        row: Any = schemaless_reader(body, schema, None)
    except Exception as e:  # a C decoder's errors on arbitrary bytes are not a closed set
        raise codec.UndecodableError(f"not an EnrichedCallEvent: {type(e).__name__}") from e
    return row, body.tell()


def read_tail(tail: bytes) -> Row:
    """What enrichment knows of the customer, by field name of Call and EnrichedCallEvent; raises UndecodableError."""
    cells: Row = _read(tail, _tail_schema(), 0)[0]
    return cells


def write_call(row: Mapping[str, Any]) -> bytes:
    """A row with every field of Call as framed Avro."""
    head, schema = _call_schema()
    out = io.BytesIO()
    out.write(head)
    schemaless_writer(out, schema, row)
    return out.getvalue()


def read_call(value: bytes) -> Row:
    """The row of a framed Call; raises UndecodableError."""
    return codec.decode_row(Call, value)


def read_said(value: bytes) -> Said:
    """Which call a framed Call is about and what it says of its state; raises UndecodableError.

    Slices the first seven fields: a new owner of a partition reads a day of calls before its first record.
    """
    codec.schema_id(value)
    try:
        call_id, at = _text(value, codec.HEADER)
        rev, at = _varint(value, at)
        _, at = _text(value, at)
        _, at = _text(value, at)
        merge_key, at = _text(value, at)
        state, at = _text(value, at)
        merged_into, at = _text(value, at)
    except (IndexError, UnicodeDecodeError) as e:
        raise codec.UndecodableError(f"not a Call: {type(e).__name__}") from e
    return Said(call_id, rev, merge_key, state, merged_into)


def names(value: bytes, call_id: str) -> set[str]:
    """The legs and native calls in a framed Call, found without decoding it: texts that begin with `pbx:` as its id does."""
    prefix = call_id.partition(":")[0].encode() + b":"
    found, at = set(), value.find(prefix)
    while at > 0:
        size = value[at - 1]
        if not size & 1 and size < 0x80:  # noqa: PLR2004 - the length of a short text, in zigzag
            found.add(value[at : at + (size >> 1)].decode("utf-8", "replace"))
        at = value.find(prefix, at + 1)
    return found


def _varint(value: bytes, at: int) -> tuple[int, int]:
    shift = zigzag = 0
    while True:
        byte = value[at]
        at += 1
        zigzag |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - Avro's continuation bit
            return (zigzag >> 1) ^ -(zigzag & 1), at
        shift += 7


def _text(value: bytes, at: int) -> tuple[str, int]:
    size, at = _varint(value, at)
    return value[at : at + size].decode(), at + size


def _parsed(record: str, keep: tuple[str, ...] | None = None) -> Any:
    schema = codec.plain(manifest().schemas[record].parsed())
    if keep is not None:
        schema = {**schema, "name": "Tail", "fields": [f for f in schema["fields"] if f["name"] in keep]}
    return parse_schema(schema)


@cache
def _event_schema() -> tuple[int, Any]:
    return manifest().schemas["EnrichedCallEvent"].current_id, _parsed("CallEvent")


@cache
def _tail_schema() -> Any:
    return _parsed("EnrichedCallEvent", _TAIL)


@cache
def _call_schema() -> tuple[bytes, Any]:
    return codec.header(manifest().schemas["Call"].current_id), _parsed("Call")
