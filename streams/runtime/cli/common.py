"""What every command shares: the configuration option and how settings are loaded."""

import signal
import threading
from pathlib import Path
from typing import Annotated

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


def cell(text: str) -> Text:
    """Text from outside for a table: neither markup nor control characters of the terminal."""
    return Text(printable(text))


def interruptible() -> None:
    """Until `stop_on_signals`: SIGTERM ends the command where it is, as Ctrl-C does; what was begun is cleaned up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set, from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
