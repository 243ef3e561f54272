"""`trunkline agents`: what every agent is doing, and what one did."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streams.runtime import warehouse
from streams.runtime.cli.common import Config, Json, cell, lines, settings, text

app = typer.Typer(help="The agents' states in the warehouse.", no_args_is_help=True)

State = Annotated[str, typer.Option(help="Only agents in this state, such as available, on_call or paused.")]
Queue = Annotated[str, typer.Option(help="Only agents that are logged in to this queue.")]
Most = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Most states to show, newest first.")]

_LIST = """
SELECT * FROM agent_states_latest
WHERE ({state:String} = '' OR state = {state:String}) AND ({queue:String} = '' OR has(queues, {queue:String}))
  AND (tenant, pbx, agent_id, number) IN
      (SELECT tenant, pbx, agent_id, max(number) FROM agent_states GROUP BY tenant, pbx, agent_id)
ORDER BY pbx, agent_id
"""
_HISTORY = """
SELECT * FROM agent_state_intervals WHERE agent_id = {agent:String} ORDER BY since DESC, number DESC LIMIT {most:UInt32}
"""


@app.command("list")
def show(config: Config = None, state: State = "", queue: Queue = "", json: Json = False) -> None:
    """The state of every agent, since when, and in which queues."""
    columns = ("agent_id", "name", "state", "reason", "since", "queue", "call_id", "queues", "pbx")
    _print(config, "agents", columns, json, _LIST, state=state, queue=queue)


@app.command("show")
def one(agent: str, config: Config = None, most: Most = 50, json: Json = False) -> None:
    """What one agent did, newest first."""
    columns = ("since", "state", "seconds", "reason", "queue", "call_id", "estimated")
    _print(config, agent, columns, json, _HISTORY, agent=agent, most=most)


def _print(config: Config, title: str, columns: tuple[str, ...], json: bool, sql: str, **wanted: Any) -> None:
    found = warehouse.rows(warehouse.connect(settings(config).clickhouse), sql, wanted)
    if json:
        lines(found)
        return
    table = Table(title=cell(title))
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in found:
        table.add_row(
            *(cell(", ".join(v) if isinstance(v := row[each], list | tuple) else text(v)) for each in columns)
        )
    Console().print(table)
