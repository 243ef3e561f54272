"""The order of effects, and what a crash between any two of them leaves."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sinks.clickhouse.delivery import Attempts, Commit, Work, deliver
from sinks.clickhouse.ranges import parse
from sinks.clickhouse.tables import TABLES
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.sink import Batch
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Retry
from tests.sinks.clickhouse.fakes import FakeClient, FakeDeadLetters, batch, write

CRASH = "CRASH"


class Log:
    """One partition, the group's position in it, the server and the dead letters: all that outlives a sink."""

    def __init__(self, values: dict[int, bytes | None], poison: frozenset[int] = frozenset()) -> None:
        self.values = values
        self.effects: list[str] = []
        self.client = FakeClient(effects=self.effects, refuse=lambda r: 117 if r["_offset"] in poison else None)
        self.dead = FakeDeadLetters(self.effects)
        self.writer: Any = ClickHouseWriter(self.client, {t.topic: t for t in TABLES})  # type: ignore[arg-type]
        self.committed, self.metadata = min(values), ""

    def next_batch(self, rows: int) -> Batch | None:
        """What a sink that starts now delivers first: the pending range, or the next so many records."""
        span = parse(self.metadata)
        left = {o: v for o, v in self.values.items() if o >= self.committed}
        if span:
            inside = {o: v for o, v in left.items() if o <= span.last}
            return batch(inside, first=span.first, last=span.last, skipped=span.skipped, replayed=True)
        return batch(dict(list(left.items())[:rows])) if left else None

    def run(self, crashes: Iterator[int], rows: int = 4) -> None:
        """Deliver everything; each number of `crashes` is how many steps the next sink lives."""
        life = next(crashes, 10_000)
        while (now := self.next_batch(rows)) is not None:
            steps, answer = deliver(now, self.writer, self.dead), None
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration:
                    break
                if life == 0:
                    self.effects.append(CRASH)
                    life = next(crashes, 10_000)
                    break
                life -= 1
                answer = self._do(step)

    def _do(self, step: Commit | Work) -> Any:
        if isinstance(step, Work):
            return step.call()
        self.committed, self.metadata = step.offset, step.metadata
        self.effects.append(f"commit {step.offset} {step.metadata}".rstrip())
        return None


def test_the_commit_is_the_last_effect() -> None:
    """Written down, inserted, committed: in this order."""
    log = Log({o: write(o) for o in range(3)})
    log.run(iter([]))
    assert log.effects == ["commit 0 0:2", "insert crm-writes:0:0:2:100005", "commit 3"]


def test_refused_records_are_dead_letters_before_the_commit() -> None:
    """And what is skipped is written down before they are sent."""
    log = Log({o: write(o) for o in range(4)}, poison=frozenset({2}))
    log.run(iter([]))
    token = "crm-writes:0:{}:{}:100005".format
    assert log.effects == [
        "commit 0 0:3",
        f"refuse {token(0, 3)}",
        f"insert {token(0, 1)}",
        f"refuse {token(2, 3)}",
        f"refuse {token(2, 2)}",
        f"insert {token(3, 3)}",
        "commit 0 0:3:2",
        "dead [2]",
        "commit 4",
    ]
    assert log.client.offsets() == [0, 1, 3]


@pytest.mark.parametrize("life", range(12))
def test_a_crash_after_any_step_loses_and_doubles_nothing(life: int) -> None:
    """In = inserted once + dead-lettered, whenever the sink dies, and dies again."""
    values: dict[int, bytes | None] = {o: write(o) for o in (0, 1, 2, 5, 6, 7, 9, 11, 12)}
    values[3], values[8] = b"junk", None
    log = Log(dict(sorted(values.items())), poison=frozenset({6, 11}))
    log.run(iter([life, life, 1, life]))
    assert log.client.offsets() == [0, 1, 2, 5, 7, 9, 12]
    dead = {o for effect in log.effects if effect.startswith("dead") for o in json.loads(effect[5:])}
    assert dead == {3, 6, 11}
    assert log.committed == 13
    assert CRASH in log.effects


@pytest.mark.parametrize("life", range(8))
def test_new_records_do_not_change_what_a_replay_inserts(life: int) -> None:
    """The range is as it was written down, though a new sink would cut more by now."""
    log = Log({o: write(o) for o in range(3)})
    log.run(iter([life]), rows=2)
    log.values |= {o: write(o) for o in range(3, 9)}
    log.run(iter([]), rows=100)
    assert log.client.offsets() == list(range(9))


def test_a_changed_verdict_does_not_change_the_inserts_of_a_replay() -> None:
    """What is written down as skipped is not asked for again."""
    log = Log({o: write(o) for o in range(4)}, poison=frozenset({2}))
    log.run(iter([3]))
    log.client.refuse = lambda _: None
    log.run(iter([]))
    assert log.client.offsets() == [0, 1, 3]
    assert [e for e in log.effects if e.startswith("dead")] == ["dead [2]"]


class Unlucky:
    """Work that fails a number of times."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)

    def __call__(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def test_work_is_tried_again_with_growing_pauses() -> None:
    """Until it succeeds: a server may be away for hours."""
    clock = ManualClock()
    attempts = Attempts(batch({0: write(0)}), clock)
    before = clock.monotonic()
    work = Unlucky(Retry("away"), Retry("away"), Retry("busy", after=60.0))
    assert attempts.until_done(Work(call=work), threading.Event()) == "done"
    assert clock.monotonic() - before > 60.0
    assert not attempts.waiting


def test_work_for_a_partition_that_is_gone_ends() -> None:
    """Its new owner replays the range."""
    gone = threading.Event()
    gone.set()
    assert Attempts(batch({0: write(0)}), ManualClock()).until_done(Work(call=Unlucky()), gone) is None


def test_fatal_is_not_tried_again() -> None:
    """A person is needed."""
    with pytest.raises(Fatal, match="password"):
        Attempts(batch({0: write(0)}), ManualClock()).until_done(
            Work(call=Unlucky(Fatal("password"))), threading.Event()
        )
