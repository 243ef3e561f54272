"""What the writer sends, what it makes of refusals, and what it does after a doubt."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.codec import HEADER, header
from sinks.clickhouse.tables import TABLES, formats
from sinks.clickhouse.writer import ClickHouseWriter
from streams.runtime.errors import Fatal, Retry
from tests.sinks.clickhouse.fakes import FakeClient, batch, write

TOKEN = "crm-writes:0:{}:{}:100005".format
VIOLATED_CONSTRAINT, STD_EXCEPTION, MEMORY_LIMIT, UNKNOWN_TABLE = 469, 1001, 241, 60


def writer(client: FakeClient) -> ClickHouseWriter:
    fake: Any = client
    return ClickHouseWriter(fake, {table.topic: table for table in TABLES})


def test_an_insert_is_one_block_under_a_token_that_names_its_rows() -> None:
    """Asynchronous inserts are off: their deduplication can lose rows."""
    client = FakeClient()
    assert writer(client).write(batch({7: write(1), 9: write(2)})) == []
    (settings,) = client.settings
    assert settings["insert_deduplication_token"] == TOKEN(7, 9)
    assert (settings["async_insert"], settings["insert_deduplicate"], settings["wait_end_of_query"]) == (0, 1, 1)
    assert settings["min_insert_block_size_bytes"] == 0
    assert [(r["_topic"], r["_partition"], r["_offset"], r["call_id"]) for r in client.rows] == [
        ("crm-writes", 0, 7, "main:1"),
        ("crm-writes", 0, 9, "main:2"),
    ]


def test_a_tombstone_is_no_row() -> None:
    """The warehouse remembers what compaction may forget."""
    client = FakeClient()
    assert writer(client).write(batch({1: write(1), 2: None})) == []
    assert writer(client).write(batch({3: None})) == []
    assert client.offsets() == [1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "no Confluent header (0x00 and a 4-byte schema number)"),
        (b"\0\0", "no Confluent header (0x00 and a 4-byte schema number)"),
        (b'{"json": 1}', "no Confluent header (0x00 and a 4-byte schema number)"),
        (header(77) + b"x", "schema number 77 is no released version of CrmWrite"),
        (header(100003) + b"x", "schema number 100003 is no released version of CrmWrite"),
    ],
)
def test_foreign_bytes_are_refused_unsent(value: bytes, reason: str) -> None:
    """The rest goes in."""
    client = FakeClient()
    rejected = writer(client).write(batch({1: write(1), 2: value, 3: write(3)}))
    assert [(r.offset, r.reason) for r in rejected] == [(2, reason)]
    assert client.offsets() == [1, 3]


def test_refused_rows_are_found_by_halving() -> None:
    """Each piece has the token of its own range, so that a replay is recognised piece by piece."""
    client = FakeClient(refuse=lambda r: VIOLATED_CONSTRAINT if r["_offset"] in {3, 1000} else None)
    values = {o: write(o) for o in [*range(8), 1000]}
    rejected = writer(client).write(batch(values))
    assert [(r.offset, r.reason) for r in rejected] == [
        (3, "ClickHouse error 469"),
        (1000, "ClickHouse error 469"),
    ]
    assert client.offsets() == [0, 1, 2, 4, 5, 6, 7]
    writer(client).write(batch(values))
    assert client.offsets() == [0, 1, 2, 4, 5, 6, 7]


def test_a_full_disk_is_not_the_rows_fault() -> None:
    """It can have the code of Avro's errors; a row that our reader finds whole is kept for another try."""
    client = FakeClient(refuse=lambda _: STD_EXCEPTION)
    with pytest.raises(Retry, match="record that is whole"):
        writer(client).write(batch({1: write(1), 2: write(2)}))


@pytest.mark.parametrize(
    "broken", [write(2)[:-1], write(2) + b"\0", write(2)[:HEADER], write(2)[:HEADER] + b"\xff" * 99]
)
def test_a_broken_record_does_not_take_its_neighbours_with_it(broken: bytes) -> None:
    """Avro has no frames inside a block: what follows would be read askew."""
    client = FakeClient()
    values = {1: write(1), 2: broken, 3: write(3), 4: write(4)}
    assert [r.offset for r in writer(client).write(batch(values))] == [2]
    assert [(r["_offset"], r["call_id"]) for r in client.rows] == [(1, "main:1"), (3, "main:3"), (4, "main:4")]


def test_known_refusals_are_not_asked_for_again() -> None:
    """The pieces are those of the first time, whatever the server would say now."""
    client = FakeClient()
    rejected = writer(client).write(batch({o: write(o) for o in range(4)}, skipped=frozenset({2})))
    assert [(r.offset, r.reason) for r in rejected] == [(2, "refused by ClickHouse")]
    assert client.effects == [f"insert {TOKEN(0, 1)}", f"insert {TOKEN(3, 3)}"]


@pytest.mark.parametrize("carried_out", [True, False])
def test_an_insert_without_an_answer_is_looked_up_when_it_is_repeated(carried_out: bool) -> None:
    """It may have happened or not: the token tells the server, the count tells us."""
    client = FakeClient(fail=[None], keep=carried_out)
    made = writer(client)
    values = {1: write(1), 2: write(2)}
    with pytest.raises(Retry):
        made.write(batch(values))
    assert made.write(batch(values)) == []
    assert client.effects == [f"insert {TOKEN(1, 2)}", f"insert {TOKEN(1, 2)}", "count"]
    assert client.offsets() == [1, 2]


def test_a_token_without_rows_does_not_lose_them() -> None:
    """What a server knows that was killed between noting the token and putting the rows in their place."""
    client = FakeClient(tokens={TOKEN(1, 2)})
    assert writer(client).write(batch({1: write(1), 2: write(2)}, replayed=True)) == []
    assert client.effects == [f"insert {TOKEN(1, 2)}", "count", "insert without token"]
    assert client.settings[-1]["insert_deduplicate"] == 0
    assert client.offsets() == [1, 2]


def test_without_a_doubt_nothing_is_looked_up() -> None:
    """A count for every insert would cost the server's time."""
    client = FakeClient()
    writer(client).write(batch({1: write(1)}))
    assert client.effects == [f"insert {TOKEN(1, 1)}"]


def test_trouble_that_is_not_the_datas_stops_the_batch() -> None:
    """Nothing of it is reported as refused."""
    with pytest.raises(Retry, match="241"):
        writer(FakeClient(refuse=lambda _: MEMORY_LIMIT)).write(batch({1: write(1)}))
    with pytest.raises(Fatal, match="60"):
        writer(FakeClient(refuse=lambda _: UNKNOWN_TABLE)).write(batch({1: write(1)}))


def test_schema_versions_do_not_share_an_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has one schema; each part of the batch has a token of its own."""
    (current,) = formats("CrmWrite").items()
    older = replace(current[1], number=99)
    known = {current[0]: current[1], header(99): older}
    monkeypatch.setattr("sinks.clickhouse.writer.formats", lambda _: known)
    client = FakeClient()
    old = header(99) + write(2)[HEADER:]
    assert writer(client).write(batch({1: write(1), 2: old, 3: write(3)})) == []
    assert client.effects == ["insert crm-writes:0:1:3:99", f"insert {TOKEN(1, 3)}"]
    assert client.offsets() == [1, 2, 3]


def test_a_topic_without_a_table_is_told() -> None:
    """With where to add it, and the topics that have one."""
    with pytest.raises(Fatal, match=r"contacts has no table .*tables\.py.* calls, crm-writes"):
        writer(FakeClient()).write(batch({1: write(1)}, topic="contacts"))
