"""Avro object containers made of records as they came from Kafka: nothing is decoded, not even copied record by record.

Bytes before and after a record are fields of a schema that lists them first and last. So the frame of each record is a
field that no table has, its place in the log (`_topic`, `_partition`, `_offset`) is a tail, and the schema says so. Format: Avro 1.12
specification, "Object Container Files".
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from schemas.codec import HEADER

_MAGIC = b"Obj\x01"
HEAD = ({"name": "_frame", "type": {"type": "fixed", "name": "Frame", "size": HEADER}},)
TAIL = (
    {"name": "_topic", "type": "string"},
    {"name": "_partition", "type": "int"},
    {"name": "_offset", "type": "long"},
)
_MORE = 0x80  # the bit that says another byte follows
_BLOCK = 64  # offsets that share all bytes of their varint but the lowest


def extended(schema: dict[str, Any]) -> bytes:
    """The JSON of a record schema with the fields around it."""
    return json.dumps({**schema, "fields": [*HEAD, *schema["fields"], *TAIL]}).encode()


def varint(number: int) -> bytes:
    """A non-negative Avro int or long: zigzag, seven bits a byte, lowest first."""
    return _sevens(number << 1)


def text(value: bytes) -> bytes:
    """An Avro string or bytes."""
    return varint(len(value)) + value


def tails(topic: str, partition: int, offsets: Iterable[int]) -> list[bytes]:
    """The encoded tail of each row.

    Of 64 neighbours only the lowest byte of the offset differs, so they are made together: nearly every tail is one
    concatenation.
    """
    head = text(topic.encode()) + varint(partition)
    starts = [head + bytes([low << 1 | _MORE]) for low in range(_BLOCK)]
    block, rows, made = -1, [], []
    for offset in offsets:
        if offset // _BLOCK != block:
            block = offset // _BLOCK
            high = _sevens(block)
            rows = [start + high for start in starts] if block else [head + varint(low) for low in range(_BLOCK)]
        made.append(rows[offset % _BLOCK])
    return made


def _sevens(rest: int) -> bytes:
    out = bytearray()
    while rest >= _MORE:
        out.append(rest & (_MORE - 1) | _MORE)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def container(
    schema: bytes, values: Sequence[bytes], ends: Sequence[bytes], sync: bytes, *, head: bytes = b""
) -> bytes:
    """One file with one uncompressed block, each framed record followed by its end; `sync` is 16 bytes.

    `head` goes before the file: what is to be sent is put together once, for each copy costs as much as the rest.
    """
    rows = [b""] * (2 * len(values))
    rows[::2] = values
    rows[1::2] = ends
    size = sum(map(len, values)) + sum(map(len, ends))
    meta = varint(2) + text(b"avro.codec") + text(b"null") + text(b"avro.schema") + text(schema) + varint(0)
    return b"".join((head, _MAGIC, meta, sync, varint(len(values)), varint(size), *rows, sync))
