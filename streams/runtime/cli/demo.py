"""`trunkline demo`: a call centre for about a minute, end to end, and whether every call arrived."""

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from streams.embedded import roles
from streams.runtime.cli.common import Json, interruptible, stop_on_signals
from streams.runtime.cli.up import running
from streams.runtime.clock import SystemClock
from streams.runtime.demo import centre as call_centre
from streams.runtime.demo import report
from streams.runtime.demo.latency import RingWatch
from streams.runtime.demo.progress import Progress
from streams.runtime.demo.result import collect


def demo(
    calls: Annotated[int, typer.Option(min=1, help="How many calls the centre has.")] = 100,
    rate: Annotated[float, typer.Option(min=0.1, max=200, help="Calls a second that arrive, on average.")] = 2.5,
    seed: Annotated[int, typer.Option(help="The same seed plays the same calls.")] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Stay up after the last call, to look around; Ctrl-C ends.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the demo lives; made anew each time.")] = Path("var/demo"),
    json: Json = False,
) -> None:
    """Start everything on this machine, play a call centre through it, and compare what arrived with what happened.

    Leaves with 0 when every call is once in the warehouse and once in the CRM's journal, as it happened; with 1 and
    the ids of the calls that differ otherwise.
    """
    console = Console(stderr=True)
    interruptible()
    clock = SystemClock()
    centre = call_centre.prepare(folder, call_centre.Plan(calls=calls, rate=rate, seed=seed))
    with call_centre.simulated(centre), running(centre.config, console) as (settings, supervisor):
        known = call_centre.load_contacts(centre, settings)
        call_centre.await_contacts(settings, known, clock, supervisor.tend)
        stop = stop_on_signals()
        progress = Progress(centre, settings, clock, console)
        with RingWatch(settings.kafka, clock) as watch:
            supervisor.start(roles.adapters(settings, centre.config))
            progress.follow(watch, supervisor.tend, stop)
        verdict, delays, answers = collect(centre, settings, watch.delays)
        if json:
            sys.stdout.buffer.write(orjson.dumps(report.as_json(verdict, delays, answers), default=str))
        else:
            report.show(Console(), verdict, delays, answers)
        if keep and not stop.is_set():
            _stay(console, settings.clickhouse.url, str((settings.crm["crm"].model_extra or {})["url"]), centre.config)
            supervisor.watch(stop)
    raise typer.Exit(1 if verdict.differing else 0)


def _stay(console: Console, clickhouse: str, crm: str, config: Path) -> None:
    console.print(
        f"staying up. The CRM: {crm}  ClickHouse: {clickhouse}\ntrunkline calls list --config {config}\nCtrl-C ends.",
        highlight=False,
        markup=False,
    )
