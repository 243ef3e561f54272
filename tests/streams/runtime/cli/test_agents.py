"""`trunkline agents` on the real engine: who is in which state now, and what one agent did."""

import json
from collections.abc import Callable

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from schemas.codec import encode
from sinks.clickhouse.sink import open_writer
from streams.runtime.cli import app
from streams.runtime.config import ClickHouse, Settings
from tests.sinks.clickhouse.fakes import batch_of
from tests.streams.processors.presence.shift import Shift, feed, task
from tests.support.services import ClickHouseServer

pytestmark = pytest.mark.integration
Run = Callable[..., Result]


@pytest.fixture
def run(clickhouse: ClickHouseServer, database: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on a warehouse with a shift of two agents."""
    shift = Shift()
    shift.login("201")
    shift.login("202", "sales")
    shift.queue_call("201")
    shift.pause("201", reason="[bold]tea[/nonsense]\x1b[2J")
    password = SecretStr(clickhouse.password)
    settings = ClickHouse(url=clickhouse.url, database=database, user=clickhouse.user, password=password)
    writer = open_writer(Settings(clickhouse=settings))
    writer.write(batch_of("agent-states", [encode(one) for one in feed(task(), shift.events)]))
    writer.close()
    for key, value in (("URL", clickhouse.url), ("DATABASE", database), ("USER", clickhouse.user)):
        monkeypatch.setenv(f"TRUNKLINE_CLICKHOUSE__{key}", value)
    monkeypatch.setenv("TRUNKLINE_CLICKHOUSE__PASSWORD", clickhouse.password)
    monkeypatch.setenv("TRUNKLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "300")
    return lambda *arguments: CliRunner().invoke(app, ["agents", *arguments])


def read(result: Result, *keys: str) -> list[tuple[object, ...]]:
    assert result.exit_code == 0, (result.exception, result.output)
    return [tuple(json.loads(line)[key] for key in keys) for line in result.stdout.splitlines()]


def test_each_agent_is_listed_once_in_the_state_of_now(run: Run) -> None:
    """Filters are by state and by queue."""
    assert read(run("list", "--json"), "agent_id", "state", "number") == [
        ("201", "paused", 4 + 1),
        ("202", "available", 1),
    ]
    assert read(run("list", "--json", "--state", "available"), "agent_id") == [("202",)]
    assert read(run("list", "--json", "--queue", "support"), "agent_id") == [("201",)]
    shown = run("list")
    assert "[bold]tea[/nonsense]" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_what_one_agent_did(run: Run) -> None:
    """Newest first, each state with how long it lasted."""
    states = read(run("show", "201", "--json"), "state", "seconds")
    assert [state for state, _ in states] == ["paused", "available", "on_call", "ringing", "available"]
    assert states[0][1] is None
    assert states[2][1] == pytest.approx(30, abs=0.1)
    assert run("show", "201").exit_code == 0
