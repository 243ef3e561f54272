"""Avro object containers made of record bodies as they came from Kafka: nothing is decoded.

A record body plus encoded fields is a body of the schema that lists those fields last. So each row gets its place in
the log as a tail (`_topic`, `_partition`, `_offset`), and the container's schema says so. Format: Avro 1.12
specification, "Object Container Files".
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

_MAGIC = b"Obj\x01"
TAIL = (
    {"name": "_topic", "type": "string"},
    {"name": "_partition", "type": "int"},
    {"name": "_offset", "type": "long"},
)
_MORE = 0x80  # the bit that says another byte follows
_BLOCK = 64  # offsets that share all bytes of their varint but the lowest


def extended(schema: dict[str, Any]) -> bytes:
    """The JSON of a record schema with the tail's fields."""
    return json.dumps({**schema, "fields": [*schema["fields"], *TAIL]}).encode()


def varint(number: int) -> bytes:
    """A non-negative Avro int or long: zigzag, seven bits a byte, lowest first."""
    rest, out = number << 1, bytearray()
    while rest >= _MORE:
        out.append(rest & (_MORE - 1) | _MORE)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def text(value: bytes) -> bytes:
    """An Avro string or bytes."""
    return varint(len(value)) + value


def tails(topic: str, partition: int, offsets: Iterable[int]) -> list[bytes]:
    """The encoded tail of each row. Neighbours differ in one byte, so they are made 64 at a time."""
    head = text(topic.encode()) + varint(partition)
    block, rows, made = -1, [], []
    for offset in offsets:
        if offset // _BLOCK != block:
            block = offset // _BLOCK
            first = block * _BLOCK
            rows = [head + varint(o) for o in range(first, first + _BLOCK)]
        made.append(rows[offset % _BLOCK])
    return made


def container(schema: bytes, bodies: Sequence[bytes], ends: Sequence[bytes], sync: bytes) -> bytes:
    """One file with one uncompressed block: each body followed by its end. `sync` is 16 bytes."""
    parts = [b""] * (2 * len(bodies))
    parts[::2] = bodies
    parts[1::2] = ends
    block = b"".join(parts)
    meta = varint(2) + text(b"avro.codec") + text(b"null") + text(b"avro.schema") + text(schema) + varint(0)
    return b"".join((_MAGIC, meta, sync, varint(len(bodies)), varint(len(block)), block, sync))
