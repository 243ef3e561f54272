"""Migrations are applied once, in order, and drift is told with the way out."""

from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.migrate import Migration, migrate, migrations
from streams.runtime.errors import Fatal, Retry

ONE = Migration(name="0001_one.sql", text="CREATE TABLE a;\n\n-- a comment; with a semicolon\nCREATE VIEW b;\n")
TWO = Migration(name="0002_two.sql", text="ALTER TABLE a;\n")


class FakeClient:
    """A server that knows which migrations it has seen."""

    database = "trunkline"

    def __init__(self, *applied: tuple[str, str], exists: bool = True) -> None:
        self.applied = applied
        self.exists = exists
        self.commands: list[str] = []
        self.denied: int | None = None

    def query(self, sql: str, *_: Any, **__: Any) -> Any:
        rows: Any = [(int(self.exists),)] if "system.databases" in sql else self.applied
        return type("Result", (), {"result_rows": rows})

    def command(self, sql: str, parameters: Any = None, **_: Any) -> None:
        if self.denied:
            raise DatabaseError("", code=self.denied)
        self.commands.append(parameters["name"] if parameters else sql.strip().split("\n")[0])


def run(client: FakeClient, *known: Migration) -> list[str]:
    fake: Any = client
    return list(migrate(fake, list(known)))


def test_what_is_missing_is_applied_and_recorded() -> None:
    """A statement before its record: a crash between them repeats the statement."""
    client = FakeClient((ONE.name, ONE.checksum))
    assert run(client, ONE, TWO) == ["0002_two.sql"]
    assert client.commands == ["CREATE TABLE IF NOT EXISTS schema_migrations", "ALTER TABLE a", "0002_two.sql"]


def test_a_file_is_cut_at_semicolons_that_end_a_line() -> None:
    """Comments may have their own."""
    assert ONE.statements() == ["CREATE TABLE a", "-- a comment; with a semicolon\nCREATE VIEW b"]


def test_a_changed_file_is_told_with_the_way_out() -> None:
    """Nobody knows what the tables are like then."""
    with pytest.raises(Fatal, match=r"0001_one\.sql .* restore the file .* new migration"):
        run(FakeClient((ONE.name, "else")), ONE)


def test_a_newer_database_is_left_alone() -> None:
    """An older sink would write into tables that it does not know."""
    with pytest.raises(Fatal, match=r"0002_two\.sql, which this version does not know"):
        run(FakeClient((ONE.name, ONE.checksum), (TWO.name, TWO.checksum)), ONE)


def test_the_database_is_made_when_it_is_missing() -> None:
    """One command less for whoever sets up."""
    client = FakeClient(exists=False)
    run(client)
    assert client.commands[0] == "CREATE DATABASE IF NOT EXISTS `trunkline`"


def test_a_database_that_we_may_not_make_is_asked_for() -> None:
    """The text is the statement to run."""
    client = FakeClient(exists=False)
    client.denied = 497
    with pytest.raises(Fatal, match="CREATE DATABASE trunkline"):
        run(client)


def test_a_server_that_goes_away_meanwhile_is_waited_for() -> None:
    """The statements may be repeated."""
    client = FakeClient()
    client.denied = 210
    with pytest.raises(Retry):
        run(client, ONE)


def test_the_shipped_migrations_are_numbered_without_gaps_and_repeatable() -> None:
    """Two sinks may start at once."""
    shipped = migrations()
    assert [m.name[:4] for m in shipped] == [f"{n:04}" for n in range(1, len(shipped) + 1)]
    for statement in (s for m in shipped for s in m.statements()):
        assert any(word in statement for word in ("IF NOT EXISTS", "OR REPLACE"))
