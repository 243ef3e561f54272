"""Errors are what the runtime does next, by their code and never by their text."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from sinks.clickhouse.server import RefusedInsert, connect, verdict
from streams.runtime.config import ClickHouse
from streams.runtime.errors import Fatal, Retry

CASES = [
    (None, Retry),
    (159, Retry),  # TIMEOUT_EXCEEDED
    (202, Retry),  # TOO_MANY_SIMULTANEOUS_QUERIES
    (241, Retry),  # MEMORY_LIMIT_EXCEEDED
    (242, Retry),  # TABLE_IS_READ_ONLY
    (243, Retry),  # NOT_ENOUGH_SPACE
    (252, Retry),  # TOO_MANY_PARTS
    (999, Retry),  # KEEPER_EXCEPTION
    (1_000_000, Retry),
    (516, Fatal),  # AUTHENTICATION_FAILED
    (497, Fatal),  # ACCESS_DENIED
    (81, Fatal),  # UNKNOWN_DATABASE
    (60, Fatal),  # UNKNOWN_TABLE
    (164, Fatal),  # READONLY
    (117, RefusedInsert),  # INCORRECT_DATA
    (469, RefusedInsert),  # VIOLATED_CONSTRAINT
    (1001, RefusedInsert),  # STD_EXCEPTION
]


@pytest.mark.parametrize(("code", "kind"), CASES)
def test_what_happens_next_depends_on_the_code(code: int | None, kind: type[Exception]) -> None:
    """What is not known is tried again: nothing is lost by it."""
    assert type(verdict(DatabaseError("Password is incorrect, 0032470123456", code=code))) is kind


def test_no_error_repeats_the_servers_text() -> None:
    """It may quote a row."""
    for code, _ in CASES:
        assert "0032470123456" not in str(verdict(OperationalError("near '0032470123456'", code=code, name="X")))


def test_a_fatal_error_says_what_to_do() -> None:
    """The text ends in the setting to look at."""
    assert "clickhouse.password" in str(verdict(DatabaseError("", code=516, name="AUTHENTICATION_FAILED")))


@pytest.mark.enable_socket
def test_a_server_that_is_away_is_waited_for() -> None:
    """Sinks may start before it."""
    with pytest.raises(Retry, match="does not answer"):
        connect(ClickHouse(url="http://127.0.0.1:9"))
