"""The roles of a set-up on one machine: embedded parts first, then sinks, streams and producers."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from streams.embedded.process import SUPERVISED, Child, free_port, listens
from streams.embedded.supervisor import Role
from streams.runtime.config import Settings


def embedded(settings: Settings, *, kafka: bool, clickhouse: bool) -> Iterator[Role]:
    """The parts that other set-ups have as servers of their own: those that the configuration gives no address."""
    data = settings.data_dir.absolute()
    if kafka:
        heap = f"{settings.kafka.heap_mb}m"
        yield _part("kafka", "streams.embedded.kafka", data / "kafka", settings.kafka.port, TRUNKLINE_KAFKA_HEAP=heap)
    if clickhouse:
        secret, port = str(data / "secrets" / "clickhouse"), settings.clickhouse.port
        where = data / "clickhouse"
        yield _part("clickhouse", "streams.embedded.clickhouse", where, port, TRUNKLINE_CLICKHOUSE_PASSWORD_FILE=secret)


def sandboxes(settings: Settings, names: list[str]) -> Iterator[Role]:
    """The sandbox CRMs: small servers that ship with the project."""
    data = settings.data_dir.absolute()
    for name in names:
        port = int(str((settings.crm[name].model_extra or {})["url"]).rsplit(":", 1)[1])
        secret = str(data / "secrets" / f"crm.{name}")
        where = data / f"crm-{name}"
        yield _part(f"crm.{name}", "streams.embedded.crm", where, port, TRUNKLINE_SANDBOX_TOKEN_FILE=secret)


def components(settings: Settings, config: Path | None) -> Iterator[Role]:
    """Sinks, streams and contact feeds, readers before writers so that latency is low from the start."""
    for name in ["clickhouse", *settings.crm]:
        yield _component(settings, config, "sink", name)
    streams = settings.streams
    workers = {"fold": streams.fold.workers, "agents": streams.agents.workers, "enrich": streams.enrich.workers}
    for stream, count in workers.items():
        for worker in range(count):
            yield _component(settings, config, "stream", stream, worker)
    for name in settings.crm:
        yield _component(settings, config, "producer", name)


def adapters(settings: Settings, config: Path | None) -> Iterator[Role]:
    """The adapter of every PBX: what they read must find its way, so they come last."""
    for name in settings.pbx:
        yield _component(settings, config, "producer", name)


def _part(name: str, module: str, data: Path, port: int, **environ: str) -> Role:
    command = [sys.executable, "-m", module, f"--data-dir={data}", f"--port={port}"]
    log = data.parent / "logs" / f"{name}.log"
    return Role(name=name, child=Child(command, log=log, answers=lambda: listens(port), environ=environ, port=port))


def _component(settings: Settings, config: Path | None, kind: str, name: str, worker: int = 0) -> Role:
    title = f"{kind}.{name}" + (f".{worker}" if worker else "")
    command = [sys.executable, "-m", "streams.runtime.cli", "run", kind, name]
    if config:
        command.append(f"--config={config.absolute()}")
    environ = {SUPERVISED: "1", "TRUNKLINE_METRICS__PORT": str(free_port())}
    log = settings.data_dir.absolute() / "logs" / f"{title}.log"
    at_once: Callable[[], bool] = lambda: True  # noqa: E731 - it joins its group when it can; nobody waits for it
    return Role(name=title, child=Child(command, log=log, answers=at_once, environ=environ))
