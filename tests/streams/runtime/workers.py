"""Worker processes of enrich on a set of topics of their own, and what they made of the input."""

import os
import signal
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.cimpl import NewTopic

from schemas import codec
from schemas.events import CallEvent
from schemas.samples import samples
from streams.processors import enrich
from streams.processors.enrich import Enrich
from streams.runtime import cli
from streams.runtime import kafka as clients
from streams.runtime.clock import SystemClock
from streams.runtime.config import Kafka, Settings
from streams.runtime.pipeline import Message, Record, Refused

CLOCK = SystemClock()
EVENT: CallEvent = samples("call-events")[0]
TOPICS = ("call-events", "call-events.dead", "call-events-enriched", "call-events-enriched.dead", "calls", "contacts")
TOPICS_OF_AGENTS = ("call-events-enriched", "call-events-enriched.dead", "agent-states", "agent-states.dead")
_WAIT = 60.0
_HEADER, _REST = codec.encode(EVENT)[: codec.HEADER], codec.encode(EVENT)[codec.HEADER + 16 :]


def value_of(number: int) -> bytes:
    """The event with this number as its id."""
    return _HEADER + number.to_bytes(16) + _REST


def until(happened: Callable[[], object], what: str, wait: float = _WAIT) -> None:
    """Wait for it, or fail."""
    deadline = CLOCK.monotonic() + wait
    while not happened():
        assert CLOCK.monotonic() < deadline, f"{what}: not within {wait:.0f} s"
        CLOCK.sleep(0.05)


@dataclass(slots=True)
class Bench:
    """Topics under a random prefix, and the workers that run on them."""

    bootstrap: str
    folder: Path
    partitions: int = 3
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex}-")
    stream: str = "enrich"
    topics: tuple[str, ...] = TOPICS
    environ: dict[str, str] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.folder, kafka=Kafka(bootstrap=self.bootstrap, topic_prefix=self.prefix))

    @property
    def log(self) -> str:
        """What all workers logged."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def make_topics(self) -> None:
        admin = clients.admin(self.settings.kafka)
        made = [NewTopic(self.prefix + topic, self.partitions) for topic in self.topics]
        for future in admin.create_topics(made).values():
            future.result(30)

    def produce(self, values: Sequence[bytes | None], partition: Callable[[int], int] = lambda place: place) -> None:
        """Write to the input and wait until the broker has it; the place in `values` decides the partition."""
        producer = clients.producer(self.settings.kafka)
        for place, value in enumerate(values):
            producer.produce(self.prefix + self.topics[0], value, b"acme/main", partition(place) % self.partitions)
            producer.poll(0)
        assert producer.flush(30) == 0

    def start(self, *, slow: bool = False) -> subprocess.Popen[bytes]:
        """A worker process, as the supervisor starts it; a slow one takes seconds for a batch, so that it can be hit."""
        env = os.environ | {
            "TRUNKLINE_KAFKA__BOOTSTRAP": self.bootstrap,
            "TRUNKLINE_KAFKA__TOPIC_PREFIX": self.prefix,
            "TRUNKLINE_DATA_DIR": str(self.folder),
            "TRUNKLINE_LOGS__FORMAT": "json",
            **self.environ,
        }
        with (self.folder / f"{len(self.workers)}.log").open("wb") as log:
            program = __name__ if slow else "streams.runtime.cli"
            command = [sys.executable, "-m", program, "run", "stream", self.stream]
            worker = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=self.folder
            )
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """End all workers cleanly; fails when one does not within its 10 s, or ends with an error."""
        running = [worker for worker in self.workers if worker.poll() is None]
        for worker in running:
            worker.terminate()
        try:
            assert [worker.wait(10) for worker in running] == [0] * len(running)
        finally:
            for worker in self.workers:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
                worker.wait(10)

    def in_transaction(self) -> bool:
        """Tell whether a transaction is open on the output."""
        return self._end(IsolationLevel.READ_UNCOMMITTED) > self._end(IsolationLevel.READ_COMMITTED)

    def output(self, topic: str = "call-events-enriched") -> dict[int, list[bytes]]:
        """The committed records of a topic by partition."""
        found: dict[int, list[bytes]] = defaultdict(list)
        reader = clients.reader(self.settings.kafka, topic)
        try:
            self._drain(reader, found)
        finally:
            reader.close()
        return found

    def ids(self) -> list[int]:
        """The ids of all published events, by partition in their order."""
        return [
            int.from_bytes(codec.event_id(value)) for _, values in sorted(self.output().items()) for value in values
        ]

    def _drain(self, reader: Consumer, found: dict[int, list[bytes]]) -> None:
        unread = set(range(self.partitions))
        deadline = CLOCK.monotonic() + _WAIT
        while unread:
            assert CLOCK.monotonic() < deadline, "the topic has no end"
            for message in reader.consume(1000, 0.05):
                partition = message.partition() or 0
                if message.error() is None:
                    found[partition].append(message.value() or b"")
                else:
                    unread.discard(partition)

    def _end(self, level: IsolationLevel) -> int:
        admin: AdminClient = clients.admin(self.settings.kafka)
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {
            TopicPartition(self.prefix + "call-events-enriched", partition): latest
            for partition in range(self.partitions)
        }
        return sum(future.result(10).offset for future in admin.list_offsets(asked, isolation_level=level).values())


class Slow(Enrich):
    """Enrichment with a nap now and then, and one when all is written and nothing is committed."""

    def process(self, messages: Sequence[Message], now: int) -> Iterator[Record | Refused]:
        for place, answer in enumerate(super().process(messages, now)):
            if place % 500 == 0:
                CLOCK.sleep(0.05)
            yield answer
        CLOCK.sleep(0.3)


if __name__ == "__main__":
    enrich.Enrich = Slow  # type: ignore[misc]
    cli.main()
