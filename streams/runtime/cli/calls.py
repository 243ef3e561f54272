"""`trunkline calls`: the calls in the warehouse."""

import csv
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from streams.runtime import warehouse
from streams.runtime.cli import explain
from streams.runtime.cli.common import Config, Json, cell, lines, settings, text
from streams.runtime.errors import Reject

app = typer.Typer(help="The calls in the warehouse.", no_args_is_help=True)
app.command("explain")(explain.command)

Since = Annotated[str, typer.Option(help="Only calls that began at or after this time, ISO 8601; no offset means UTC.")]
Number = Annotated[str, typer.Option(help="Only calls with this customer number, E.164.")]
Agent = Annotated[str, typer.Option(help="Only calls that this agent talked in last.")]
Outcome = Annotated[str, typer.Option(help="Only calls that came out so, such as answered or abandoned.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="Most calls to show, newest first.")]

_LIST = """
SELECT * FROM calls_latest
WHERE started_at >= {since:DateTime64(6, 'UTC')}
  AND ({number:String} = '' OR customer_number = {number:String})
  AND ({agent:String} = '' OR agent = {agent:String})
  AND ({outcome:String} = '' OR outcome = {outcome:String})
ORDER BY started_at DESC, call_id DESC LIMIT {most:UInt32}
"""
_COLUMNS = ("started_at", "direction", "customer_number", "contact_name", "did", "queue", "agent", "outcome", "talk_s")


@app.command("list")
def show(
    config: Config = None,
    since: Since = "",
    number: Number = "",
    agent: Agent = "",
    outcome: Outcome = "",
    most: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Most calls to show, newest first.")] = 20,
    json: Json = False,
) -> None:
    """The latest calls, newest first."""
    found = _find(config, since, most, number=number, agent=agent, outcome=outcome)
    if json:
        lines(found)
        return
    table = Table(title="calls")
    table.add_column("call id", no_wrap=True)  # whole at any width: `calls show` asks for it
    for column in _COLUMNS:
        table.add_column(column.replace("_", " "))
    for call in found:
        table.add_row(*(cell(text(call[column])) for column in ("call_id", *_COLUMNS)))
    Console().print(table)


@app.command("show")
def one(call_id: str, config: Config = None, json: Json = False) -> None:
    """One call, whole."""
    loaded = settings(config)
    client = warehouse.connect(loaded.clickhouse)
    sql = "SELECT * FROM calls_latest WHERE call_id = {call:String}"
    found = list(warehouse.rows(client, sql, {"call": call_id}))
    if not found:
        raise Reject(f"no call {call_id} in the warehouse; `trunkline calls list` shows the ids")
    if json:
        lines(iter(found))
        return
    table = Table(title=cell(call_id), show_header=False)
    for key, value in found[0].items():
        if value not in (None, "", [], {}):
            table.add_row(key, cell(text(value)))
    Console().print(table)


@app.command("export")
def export(
    config: Config = None,
    since: Since = "",
    number: Number = "",
    agent: Agent = "",
    outcome: Outcome = "",
    most: Limit = 1_000_000,
    json: Json = False,
) -> None:
    """The calls as CSV (or JSON lines) on the standard output."""
    found = _find(config, since, most, number=number, agent=agent, outcome=outcome)
    if json:
        lines(found)
        return
    writer = csv.writer(sys.stdout)
    for index, call in enumerate(found):
        if index == 0:
            writer.writerow(call)
        writer.writerow(_cell(value) for value in call.values())


def _find(config: Config, since: str, most: int, **wanted: str) -> Iterator[dict[str, Any]]:
    loaded = settings(config)
    client = warehouse.connect(loaded.clickhouse)
    return warehouse.rows(client, _LIST, {"since": _time(since), "most": most, **wanted})


def _time(text: str) -> datetime:
    if not text:
        return datetime(2000, 1, 1, tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Reject(f"--since {text}: not a time; write it as 2026-01-31T08:00:00+01:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# What spreadsheets begin a formula with, also in its wide forms; a number with its sign is no formula.
_FORMULA = re.compile(r"\s*([=@\uff1d\uff20\uff0b\uff0d\t\r\n]|[+-](?![\d.]+$))")


def _cell(value: Any) -> str:
    """A CSV cell that no spreadsheet takes for a formula: caller names are text from outside."""
    plain = orjson.dumps(value, default=str).decode() if isinstance(value, list | tuple | dict) else text(value)
    return "'" + plain if _FORMULA.match(plain) else plain
