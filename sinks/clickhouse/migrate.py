"""The warehouse's tables: numbered SQL files, each applied once, none changed afterwards.

A file holds statements that may be repeated (`IF NOT EXISTS`, `OR REPLACE`), each ended by a semicolon at the end of a
line: two sinks may start at once, and one may die between a statement and the record of it.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from sinks.clickhouse.server import ACCESS_DENIED, verdict
from streams.runtime.errors import Fatal

_FILE = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    name String COMMENT 'File name of the migration.',
    checksum String COMMENT 'SHA-256 of the file when it was applied.',
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When.'
)
ENGINE = ReplacingMergeTree ORDER BY (name, checksum) COMMENT 'Which migrations this database has seen.'
"""
_APPLIED = "INSERT INTO schema_migrations (name, checksum) SELECT {name:String}, {checksum:String}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> list[str]:
        return [part.strip() for part in re.split(r";\s*$", self.text, flags=re.MULTILINE) if part.strip()]


def migrations() -> list[Migration]:
    """The migrations that ship with this version, in order."""
    folder = files("sinks.clickhouse").joinpath("migrations")
    found = sorted(f.name for f in folder.iterdir() if _FILE.fullmatch(f.name))
    return [Migration(name=name, text=folder.joinpath(name).read_text(encoding="utf-8")) for name in found]


def migrate(client: Client, known: list[Migration]) -> Iterator[str]:
    """Make the client's database as this version needs it; yields the name of each migration that was applied.

    Raises Fatal when an applied file was changed since, when the database has migrations that this version does not
    know, or when the user lacks the rights; Retry when the server is away.
    """
    try:
        _make_database(client)
        client.command(_RECORD)
        applied: dict[str, str] = dict(client.query("SELECT name, checksum FROM schema_migrations").result_rows)  # type: ignore[arg-type]
        _check(applied, known, client.database or "")
        for migration in known:
            if migration.name not in applied:
                for statement in migration.statements():
                    client.command(statement)
                client.command(_APPLIED, {"name": migration.name, "checksum": migration.checksum})
                yield migration.name
    except Error as e:
        raise verdict(e) from None


def _make_database(client: Client) -> None:
    """Ask first: a user without the right to create a database is fine where it exists."""
    there = "SELECT count() FROM system.databases WHERE name = {name:String}"
    if client.query(there, {"name": client.database}, settings={"database": "system"}).result_rows[0][0]:
        return
    try:
        client.command(f"CREATE DATABASE IF NOT EXISTS `{client.database}`", use_database=False)
    except Error as e:
        if e.code == ACCESS_DENIED:
            raise Fatal(
                f"database {client.database} does not exist and the user may not make it: "
                f"CREATE DATABASE {client.database}, or correct clickhouse.database"
            ) from None
        raise


def _check(applied: dict[str, str], known: list[Migration], database: str) -> None:
    ours = {m.name: m.checksum for m in known}
    for name, checksum in sorted(applied.items()):
        if name not in ours:
            raise Fatal(
                f"database {database} has migration {name}, which this version does not know: "
                "it was made by a newer version; run that one, or use another database"
            )
        if ours[name] != checksum:
            raise Fatal(
                f"migration {name} is not the file that database {database} was made with: "
                "restore the file and put the change into a new migration with the next number"
            )
