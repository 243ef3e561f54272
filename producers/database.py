"""SQL databases as a feed reads them, each by its own driver (PEP 249), which is imported when it is asked for.

SQLite comes with Python; PostgreSQL and MySQL are extras. Names of tables and columns are checked and quoted, values
are bound. Every statement is a transaction of its own: a long one would see an old table for ever.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from streams.runtime.errors import Fatal, Retry

CONNECT_TIMEOUT = 5
READ_TIMEOUT = 5
"""Seconds. A process has to end within ten."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the rows are."""

    engine: str
    host: str = ""
    port: int | None = None
    username: str = ""
    name: str
    """Of the database; the file's path with SQLite."""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None


def target(url: str, password: str, tls: ssl.SSLContext | None) -> Target:
    """`sqlite:////var/cdr.db`, `postgresql://user@host:5432/name` or `mysql://…`. Raises Fatal with the fix."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as e:
        raise Fatal("database: no URL; write it as postgresql://user@host:5432/name") from e
    if parts.password is not None:
        raise Fatal("database: a password does not stand in the URL; give it as password_file or in the environment")
    if parts.scheme not in _ENGINES:
        raise Fatal(f"database: {parts.scheme or 'nothing'}:// is not read; there are: {', '.join(_ENGINES)}")
    name = unquote(parts.path[1:])
    if not name:
        raise Fatal("database: the URL names none; write it behind the host: //host/name, or ////path with sqlite")
    return Target(
        engine=parts.scheme,
        host=parts.hostname or "",
        port=port,
        username=unquote(parts.username or ""),
        name=name,
        password=password,
        tls=tls,
    )


def is_name(text: str) -> bool:
    """A table (also schema.table) or column that can be quoted by every engine."""
    return all(_NAME.fullmatch(part) for part in text.split(".", 1))


class Engine:
    """What differs between the databases."""

    driver: str
    extra: str = ""
    """Of our own package: what installs the driver."""
    mark: str
    """The place of a bound value."""
    quote: str = '"'

    def arguments(self, target: Target) -> dict[str, Any]:
        raise NotImplementedError

    def hopeless(self, error: Exception) -> bool:
        """A person has to do something: no such table, no right, wrong password."""
        raise NotImplementedError


class _Sqlite(Engine):
    driver, mark = "sqlite3", "?"
    _HOPELESS = frozenset({1, 3, 23, 26})
    """SQLITE_ERROR (no such table or column), SQLITE_PERM, SQLITE_AUTH, SQLITE_NOTADB."""

    def arguments(self, target: Target) -> dict[str, Any]:
        database = f"file:{quote(target.name)}?mode=ro"
        return {"database": database, "uri": True, "isolation_level": None, "timeout": float(CONNECT_TIMEOUT)}

    def hopeless(self, error: Exception) -> bool:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in self._HOPELESS


class _Postgresql(Engine):
    driver, extra, mark = "pg8000.dbapi", "postgresql", "%s"
    _HOPELESS = ("28", "3D", "3F", "42")
    """Classes of SQLSTATE: authorization, no such database, no such schema, no such table or no right to it."""

    def arguments(self, target: Target) -> dict[str, Any]:
        return {
            "host": target.host or "localhost",
            "port": target.port or 5432,
            "user": target.username,
            "password": target.password or None,
            "database": target.name,
            "ssl_context": target.tls,
            "timeout": READ_TIMEOUT,
            "application_name": "trunkline",
        }

    def hopeless(self, error: Exception) -> bool:
        told = error.args[0] if error.args else None
        return isinstance(told, Mapping) and str(told.get("C", "")).startswith(self._HOPELESS)


class _Mysql(Engine):
    driver, extra, mark, quote = "pymysql", "mysql", "%s", "`"
    _HOPELESS = frozenset({1044, 1045, 1049, 1054, 1142, 1143, 1146, 1698})
    """Access denied (to database, user, table, column), no such database, column, table."""

    def arguments(self, target: Target) -> dict[str, Any]:
        return {
            "host": target.host or "localhost",
            "port": target.port or 3306,
            "user": target.username,
            "password": target.password,
            "database": target.name,
            "ssl": target.tls,
            "charset": "utf8mb4",
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
        }

    def hopeless(self, error: Exception) -> bool:
        return bool(error.args) and error.args[0] in self._HOPELESS


_ENGINES: Mapping[str, Engine] = {"sqlite": _Sqlite(), "postgresql": _Postgresql(), "mysql": _Mysql()}


class Table:
    """One table, read over one connection by its rising column. Raises Retry (closed then) or Fatal."""

    def __init__(self, target: Target, *, table: str, key: str) -> None:
        """Connect. The driver's absence is Fatal, as is a name that cannot be quoted."""
        if not is_name(table) or not is_name(key) or "." in key:
            raise Fatal("table, key: a name has letters, digits and _ only; a table may have its schema before a dot")
        self._engine = engine = _ENGINES[target.engine]
        self._key = f"{engine.quote}{key}{engine.quote}"
        self._table = ".".join(f"{engine.quote}{part}{engine.quote}" for part in table.split("."))
        try:
            self._driver = import_module(engine.driver)
        except ModuleNotFoundError as e:
            raise Fatal(f"{target.engine} needs its driver: pip install 'trunkline[{engine.extra}]'") from e
        try:
            self._connection = self._driver.connect(**engine.arguments(target))
        except (self._driver.Error, OSError) as e:
            raise self._judged(e) from e
        if target.engine == "postgresql":
            self._connection.autocommit = True

    def rows(self, since: Any, limit: int) -> list[dict[str, Any]]:
        """At most `limit` rows in the order of their key, from `since` on, itself included; None: from the first."""
        where = f"{self._key} IS NOT NULL" if since is None else f"{self._key} >= {self._engine.mark}"
        query = f"SELECT * FROM {self._table} WHERE {where} ORDER BY {self._key} LIMIT {limit:d}"  # noqa: S608 - quoted names
        return self._select(query, () if since is None else (since,))

    def newest(self) -> Any:
        """The highest key, None when the table is empty."""
        (row,) = self._select(f"SELECT MAX({self._key}) AS newest FROM {self._table}", ())  # noqa: S608 - quoted names
        return row["newest"]

    def close(self) -> None:
        try:
            self._connection.close()
        except (self._driver.Error, OSError):
            return  # it was broken before

    def _select(self, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        try:
            cursor = self._connection.cursor()
            cursor.execute(query, values)
            columns = [column[0] for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        except (self._driver.Error, OSError) as e:
            self.close()
            raise self._judged(e) from e

    def _judged(self, error: Exception) -> Retry | Fatal:
        """By the engine's own code; the driver's text may hold names of people."""
        if self._engine.hopeless(error):
            return Fatal(
                f"the database refuses ({type(error).__name__}): check database, username and password, that table and "
                "key exist, and that the user may read them"
            )
        return Retry(f"the database does not answer ({type(error).__name__})")
