"""Two adapter processes on the simulated PBX and the real Kafka, one of them killed in mid-call: nothing of it is seen."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.codec import decode
from schemas.events import CallEvent
from streams.runtime.clock import SystemClock
from tests.streams.processors.folding.readers import folded
from tests.streams.processors.folding.script import finals
from tests.support.conservation import differences

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
WAIT = 60.0
CALLS = 30
SIMULATED: Mapping[str, object] = {"calls": CALLS, "rate": 4, "speed": 5, "talk-mean": 20, "seed": 2, "port": 0}


class Set:
    """The simulator, a topic of its own, and adapters as processes; each is killed at the end."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.folder, self.bootstrap, self.prefix = folder, bootstrap, f"two-{uuid.uuid4().hex}-"
        self.truth = folder / "truth.jsonl"
        (folder / "secret").write_text("open sesame", encoding="ascii")
        names = [f"{self.prefix}call-events", f"{self.prefix}call-events.dead"]
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for created in admin.create_topics([NewTopic(name, 1) for name in names]).values():
            created.result(30)
        own: dict[str, object] = {"secret-file": folder / "secret", "truth": self.truth, "ready-file": folder / "port"}
        self._simulator = self._process("simulate", "asterisk", "--wait", *_options({**SIMULATED, **own}))
        self._children = [self._simulator]
        until((folder / "port").exists)

    def adapter(self, name: str) -> "subprocess.Popen[bytes]":
        """Start it, anew when it has been killed."""
        file = self.folder / f"{name}.toml"
        file.write_text(
            f'tenant = "acme"\ndata_dir = "{self.folder / name}"\n'
            f'[kafka]\nbootstrap = "{self.bootstrap}"\ntopic_prefix = "{self.prefix}"\n'
            f'[pbx.main]\nadapter = "asterisk_ami"\nhost = "127.0.0.1"\nport = {(self.folder / "port").read_text()}\n'
            f'username = "trunkline"\nsecret_file = "{self.folder / "secret"}"\n'
            "[pbx.main.numbers]\ncountry = \"FR\"\nextensions = '[1-9]\\d{3}'\n",
            encoding="utf-8",
        )
        self._children.append(self._process("run", "producer", "main", f"--config={file}"))
        return self._children[-1]

    @property
    def truths(self) -> Mapping[str, Mapping[str, Any]]:
        """The calls that are over."""
        lines = map(orjson.loads, self.truth.read_bytes().splitlines()) if self.truth.exists() else ()
        return {f"main:{line['uniqueid']}": line for line in lines if not line["open"]}

    def published(self) -> list[tuple[int, CallEvent]]:
        """All of the topic, with the moment at which the broker had it."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "t", "enable.auto.commit": False})
        place = TopicPartition(f"{self.prefix}call-events", 0, 0)
        try:
            end = consumer.get_watermark_offsets(place, timeout=10)[1]
            consumer.assign([place])
            found: list[tuple[int, CallEvent]] = []
            deadline = CLOCK.monotonic() + WAIT
            while len(found) < end and CLOCK.monotonic() < deadline:
                for message in consumer.consume(1000, 0.2):
                    assert message.error() is None
                    found.append((message.timestamp()[1] * 1000, decode(CallEvent, message.value() or b"")))
        finally:
            consumer.close()
        return found

    def sessions(self) -> int:
        """How many sessions have taken stock so far."""
        return sum(event.type == "gap.resolved" for _, event in self.published())

    def close(self) -> None:
        for child in self._children:
            child.kill()
            child.wait(10)

    def _process(self, *command: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-m", "streams.runtime.cli", *command], env=dict(os.environ))


def _options(named: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in named.items()]


def until(true: Any) -> None:
    """Wait for it; AssertionError when it does not come."""
    deadline = CLOCK.monotonic() + WAIT
    while not true():
        assert CLOCK.monotonic() < deadline
        CLOCK.sleep(0.1)


@contextmanager
def setup(bootstrap: str, folder: Path) -> Iterator[Set]:
    house = Set(bootstrap, folder)
    try:
        yield house
    finally:
        house.close()


def test_one_of_two_adapters_killed_in_mid_call(kafka: str, tmp_path: Path) -> None:
    """Killed twice, with calls going on: every call once, as it happened, and no word of a gap in it."""
    with setup(kafka, tmp_path) as house:
        first, second = house.adapter("one"), house.adapter("two")
        until(lambda: house.sessions() == 2)
        for n in (1, 2):
            until(lambda n=n: len(house.truths) >= n * CALLS // 5)
            first.kill()
            first.wait(10)
            CLOCK.sleep(0.5)
            first = house.adapter("one")
            until(lambda n=n: house.sessions() == n + 2)
        until(lambda: len(house.truths) == CALLS)
        CLOCK.sleep(6)  # a heartbeat of the one that lived
        for child in (first, second):
            child.terminate()
            assert child.wait(15) == 0
        truths, arrivals = house.truths, house.published()
    calls = {name: call for name, call in finals(folded(arrivals)).items() if call.state != "merged"}
    assert set(calls) == set(truths)
    assert {name: (call.state, call.quality) for name, call in calls.items()} == dict.fromkeys(truths, ("final", ()))
    assert {name: differences(truth, calls[name]) for name, truth in truths.items()} == {name: [] for name in truths}
