"""`trunkline doctor`: what is wrong with a running set-up and how to mend it."""

import sys
from dataclasses import asdict

import orjson
import typer
from rich.console import Console

from streams.runtime import doctor as examination
from streams.runtime.cli.common import Config, Json, settings
from streams.runtime.clock import SystemClock
from streams.runtime.logs import printable


def doctor(config: Config = None, json: Json = False) -> None:
    """Look at the PBX (login, rights, event times, clock, number plan), broker, warehouse and CRM; say what to mend.

    Changes nothing. Leaves with 1 when something is wrong.
    """
    console = Console(soft_wrap=True)
    bad = 0
    for finding in examination.examine(settings(config), SystemClock()):
        bad += not finding.ok
        if json:
            sys.stdout.buffer.write(orjson.dumps(asdict(finding), option=orjson.OPT_APPEND_NEWLINE))
            continue
        mark = "[green]ok[/]   " if finding.ok else "[red]mend[/] "
        console.print(f"{mark} {finding.part}: ", end="")
        console.print(printable(finding.what), markup=False, highlight=False)
        if finding.fix:
            console.print(f"      {finding.fix}", markup=False, highlight=False)
    raise typer.Exit(1 if bad else 0)
