"""The embedded engine is a ClickHouse server to its clients; the client library's own behaviour is the measure."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import fastavro
import pytest
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.support.services import ClickHouseServer

pytestmark = pytest.mark.integration


@pytest.fixture
def client(clickhouse: ClickHouseServer, database: str) -> Iterator[Client]:
    """A client in its test's own database, with one table `t`."""
    with clickhouse.connect(database) as it:
        it.command(
            "CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a"
            " SETTINGS non_replicated_deduplication_window = 100"
        )
        yield it


def rows(client: Client) -> int:
    return int(str(client.command("SELECT count() FROM t")))


def avro(count: int, start: int = 0) -> bytes:
    schema = {
        "type": "record",
        "name": "Row",
        "fields": [{"name": "a", "type": "long"}, {"name": "s", "type": "string"}],
    }
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), [{"a": start + n, "s": f"row {n}"} for n in range(count)])
    return file.getvalue()


def test_handshake_tells_a_current_server(client: Client) -> None:
    """The library accepts the version, the zone and the settings that it asks for when it connects."""
    assert str(client.server_version).startswith("2")
    assert client.server_tz is not None


@pytest.mark.parametrize("compress", [False, "gzip", "lz4", "zstd"])
def test_rows_come_back_as_they_went_in(clickhouse: ClickHouseServer, client: Client, compress: bool | str) -> None:
    """Native inserts and queries keep every value, packed in each way or not at all."""
    wanted = [(n, f"zeile {n} ü ' \\ \t \n \0") for n in range(5_000)]
    with clickhouse.connect(str(client.database), compress=compress) as packed:
        packed.insert("t", wanted, column_names=["a", "s"])
        assert packed.query("SELECT a, s FROM t ORDER BY a").result_rows == wanted


def test_same_token_inserts_once(client: Client) -> None:
    """A retried insert with its token changes nothing, natively and as Avro."""
    for _ in range(2):
        client.insert("t", [[1, "x"]], column_names=["a", "s"], settings={"insert_deduplication_token": "one"})
        client.raw_insert("t", insert_block=avro(10), fmt="Avro", settings={"insert_deduplication_token": "two"})
    assert rows(client) == 11


def test_avro_bodies_are_read_by_the_server(client: Client) -> None:
    """raw_insert with FORMAT Avro writes every row, and the summary says how many."""
    summary = client.raw_insert("t", insert_block=avro(1_000), fmt="Avro", settings={"async_insert": 0})
    assert summary.written_rows == 1_000
    assert client.query("SELECT min(a), max(a), uniqExact(s) FROM t").result_rows == [(0, 999, 1000)]


@pytest.mark.parametrize("text", ["x", "", "'; DROP TABLE t; --", "\\", "ü\t\n\\N", "a&b=c?%41"])
def test_bound_parameters_are_only_values(client: Client, text: str) -> None:
    """Whatever a bound text holds, it is compared, never run."""
    client.insert("t", [[1, text]], column_names=["a", "s"])
    found = client.query("SELECT s FROM t WHERE s = {wanted:String}", parameters={"wanted": text})
    assert found.result_rows == [(text,)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT nothing_of_that_name", 47),
        ("SELECT * FROM no_such_table", 60),
        ("SELEC 1", 62),
        ("SELECT 1; SELECT 2", 62),
        ("SELECT throwIf(1)", 395),
        ("SELECT toUInt8('x')", 6),
        ("SELECT {missing:String}", 456),
    ],
)
def test_errors_keep_their_code(client: Client, sql: str, code: int) -> None:
    """The library raises DatabaseError with ClickHouse's own code."""
    with pytest.raises(DatabaseError) as raised:
        client.query(sql)
    assert raised.value.code == code


def test_unknown_setting_is_an_error(client: Client) -> None:
    """A setting that does not exist is refused, not ignored."""
    with pytest.raises(DatabaseError) as raised:
        client.raw_query("SELECT 1", settings={"no_such_setting": "1"})
    assert raised.value.code == 115


def test_unknown_database_is_an_error(clickhouse: ClickHouseServer) -> None:
    """A client that names a missing database is told so."""
    with pytest.raises(DatabaseError) as raised:
        clickhouse.connect("no_such_database").query("SELECT 1 FROM t")
    assert raised.value.code == 81


def test_settings_end_with_their_request(client: Client) -> None:
    """What one request sets, the next one does not see."""
    ask = "SELECT getSetting('max_block_size')"
    before = client.command(ask)
    assert client.command(ask, settings={"max_block_size": 17}) == 17
    assert client.command(ask) == before


def test_rows_are_streamed_in_blocks(client: Client) -> None:
    """A streaming query hands over blocks that together are the whole result."""
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as stream:
        assert sum(row[0] for block in stream for row in block) == sum(range(200_000))


def test_formats_come_from_the_text_or_the_client(client: Client) -> None:
    """FORMAT in the query wins over the format that the client asks for."""
    assert client.raw_query("SELECT 1 AS x", fmt="JSONEachRow") == b'{"x":1}\n'
    assert client.raw_query("SELECT 1 AS x FORMAT CSVWithNames") == b'"x"\n1\n'


def test_clients_work_side_by_side(clickhouse: ClickHouseServer, client: Client) -> None:
    """Twelve clients insert, fail and read at the same time; every row is there once, every error is its own."""

    def work(number: int) -> int:
        with clickhouse.connect(str(client.database)) as own:
            for turn in range(5):
                own.raw_insert("t", insert_block=avro(100, start=(number * 5 + turn) * 100), fmt="Avro")
                with pytest.raises(DatabaseError, match=f"column_{number}"):
                    own.query(f"SELECT column_{number}")
            return int(str(own.command("SELECT sum(number) FROM numbers(1000)")))

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(work, range(12))) == {499_500}
    assert client.query("SELECT count(), uniqExact(a) FROM t").result_rows == [(6_000, 6_000)]
