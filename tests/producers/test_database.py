"""Reading a database: what is refused before anything is opened, and how the drivers' errors are judged."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from producers import database
from producers.database import Table, target
from streams.runtime.errors import Fatal, Retry


def test_urls_are_read() -> None:
    """Host, port, user and name, each where it belongs; the password comes from elsewhere and shows nowhere."""
    found = target("postgresql://reader@db.example:6432/asteriskcdr%2Fdb", "hush", None)
    assert (found.engine, found.host, found.port, found.username) == ("postgresql", "db.example", 6432, "reader")
    assert (found.name, found.password, "hush" in repr(found)) == ("asteriskcdr/db", "hush", False)
    assert target("sqlite:////var/master.db", "", None).name == "/var/master.db"


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("postgresql://u:hush@db/x", "password does not stand"),
        ("oracle://u@db/x", "is not read"),
        ("db", "is not read"),
        ("mysql://db", "names none"),
        ("mysql://db:port/x", "no URL"),
        ("mysql://[::1/x", "no URL"),
    ],
)
def test_urls_that_cannot_be_used_say_why(url: str, fix: str) -> None:
    """Before anything is opened, and without repeating a password."""
    with pytest.raises(Fatal, match=fix) as caught:
        target(url, "", None)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["cel", "public.cel", "a_1", "_x"])
def test_names_that_can_be_quoted(name: str) -> None:
    """Letters, digits and underscores, perhaps behind a schema."""
    assert database.is_name(name)


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a`b", "a;b", "1a", "a.b.c", "a.", "é", "x" * 64, "a\n"])
def test_names_that_are_no_names(name: str) -> None:
    """Nothing that could end a quotation reaches a statement."""
    assert not database.is_name(name)


def test_a_name_is_checked_where_the_statement_is_made(tmp_path: Path) -> None:
    """Whoever gives it."""
    with pytest.raises(Fatal, match="letters, digits"):
        Table(target(f"sqlite:///{tmp_path}/a.db", "", None), table='cel"; DROP TABLE cel; --', key="id")


def test_sqlite_errors_are_judged_by_their_code(tmp_path: Path) -> None:
    """A file that is not there yet may come; a table that is not there needs a person."""
    file = tmp_path / "a.db"
    with pytest.raises(Retry):
        Table(target(f"sqlite:///{file}", "", None), table="cel", key="id")
    file.write_bytes(b"")
    with pytest.raises(Fatal, match="that table and key exist"):
        Table(target(f"sqlite:///{file}", "", None), table="cel", key="id").newest()
    file.write_bytes(b"no database at all, but a text that is long enough")
    with pytest.raises(Fatal):
        Table(target(f"sqlite:///{file}", "", None), table="cel", key="id").newest()


class DriverError(Exception):
    """As PEP 249 wants one."""


class Broken:
    """A connection whose every statement fails in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = False

    def cursor(self) -> Any:
        raise self.error

    def close(self) -> None:
        self.closed = True


def driver(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, *, at_once: bool) -> dict[str, Any]:
    """A driver in the place of the real one, and what it was asked to connect to."""
    asked: dict[str, Any] = {}

    def connect(**given: Any) -> Broken:
        asked.update(given)
        if at_once:
            raise error
        return Broken(error)

    real = importlib.import_module

    def load(wanted: str) -> Any:
        return SimpleNamespace(connect=connect, Error=DriverError) if wanted == name else real(wanted)

    monkeypatch.setattr(database, "import_module", load)
    return asked


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("url", "module", "error", "wanted"),
    [
        ("postgresql://u@db/x", "pg8000.dbapi", DriverError({"S": "FATAL", "C": "28P01"}), Fatal),
        ("postgresql://u@db/x", "pg8000.dbapi", DriverError({"S": "ERROR", "C": "42P01"}), Fatal),
        ("postgresql://u@db/x", "pg8000.dbapi", DriverError({"S": "FATAL", "C": "57P01"}), Retry),
        ("postgresql://u@db/x", "pg8000.dbapi", DriverError("network error"), Retry),
        ("postgresql://u@db/x", "pg8000.dbapi", DriverError(), Retry),
        ("postgresql://u@db/x", "pg8000.dbapi", ConnectionResetError(), Retry),
        ("mysql://u@db/x", "pymysql", DriverError(1045, "denied"), Fatal),
        ("mysql://u@db/x", "pymysql", DriverError(1146, "no table"), Fatal),
        ("mysql://u@db/x", "pymysql", DriverError(2003, "away"), Retry),
        ("mysql://u@db/x", "pymysql", DriverError(), Retry),
        ("mysql://u@db/x", "pymysql", TimeoutError(), Retry),
    ],
)
def test_other_errors_are_judged_by_their_code(
    monkeypatch: pytest.MonkeyPatch, url: str, module: str, error: Exception, wanted: type[Exception], *, at_once: bool
) -> None:
    """SQLSTATE and MySQL's numbers; what is not known is tried again."""
    driver(monkeypatch, module, error, at_once=at_once)
    with pytest.raises(wanted) as caught:
        Table(target(url, "hush", None), table="cel", key="id").newest()
    assert "hush" not in str(caught.value)


def test_the_password_goes_to_the_driver_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """And every wait has an end."""
    asked = driver(monkeypatch, "pymysql", DriverError(), at_once=False)
    Table(target("mysql://u@db/x", "hush", None), table="cel", key="id")
    assert (asked["password"], asked["connect_timeout"], asked["read_timeout"]) == ("hush", 5, 5)


def test_a_missing_driver_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra of our own package."""

    def load(wanted: str) -> ModuleType:
        raise ModuleNotFoundError(wanted)

    monkeypatch.setattr(database, "import_module", load)
    with pytest.raises(Fatal, match=r"trunkline\[postgresql\]"):
        Table(target("postgresql://u@db/x", "", None), table="cel", key="id")
