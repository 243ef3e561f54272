"""`trunkline run`: one role in this process, as a container or the supervisor starts it."""

from importlib import import_module

import typer

from streams.runtime import health
from streams.runtime.cli.common import Config, settings, stop_on_signals
from streams.runtime.clock import SystemClock

app = typer.Typer(help="Run one role in this process until SIGTERM.", no_args_is_help=True)


@app.command("producer")
def producer(name: str, config: Config = None) -> None:
    """Read a PBX, or a CRM's contacts, by its NAME in the configuration."""
    _run("producers.run", name, config)


@app.command("stream")
def stream(name: str, config: Config = None) -> None:
    """Run the stream NAME: enrich, fold or agents."""
    _run("streams.run", name, config)


@app.command("sink")
def sink(name: str, config: Config = None) -> None:
    """Run the sink NAME: clickhouse, or a CRM by its name in the configuration."""
    _run("sinks.run", name, config)


def _run(package: str, name: str, config: Config) -> None:
    """The layers above are loaded by name: this one must not know them."""
    loaded = settings(config)
    stop = stop_on_signals()
    server = health.serve(loaded.metrics.port, lambda: not stop.is_set()) if loaded.metrics.port else None
    try:
        import_module(package).run(name, loaded, SystemClock(), stop)
    finally:
        if server:
            server.shutdown()
            server.server_close()
