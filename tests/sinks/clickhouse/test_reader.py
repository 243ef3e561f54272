"""The reader against a group that gives and takes partitions, without a broker."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sinks.clickhouse.delivery import deliver
from sinks.clickhouse.lane import Limits
from sinks.clickhouse.reader import Reader
from sinks.sink import Batch, Rejected
from streams.runtime.clock import SystemClock
from streams.runtime.errors import Fatal, Retry
from tests.sinks.clickhouse.fakes import FakeDeadLetters, Record, write

CLOCK = SystemClock()
TOPIC = "crm-writes"


class Group:
    """A consumer and its broker: hands out what the script says, and keeps positions by partition."""

    def __init__(self, *script: Any, positions: dict[int, tuple[int, str]] | None = None) -> None:
        self.script = list(script)
        self.positions = positions or {}
        self.effects: list[str] = []
        self.starts: dict[int, int] = {}
        self.stop = threading.Event()
        self.until: Callable[[], bool] = lambda: True
        self.callbacks: dict[str, Callable[..., None]] = {}
        self.rest: list[Any] = []
        self.deadline = CLOCK.monotonic() + 20

    def subscribe(self, _: list[str], **callbacks: Callable[..., None]) -> None:
        self.callbacks = callbacks

    def poll(self, _: float) -> Any:
        assert CLOCK.monotonic() < self.deadline, self.effects
        if not self.script:
            if self.until():
                self.stop.set()
            CLOCK.sleep(0.001)
            return None
        step = self.script.pop(0)
        if callable(step):
            step(self)
            return None
        first, *self.rest = step
        return first

    def consume(self, _: int, __: float) -> list[Any]:
        rest, self.rest = self.rest, []
        return rest

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(p.topic, p.partition, *self.positions.get(p.partition, (-1001, ""))) for p in places]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        for place in offsets:
            self.positions[place.partition] = (place.offset, place.metadata or "")
            self.effects.append(f"commit {place.partition} {place.offset} {place.metadata or ''}".rstrip())
        return offsets

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self.starts |= {p.partition: p.offset for p in places}

    def incremental_unassign(self, places: list[TopicPartition]) -> None:
        self.starts = {p: o for p, o in self.starts.items() if p not in {each.partition for each in places}}

    def get_watermark_offsets(self, _: TopicPartition, **__: Any) -> tuple[int, int]:
        return 5, 9

    def position(self, places: list[TopicPartition]) -> list[TopicPartition]:
        return places

    def pause(self, _: list[TopicPartition]) -> None:
        self.effects.append("pause")

    def resume(self, _: list[TopicPartition]) -> None:
        self.effects.append("resume")

    def close(self) -> None:
        self.effects.append("close")


def change(kind: str, *partitions: int) -> Callable[[Group], None]:
    """A rebalance, as a step of the script."""
    return lambda group: group.callbacks[kind](group, [TopicPartition(TOPIC, p) for p in partitions])


def records(partition: int, *offsets: int) -> list[Record]:
    return [Record(at=o, body=write(o), in_partition=partition, where=TOPIC) for o in offsets]


class Warehouse:
    """A writer that remembers, and waits or fails when told to."""

    def __init__(self, effects: list[str]) -> None:
        self.effects = effects
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.failures: list[Exception] = []

    def write(self, batch: Batch) -> Sequence[Rejected]:
        assert self.may_go_on.wait(20)
        if self.failures:
            raise self.failures.pop(0)
        self.effects.append(f"write {batch.partition} {[m.offset() for m in batch.messages]}")
        return []

    def close(self) -> None:
        """Nothing to let go of."""


def run(group: Group, warehouse: Warehouse, rows: int = 1000) -> None:
    fake: Any = group
    dead = FakeDeadLetters(group.effects)
    limits = Limits(rows=rows, bytes=10**9, seconds=0.0)
    Reader(fake, [TOPIC], lambda batch: deliver(batch, warehouse, dead), limits, CLOCK).run(group.stop)


def test_each_partition_is_written_down_written_and_committed() -> None:
    """From where the group stands; the beginning when it stands nowhere."""
    group = Group(change("on_assign", 0, 1), [*records(0, 7, 8), *records(1, 3)], positions={0: (7, "")})
    group.until = lambda: "commit 0 9" in group.effects and "commit 1 4" in group.effects
    run(group, Warehouse(group.effects))
    assert group.starts == {0: 7, 1: -2}
    for partition, steps in enumerate(
        (["commit 0 7 7:8", "write 0 [7, 8]", "commit 0 9"], ["commit 1 3 3:3", "write 1 [3]", "commit 1 4"])
    ):
        assert [e for e in group.effects if e.split(" ")[1:2] == [str(partition)]] == steps
    assert group.effects[-1] == "close"


def test_a_pending_range_is_delivered_first_and_alone() -> None:
    """As the former owner wrote it down, though more has come since."""
    group = Group(change("on_assign", 0), records(0, 3, 4, 5, 6), positions={0: (3, "3:4")})
    group.until = lambda: "commit 0 7" in group.effects
    run(group, Warehouse(group.effects))
    assert [e for e in group.effects if e.startswith("write")] == ["write 0 [3, 4]", "write 0 [5, 6]"]


def test_a_partition_that_is_taken_away_finishes_first() -> None:
    """Its new owner need not replay what is under way."""
    group = Group(change("on_assign", 0), records(0, 1, 2))
    warehouse = Warehouse(group.effects)
    warehouse.may_go_on.clear()
    group.script += [lambda _: threading.Timer(0.2, warehouse.may_go_on.set).start(), change("on_revoke", 0)]
    run(group, warehouse)
    assert group.effects == ["commit 0 1 1:2", "write 0 [1, 2]", "commit 0 3", "pause", "close"]


def test_a_partition_that_was_lost_is_not_committed_any_more() -> None:
    """Somebody else owns it: what is pending is theirs."""
    group = Group(change("on_assign", 0), records(0, 1, 2))
    warehouse = Warehouse(group.effects)
    warehouse.may_go_on.clear()
    group.script += [change("on_lost", 0), lambda _: warehouse.may_go_on.set()]
    group.until = lambda: "write 0 [1, 2]" in group.effects
    run(group, warehouse)
    assert group.positions[0] == (1, "1:2")
    assert "commit 0 3" not in group.effects


def test_a_partition_that_cannot_get_on_does_not_hold_up_the_rest() -> None:
    """It waits for its next try without a place among the writers."""
    group = Group(change("on_assign", 0, 1, 2, 3))
    warehouse = Warehouse(group.effects)
    warehouse.failures = [Retry("away", after=3600) for _ in range(3)]
    group.script += [records(p, 1) for p in range(4)]
    group.until = lambda: "commit 3 2" in group.effects
    run(group, warehouse)
    assert [e for e in group.effects if e.startswith("write")] == ["write 3 [1]"]


def test_what_needs_a_person_ends_the_reader() -> None:
    """The consumer leaves its group, and nothing is committed past the batch."""
    group = Group(change("on_assign", 0), records(0, 1))
    group.until = lambda: False
    warehouse = Warehouse(group.effects)
    warehouse.failures = [Fatal("give rights")]
    with pytest.raises(Fatal, match="give rights"):
        run(group, warehouse)
    assert group.effects == ["commit 0 1 1:1", "close"]


def test_a_broken_session_is_for_the_next_one() -> None:
    """Such as a coordinator that does not answer while partitions are handed out."""

    def broken(_: Group) -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    group = Group(broken)
    with pytest.raises(Retry, match="_TIMED_OUT"):
        run(group, Warehouse(group.effects))
    assert group.effects == ["close"]


class Trouble:
    """What stands in the stream instead of a record."""

    def __init__(self, code: int) -> None:
        self.code = code

    def error(self) -> KafkaError:
        return KafkaError(self.code)

    def topic(self) -> None: ...

    def partition(self) -> None: ...


def test_a_consumer_that_is_fenced_is_given_up() -> None:
    """It would stay silent for ever."""
    group = Group(change("on_assign", 0), [Trouble(KafkaError._FATAL)])
    group.until = lambda: False
    with pytest.raises(Retry, match="_FATAL"):
        run(group, Warehouse(group.effects))
    assert group.effects == ["close"]


def test_a_topic_that_is_not_there_yet_is_waited_for() -> None:
    """The others are read meanwhile."""
    group = Group(change("on_assign", 0), [Trouble(KafkaError.UNKNOWN_TOPIC_OR_PART)], records(0, 1))
    group.until = lambda: "commit 0 2" in group.effects
    run(group, Warehouse(group.effects))
    assert "write 0 [1]" in group.effects


def test_the_far_side_is_away_and_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stops, the membership does not, and it goes on when there is room again."""
    monkeypatch.setattr("sinks.clickhouse.reader._MOST_BYTES", 1000)
    monkeypatch.setattr("sinks.clickhouse.reader._STALLED", 0.01)
    group = Group(change("on_assign", 0), records(0, 1, 2, 3))
    warehouse = Warehouse(group.effects)
    warehouse.may_go_on.clear()
    group.script += [lambda _: None] * 3 + [lambda _: warehouse.may_go_on.set()]
    group.until = lambda: "resume" in group.effects
    run(group, warehouse)
    assert [e for e in group.effects if e in ("pause", "resume")][:2] == ["pause", "resume"]
    assert group.effects.count("write 0 [1, 2, 3]") == 1


def test_a_stop_lets_the_batch_under_way_finish() -> None:
    """A clean stop leaves nothing to replay."""
    group = Group(change("on_assign", 0), records(0, 1, 2))
    warehouse = Warehouse(group.effects)
    warehouse.may_go_on.clear()
    group.script.append(lambda _: threading.Timer(0.2, warehouse.may_go_on.set).start())
    run(group, warehouse)
    assert group.positions[0] == (3, "")
