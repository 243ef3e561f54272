"""The command line: one file per command. `main` turns errors into sentences and exit codes."""

import sys
from importlib import import_module

import typer
from confluent_kafka import KafkaException
from rich.console import Console

from streams.runtime import kafka
from streams.runtime.cli import agents, calls, dead, demo, doctor, init, run, schemas, topics, up
from streams.runtime.errors import Fatal, Reject, Retry
from streams.runtime.logs import printable

app = typer.Typer(
    name="trunkline",
    help="The call-data backbone of a contact centre.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init.init)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("doctor")(doctor.doctor)
app.add_typer(run.app, name="run")
app.add_typer(topics.app, name="topics")
app.add_typer(schemas.app, name="schemas")
app.add_typer(calls.app, name="calls")
app.add_typer(agents.app, name="agents")
app.add_typer(dead.app, name="dead")
# The simulator is a producer: the layer above names it, so it is found at run time.
app.add_typer(import_module("producers.simulator.command").app, name="simulate")


def main() -> None:
    try:
        app()
    except (Fatal, Reject, Retry, KafkaException, OSError) as e:
        console = Console(stderr=True, soft_wrap=True)
        console.print(printable(_sentence(e)), style="red", markup=False, highlight=False)
        sys.exit(1)


def _sentence(error: Exception) -> str:
    if isinstance(error, KafkaException):
        return f"{kafka.mapped(error, 'asking the cluster')}; `trunkline doctor` looks at the broker"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
