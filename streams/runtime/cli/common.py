"""What every command shares: the configuration option and how settings are loaded."""

import signal
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from streams.embedded.addresses import resolved
from streams.runtime import config, logs
from streams.runtime.config import Settings
from streams.runtime.logs import printable

DEFAULT_CONFIG = Path("trunkline.toml")

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="TRUNKLINE_CONFIG",
        help="Settings in TOML; without it trunkline.toml of this folder, or the defaults.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON lines for scripts instead of a table.")]


def settings(file: Path | None) -> Settings:
    """The settings a command works with, embedded addresses filled in, logging set up."""
    if file is None and DEFAULT_CONFIG.exists():
        file = DEFAULT_CONFIG
    loaded = config.load(file)
    logs.configure(loaded.logs.level, loaded.logs.format)
    return resolved(loaded)


def cell(outside: str) -> Text:
    """Text from outside for a table: neither markup nor control characters of the terminal."""
    return Text(printable(outside))


def lines(found: Iterator[dict[str, Any]]) -> None:
    """Rows for scripts: a JSON object a line on the standard output."""
    for row in found:
        sys.stdout.buffer.write(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE))


def text(value: Any) -> str:
    """A value of the warehouse for people; nothing where nothing is known."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def interruptible() -> None:
    """Until `stop_on_signals`: SIGTERM ends the command where it is, as Ctrl-C does; what was begun is cleaned up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set, from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
