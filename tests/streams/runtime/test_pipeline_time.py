"""How a worker tells its tasks that time has passed."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from streams.runtime import pipeline
from streams.runtime.clock import ManualClock
from streams.runtime.pipeline import Message, Output, Refused, Stage, Worker
from tests.streams.runtime.once import Once
from tests.support.memory import Fault, MemoryLog


def test_a_pause_of_the_worker_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task takes in what waited meanwhile before it is told how much time has passed."""
    told: list[str] = []
    log = MemoryLog("topic", ManualClock(), threading.Event())

    @dataclass
    class Listening(Once):
        heard: int = 0

        def process(self, messages: Sequence[Message], now: int) -> Iterable[Output | Refused]:
            told.extend((message.value() or b"").decode() for message in messages)
            self.heard = now
            log.clock.advance(5)
            return ()

        def tick(self, now: int) -> Iterable[Output]:
            if self.heard and now - self.heard >= 5_000_000:
                told.append("silence")
            return ()

    monkeypatch.setattr(pipeline, "BATCH", 1)
    log.feed(b"a", b"b", b"c")
    stage = Stage(name="once", source="topic", target="topic-out", window_s=60, open=lambda _: Listening())
    Worker(stage, log.clock, log.stop).run(log.connect)
    assert told[:4] == ["a", "b", "c", "silence"]


def test_a_batch_that_did_not_get_through_is_tried_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that outlives its transaction on a starved machine would do so again and again; then it grows again."""
    monkeypatch.setattr(pipeline, "BATCH", 8)
    log = MemoryLog("topic", ManualClock(), threading.Event())
    log.feed(Fault.COMMIT, *(b"%d" % n for n in range(20)))
    stage = Stage(name="once", source="topic", target="topic-out", window_s=60, open=lambda _: Once())
    Worker(stage, log.clock, log.stop).run(log.connect)
    reads = [effect for effect in log.effects if effect.startswith("read ")]
    assert reads == ["read 8", "read 4", "read 8", "read 8"]
    assert log.values("topic-out") == [b"%d" % n for n in range(20)]
