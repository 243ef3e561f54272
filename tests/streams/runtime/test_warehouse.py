"""Reading the warehouse: values stay values, and what goes wrong is a sentence."""

from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from streams.embedded.process import free_port
from streams.runtime import warehouse
from streams.runtime.config import ClickHouse
from streams.runtime.errors import Fatal
from tests.support.services import ClickHouseServer

pytestmark = pytest.mark.integration

HOSTILE = [
    "' OR 1=1 --",
    "'; DROP TABLE kept; --",
    "\\' OR 1=1 --",
    "{other:String}",
    "a\tb\nc\\n",
    "\x00",
    "été 日本 🎧",
    "%s %(x)s",
]


def settings(server: ClickHouseServer, database: str) -> ClickHouse:
    password = SecretStr(server.password)
    return ClickHouse(url=server.url, database=database, user=server.user, password=password)


@pytest.fixture
def client(clickhouse: ClickHouseServer, database: str) -> Client:
    found = warehouse.connect(settings(clickhouse, database))
    found.command("CREATE TABLE kept (text String, at DateTime64(6, 'UTC')) ENGINE = MergeTree ORDER BY text")
    found.insert("kept", [["one", datetime(2026, 1, 1, tzinfo=UTC)]], ["text", "at"])
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_stays_a_value(client: Client, text: str) -> None:
    """Whatever it says, it is compared and given back, and nothing else happens."""
    echoed = list(warehouse.rows(client, "SELECT {text:String} AS echo", {"text": text}))
    assert echoed == [{"echo": text}]
    assert list(warehouse.rows(client, "SELECT * FROM kept WHERE text = {text:String}", {"text": text})) == []
    assert next(warehouse.rows(client, "SELECT count() AS n FROM kept"))["n"] == 1


def test_a_time_keeps_its_microseconds_and_its_zone(client: Client) -> None:
    """`--since` is exact."""
    sql = "SELECT count() AS n FROM kept WHERE at >= {since:DateTime64(6, 'UTC')}"
    counts = [
        next(warehouse.rows(client, sql, {"since": datetime(2026, 1, 1, 0, 0, 0, micros, tzinfo=UTC)}))["n"]
        for micros in (0, 1)
    ]
    assert counts == [1, 0]


def test_rows_are_of_the_set_ups_database(client: Client, database: str) -> None:
    """Without a name before each table."""
    assert next(warehouse.rows(client, "SELECT currentDatabase() AS name")) == {"name": database}


def test_a_database_that_is_not_made_yet_lets_connect(clickhouse: ClickHouseServer) -> None:
    """The sink makes it, perhaps later."""
    client = warehouse.connect(settings(clickhouse, "not_yet"))
    with pytest.raises(Fatal, match="ClickHouse refused the query"):
        list(warehouse.rows(client, "SELECT * FROM calls_latest"))


def test_nobody_there_is_a_sentence() -> None:
    """It names the address."""
    port = free_port()
    with pytest.raises(Fatal, match=rf"http://127\.0\.0\.1:{port} does not let us in \(no answer"):
        warehouse.connect(ClickHouse(url=f"http://127.0.0.1:{port}"))
