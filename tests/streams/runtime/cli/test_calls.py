"""`trunkline calls` on the real engine: filters, one call whole, and exports that no spreadsheet takes for formulas."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from sinks.clickhouse.migrate import migrate, migrations
from streams.runtime import warehouse
from streams.runtime.cli import app, calls
from streams.runtime.config import ClickHouse
from streams.runtime.errors import Reject
from tests.support.services import ClickHouseServer

EVIL = '=HYPERLINK("http://x","y")'
CALLS = [
    ("main:1", "2026-01-01T08:00:00", "+32470000001", "101", "answered", "Ann"),
    ("main:2", "2026-01-01T09:00:00", "+32470000002", "102", "abandoned", EVIL),
    ("main:3", "2026-01-01T10:00:00", "+32470000001", "102", "answered", "[bold]Bo[/nonsense]\x1b[2J"),
]
Run = Callable[..., Result]


@pytest.fixture
def run(clickhouse: ClickHouseServer, database: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on a warehouse with three calls."""
    password = SecretStr(clickhouse.password)
    settings = ClickHouse(url=clickhouse.url, database=database, user=clickhouse.user, password=password)
    client = warehouse.connect(settings)
    list(migrate(client, migrations()))
    names = ["call_id", "rev", "started_at", "customer_number", "agent", "outcome", "contact_name", "_offset", "_topic"]
    rows = [
        [i, 1, datetime.fromisoformat(at).replace(tzinfo=UTC), number, agent, outcome, name, n, "calls"]
        for n, (i, at, number, agent, outcome, name) in enumerate(CALLS)
    ]
    client.insert("calls", rows, names)
    for key, value in (("URL", clickhouse.url), ("DATABASE", database), ("USER", clickhouse.user)):
        monkeypatch.setenv(f"TRUNKLINE_CLICKHOUSE__{key}", value)
    monkeypatch.setenv("TRUNKLINE_CLICKHOUSE__PASSWORD", clickhouse.password)
    monkeypatch.setenv("TRUNKLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "300")
    return lambda *arguments: CliRunner().invoke(app, ["calls", *arguments])


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, (result.exception, result.output)
    return [json.loads(line)["call_id"] for line in result.stdout.splitlines()]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ["main:3", "main:2", "main:1"]),
        (("--limit", "1"), ["main:3"]),
        (("--number", "+32470000001"), ["main:3", "main:1"]),
        (("--agent", "102", "--outcome", "answered"), ["main:3"]),
        (("--since", "2026-01-01T09:00:00"), ["main:3", "main:2"]),
        (("--since", "2026-01-01T10:30:00+01:00"), ["main:3"]),
        (("--number", "' OR 1=1 --"), []),
    ],
)
def test_the_list_is_newest_first_and_filtered(run: Run, options: tuple[str, ...], found: list[str]) -> None:
    """As a table for a person, as JSON lines for a script."""
    assert ids(run("list", "--json", *options)) == found
    table = run("list", *options).stdout
    assert [name for name in ("main:3", "main:2", "main:1") if name in table] == found


@pytest.mark.integration
def test_names_from_outside_do_not_steer_the_terminal(run: Run) -> None:
    """They are shown as they are."""
    for shown in (run("list").stdout, run("show", "main:3").stdout):
        assert "[bold]Bo[/nonsense]" in shown
        assert "\x1b[2J" not in shown


@pytest.mark.integration
def test_one_call_is_shown_whole_or_said_not_to_be_there(run: Run) -> None:
    """The id comes from the list."""
    assert json.loads(run("show", "main:2", "--json").stdout)["contact_name"] == EVIL
    assert "+32470000002" in run("show", "main:2").stdout
    missing = run("show", "main:9")
    assert isinstance(missing.exception, Reject)
    assert "trunkline calls list" in str(missing.exception)


@pytest.mark.integration
def test_the_export_has_every_call_and_no_formula(run: Run) -> None:
    """A caller's name is text in a spreadsheet too; a number keeps its sign."""
    rows = list(csv.DictReader(io.StringIO(run("export").stdout)))
    assert [row["call_id"] for row in rows] == ["main:3", "main:2", "main:1"]
    assert rows[1]["contact_name"] == "'" + EVIL
    assert rows[1]["customer_number"] == "+32470000002"
    assert ids(run("export", "--json", "--since", "2026-01-01T10:00:00")) == ["main:3"]


@pytest.mark.parametrize("text", ["=1", "@x", "+A1", "-1+2", " =1", "\t=1", "\r=1", "\n=1", "\uff1d1", "+1;cmd"])
def test_what_a_spreadsheet_would_run_is_quoted(text: str) -> None:
    """Also behind blanks and in wide letters."""
    assert calls._cell(text) == "'" + text


@pytest.mark.parametrize("text", ["+32470123456", "-3.5", "Ann", "a=b", "", "101"])
def test_what_is_no_formula_stays(text: str) -> None:
    """Numbers are compared by other programs."""
    assert calls._cell(text) == text


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "08:00"])
def test_a_time_that_is_none_is_told(since: str) -> None:
    """With an example."""
    with pytest.raises(Reject, match="not a time; write it as 2026"):
        calls._time(since)
