"""`trunkline calls explain`: the life of one call, event by event, and what was concluded from each."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from schemas.events import EnrichedCallEvent
from streams.processors.explain import Life, explain, natives
from streams.processors.explaining.words import clock, day, story, sums, title
from streams.runtime import warehouse
from streams.runtime.cli import lanes, timeline
from streams.runtime.cli.call_events import Names, as_json, of_file, of_warehouse
from streams.runtime.cli.call_log import of_log
from streams.runtime.cli.common import Config, Json, settings
from streams.runtime.config import Settings
from streams.runtime.errors import Reject
from streams.runtime.logs import printable

MICRO = 1_000_000


def command(
    call: Annotated[str, typer.Argument(help="Id of the call, or of a leg or native call in it.")],
    config: Config = None,
    events: Annotated[
        Path | None, typer.Option(help="Take the events from this file of JSON lines instead, in their order.")
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Read the topics instead of the warehouse; slow when they are long.")
    ] = False,
    plain: Annotated[bool, typer.Option("--ascii", help="Draw with plain characters only.")] = False,
    json: Json = False,
) -> None:
    """The life of one call: who talked to whom when, each event, and what was concluded from it.

    The rules are applied anew, as they are in this version. `--json` prints what `--events` reads. Times are UTC.
    """
    loaded = settings(config)
    life = explain(call, _events(loaded, call, events, log=log), loaded.streams.fold)
    if json:
        for line in _lines(life):
            sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        return
    console = Console(highlight=False)
    simple = plain or not console.is_terminal or not console.encoding.lower().startswith("utf")
    for text in page(life, console.width, lanes.ASCII if simple else lanes.LINES):
        console.print(text, soft_wrap=True)


def _events(loaded: Settings, call: str, file: Path | None, *, log: bool) -> Iterator[EnrichedCallEvent]:
    late_us = round(loaded.streams.fold.amend_seconds * MICRO)
    if file is not None and log:
        raise Reject("--events and --log: the events can come from one place only")
    if log:
        yield from of_log(loaded.kafka, call, late_us)
    elif file is None:
        yield from of_warehouse(warehouse.connect(loaded.clickhouse), call, late_us)
    else:
        known = natives(call, of_file(file), loaded.streams.fold)
        if not known:
            raise Reject(f"no call {call} in {file}; its call ids are under `call_id`")
        names = Names(known, pbx=call.partition(":")[0])
        yield from (event for event in of_file(file) if names.take(event))


def page(life: Life, width: int, signs: lanes.Signs) -> Iterator[Text]:
    """All that is printed: the story in words, the lanes along the time, and every event."""
    record = life.record
    yield Text(printable(f"{title(record)} (revision {record['rev']})"), style="bold")
    yield Text(f"{day(record['started_at'])}, times in UTC", style="dim")
    yield Text()
    for at, line in story(record):
        yield Text(printable(f"{clock(at)}  {line}"))
    yield Text(sums(record))
    if record["quality"]:
        yield Text(f"to know before trusting it: {', '.join(record['quality'])}", style="yellow")
    yield Text()
    yield from timeline.picture(life, width, signs)
    yield Text()
    yield from timeline.rows(life, width, signs)


def _lines(life: Life) -> Iterator[dict[str, Any]]:
    """One object a step in the order of arrival, and the record at the end."""
    for step in sorted(life.steps, key=lambda step: step.number):
        yield {
            "at": step.at,
            "event": None if step.event is None else as_json(step.event),
            "again": step.again,
            "late_s": step.late_s,
            "concluded": list(step.concluded),
            "revisions": [
                {key: row[key] for key in ("call_id", "rev", "state", "merged_into")} for row in step.revisions
            ],
        }
    yield {"event": None, "call": life.record}
