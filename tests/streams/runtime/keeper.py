"""One partition of a small stage on the real Kafka, and the sessions that want it."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streams.runtime.kafka_session import KafkaSession
from streams.runtime.pipeline import Message, Output, Refused, Stage, Worker
from streams.runtime.session import Place
from tests.streams.runtime.workers import CLOCK, Bench, until


@dataclass
class Keeper:
    """Answers with the value; holds what begins with "open" until "close"; tells what it was given."""

    told: list[str] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)

    def recall(self, value: bytes) -> None:
        self.told.append(f"recall {value.decode()}")

    def replay(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.told.append(f"replay {(message.value() or b'').decode()}")
            self._hold(message)

    def process(self, messages: Sequence[Message], now: int) -> Iterable[Output | Refused]:
        for message in messages:
            self.told.append(f"process {(message.value() or b'').decode()}")
            self._hold(message)
            yield Output(key=message.key(), value=message.value())

    def tick(self, now: int) -> Iterable[Output]:
        return ()

    def low_water(self) -> int | None:
        return min(self.opened, default=None)

    def _hold(self, message: Message) -> None:
        value = message.value() or b""
        if value.startswith(b"open"):
            self.opened.append(message.offset())
        elif value == b"close":
            self.opened.clear()


@dataclass
class Place1:
    """One partition, its stage, and sessions on it that are closed at the end."""

    bench: Bench
    tasks: list[Keeper] = field(default_factory=list)
    sessions: list[KafkaSession] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def stage(self) -> Stage:
        prefix = self.bench.prefix

        def open_task(_: int) -> Keeper:
            self.tasks.append(Keeper())
            return self.tasks[-1]

        return Stage(
            name="keeper",
            source=prefix + "call-events",
            target=prefix + "call-events-enriched",
            window_s=3600,
            open=open_task,
        )

    def session(self, slot: str = "a") -> KafkaSession:
        opened = KafkaSession(self.stage, self.bench.settings.kafka, slot, CLOCK, self.stop)
        self.sessions.append(opened)
        return opened

    def joined(self, slot: str = "a") -> tuple[KafkaSession, Sequence[Place]]:
        """A session that holds the partition, and the place where it begins."""
        session = self.session(slot)
        return session, taken_over(session)

    def work(self, processed: str) -> None:
        """Let a worker run until its task has processed this value and committed it."""
        stop = threading.Event()
        worker = threading.Thread(
            target=Worker(self.stage, CLOCK, stop).run,
            args=[lambda: KafkaSession(self.stage, self.bench.settings.kafka, "a", CLOCK, stop)],
        )
        worker.start()
        try:
            until(lambda: self.tasks and f"process {processed}" in self.tasks[-1].told, processed)
        finally:
            stop.set()
            worker.join(20)
        assert not worker.is_alive()


def taken_over(session: KafkaSession) -> Sequence[Place]:
    """The partitions that the group gives the session."""
    found: list[Sequence[Place]] = []

    def given() -> bool:
        session.read(1)
        places = session.taken_over()
        found.extend([places] if places else [])
        return bool(found)

    until(given, "a place in the group")
    return found[0]
