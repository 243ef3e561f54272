"""Containers made of undecoded bodies are what an Avro library would have written."""

import io
import json

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from sinks.clickhouse.avro import container, extended, tails, varint
from sinks.clickhouse.tables import formats
from tests.sinks.clickhouse.fakes import write


@given(st.integers(0, 2**62))
def test_a_varint_is_avros_long(number: int) -> None:
    """Our three lines and the library agree."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema("long"), number)
    assert varint(number) == out.getvalue()


@given(st.sets(st.integers(0, 2**45), min_size=1, max_size=300).map(sorted), st.integers(0, 5000))
def test_a_tail_is_topic_partition_and_offset(offsets: list[int], partition: int) -> None:
    """Whatever the gaps between offsets are."""
    schema = fastavro.parse_schema(json.loads(extended({"type": "record", "name": "Tail", "fields": []})))
    rows = [
        fastavro.schemaless_reader(io.BytesIO(b"frame" + t), schema, None) for t in tails("calls", partition, offsets)
    ]
    assert rows == [
        {"_frame": b"frame", "_topic": "calls", "_partition": partition, "_offset": offset} for offset in offsets
    ]


def test_a_container_holds_every_row_with_its_place_in_the_log() -> None:
    """A library that knows nothing of us reads it."""
    (form,) = formats("CrmWrite").values()
    offsets = [5, 6, 63, 64, 200]
    values = [write(o) for o in offsets]
    file = container(form.schema, values, tails("crm-writes", 3, offsets), b"0123456789abcdef")
    rows = list(fastavro.reader(io.BytesIO(file)))
    assert [(r["call_id"], r["_topic"], r["_partition"], r["_offset"]) for r in rows if isinstance(r, dict)] == [
        (f"main:{o}", "crm-writes", 3, o) for o in offsets
    ]


def test_the_same_rows_are_the_same_bytes() -> None:
    """A retry must send what the token names."""
    (form,) = formats("CrmWrite").values()
    files = {container(form.schema, [write(1)], tails("crm-writes", 0, [1]), b"s" * 16) for _ in range(2)}
    assert len(files) == 1
