"""`trunkline up`: everything on one machine, in one command, supervised."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from streams.embedded import roles
from streams.embedded.addresses import embedded_crms, resolved
from streams.embedded.jars import default_cache, kafka_jars
from streams.embedded.supervisor import Supervisor
from streams.runtime import config as configuration
from streams.runtime import connectors, kafka, logs, topics
from streams.runtime.cli.common import DEFAULT_CONFIG, Config, interruptible, stop_on_signals
from streams.runtime.clock import SystemClock
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal


def up(config: Config = None) -> None:
    """Run the whole set-up on this machine until Ctrl-C: broker, engine, sandbox CRM, adapters, streams, sinks.

    What the configuration gives an address (Kafka, ClickHouse, a CRM) is used; what it does not is started, embedded.
    """
    console = Console(stderr=True)
    interruptible()
    with running(config, console) as (settings, supervisor):
        stop = stop_on_signals()
        supervisor.start(roles.adapters(settings, config))
        if not settings.pbx:
            console.print("no PBX is configured: `trunkline init` adds yours")
        console.print(f"up: Kafka {settings.kafka.bootstrap}, ClickHouse {settings.clickhouse.url}; Ctrl-C stops")
        supervisor.watch(stop)


@contextmanager
def running(
    config: Path | None, console: Console, *, longest_wait: float = 30.0
) -> Iterator[tuple[Settings, Supervisor]]:
    """The set-up of a configuration without its PBX adapters, started; stopped at the end, whatever happens."""
    if config is None and DEFAULT_CONFIG.exists():
        config = DEFAULT_CONFIG
    plain = configuration.load(config)
    logs.configure(plain.logs.level, plain.logs.format)
    settings = resolved(plain)
    if wrong := [told for _, told in connectors.faults(settings)]:
        raise Fatal("\n".join(wrong))
    if not plain.kafka.bootstrap:
        kafka_jars(default_cache(), console.print)
    supervisor = Supervisor(SystemClock(), longest_wait=longest_wait)
    try:
        with console.status("starting Kafka, ClickHouse and the CRM"):
            supervisor.start(
                roles.embedded(settings, kafka=not plain.kafka.bootstrap, clickhouse=not plain.clickhouse.url)
            )
            supervisor.start(roles.sandboxes(settings, embedded_crms(plain)))
        for line in topics.apply(kafka.admin(settings.kafka), settings.kafka):
            console.print(line, highlight=False)
        supervisor.start(roles.components(settings, config))
        yield settings, supervisor
    finally:
        supervisor.stop()
