"""The worker's loop on a log in memory: the order of its effects, faults, rebuilds, records that break a stage."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from schemas.codec import decode
from schemas.events import DeadLetter
from streams.runtime import pipeline
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal
from streams.runtime.pipeline import Message, Output, Refused, Stage, Task, Worker
from streams.runtime.session import RECORD_LIMIT
from tests.streams.runtime.once import Once
from tests.support.memory import Fault, MemoryLog

SOURCE = "topic"
TARGET = "topic-out"
DEAD = "topic.dead"
SMALL_FAULTS = [fault for fault in Fault if fault is not Fault.USURPED]


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def log(stop: threading.Event) -> MemoryLog:
    return MemoryLog(SOURCE, ManualClock(), stop)


def work(log: MemoryLog, open_task: Callable[[int], Task] = lambda _: Once()) -> None:
    """Let a worker read all that the log has."""
    stage = Stage(name="once", source=SOURCE, target=TARGET, window_s=60, open=open_task)
    log.stop.clear()
    Worker(stage, log.clock, log.stop).run(log.connect)


def test_the_commit_is_the_last_effect_of_a_batch(log: MemoryLog) -> None:
    """State comes before the first record, writes before the commit, and nothing after it."""
    log.feed(b"a", b"bad", b"b")
    work(log)
    assert log.effects == [
        "open session-1",
        "decided 0",
        "recall 0",
        "start 0@0",
        "read 3",
        "begin",
        f"write {TARGET}",
        f"write {DEAD}",
        f"write {TARGET}",
        "commit 0@3",
        "close session-1",
    ]


def test_a_batch_of_duplicates_still_moves_on(log: MemoryLog) -> None:
    """A batch without any answer is committed, or it would be read for ever."""
    log.feed(b"a", Fault.REBALANCE, b"a", b"a")
    work(log)
    assert log.values(TARGET) == [b"a"]
    assert log.committed[0].offset == 4


def test_a_refused_record_keeps_its_bytes_place_and_reason(log: MemoryLog) -> None:
    """A dead letter tells what it was, where it stood and why."""
    log.feed(b"a", b"bad one")
    work(log)
    (letter,) = [decode(DeadLetter, value or b"") for value in log.values(DEAD)]
    assert (letter.topic, letter.partition, letter.offset, letter.key) == (SOURCE, 0, 1, b"key")
    assert (letter.value, letter.stage, letter.reason) == (b"bad one", "once", "bad")
    assert letter.at == pytest.approx(log.clock.now(), abs=1_000_000)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_neither_loses_nor_doubles(log: MemoryLog, fault: Fault) -> None:
    """Whatever happens between two records, each is answered once and in order."""
    log.feed(b"a", b"b", fault, b"c", b"bad", b"a", fault, b"d")
    work(log)
    assert log.values(TARGET) == [b"a", b"b", b"c", b"d"]
    assert len(log.values(DEAD)) == 1
    assert log.committed[0].offset == len(log.input)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the logs of the worker out of the report."""
    with capture_logs():
        yield


@given(
    st.lists(
        st.sampled_from(
            [b"a", b"b", b"c", b"d", b"e", b"bad 1", b"bad 2", b"poison", b"open", b"close", *SMALL_FAULTS]
        ),
        max_size=30,
    )
)
def test_everything_received_is_answered_seen_before_or_dead(records: list[bytes | Fault]) -> None:
    """Received = published + duplicates + dead letters, for any input with any faults in it."""
    log = MemoryLog(SOURCE, ManualClock(), threading.Event())
    log.feed(*records, b"end")
    work(log)
    values = [record for record in records if isinstance(record, bytes)]
    dead = [value for value in values if value.startswith((b"bad", b"poison"))]
    assert log.values(TARGET) == [*dict.fromkeys(value for value in values if value not in dead), b"end"]
    assert [decode(DeadLetter, value or b"").value for value in log.values(DEAD)] == dead
    assert log.committed[0].offset == len(log.input)


def test_a_new_owner_has_the_state_before_the_first_record(log: MemoryLog) -> None:
    """First what was said, then the input from the low water to the committed offset, silently; then it goes on."""
    log.feed(b"open", b"a")
    work(log)
    log.feed(b"a", b"close")
    tasks: list[Once] = []

    def remember(_: int) -> Once:
        tasks.append(Once())
        return tasks[-1]

    work(log, remember)
    assert tasks[-1].told == ["recall open", "recall a", "replay open", "replay a"]
    assert log.values(TARGET) == [b"open", b"a", b"close"]
    assert log.committed[0].low_water is None
    decided = log.effects.index("decided 0", log.effects.index("open session-2"))
    assert log.effects[decided : decided + 4] == ["decided 0", "recall 0", "replay 0 0 2", "start 0@2"]


def test_the_low_water_is_committed_with_the_batch(log: MemoryLog) -> None:
    """Where a new owner must begin to replay stands beside the offset."""
    log.feed(b"a", b"open", b"b")
    work(log)
    assert log.committed[0].low_water == 1


def test_state_is_kept_over_a_rebalance_when_nobody_else_wrote(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that comes back as we left it needs no rebuild."""
    monkeypatch.setattr(pipeline, "BATCH", 1)
    log.feed(b"a", Fault.REBALANCE, b"a", b"b")
    work(log)
    assert log.values(TARGET) == [b"a", b"b"]
    assert log.effects.count("decided 0") == 2
    assert log.effects.count("recall 0") == 1


def test_state_is_rebuilt_when_somebody_else_wrote_meanwhile(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another owner said between two of our batches is known before ours goes on."""
    monkeypatch.setattr(pipeline, "BATCH", 1)
    log.feed(b"a", Fault.USURPED, b"b", b"b", b"a", b"c")
    work(log)
    assert log.values(TARGET) == [b"a", b"b", b"c"]
    assert log.effects.count("recall 0") == 2


def test_partitions_do_not_mix(log: MemoryLog) -> None:
    """Each partition has its own state, and a record keeps its partition number."""
    log.feed(b"a", partition=0)
    log.feed(b"a", b"b", partition=1)
    work(log)
    assert sorted(log.topics[TARGET], key=str) == [(0, b"a"), (1, b"a"), (1, b"b")]
    assert {p: place.offset for p, place in log.committed.items()} == {0: 1, 1: 3}


def test_a_record_that_breaks_the_stage_is_found_and_set_aside(log: MemoryLog) -> None:
    """The others of its batch go on; it becomes a dead letter that says where the code gave up."""
    values = [b"%d" % i for i in range(9)]
    log.feed(*values[:5], b"poison", *values[5:])
    work(log)
    assert log.values(TARGET) == values
    (letter,) = [decode(DeadLetter, value or b"") for value in log.values(DEAD)]
    assert (letter.value, letter.reason) == (b"poison", "no stage can digest it")
    assert letter.trace.startswith("Reject at once.py:")


def test_a_poisoned_record_below_the_low_water_does_not_stop_a_new_owner(log: MemoryLog) -> None:
    """It went to the dead letters; a replay over it is done without it."""
    log.feed(b"open", b"poison", b"a")
    work(log)
    log.feed(b"b")
    work(log)
    assert log.values(TARGET) == [b"open", b"a", b"b"]
    assert len(log.values(DEAD)) == 1


def test_an_answer_that_is_too_large_makes_its_input_a_dead_letter(log: MemoryLog) -> None:
    """A batch cannot fail for ever because of one record."""

    class Doubled(Once):
        def process(self, messages: Sequence[Message], now: int) -> Iterable[Output | Refused]:
            for message in messages:
                yield Output(key=b"", value=(message.value() or b"") * 2)

    log.largest = RECORD_LIMIT
    log.feed(b"a", b"b" * 600_000, b"c")
    work(log, lambda _: Doubled())
    assert log.values(TARGET) == [b"aa", b"cc"]
    (letter,) = [decode(DeadLetter, value or b"") for value in log.values(DEAD)]
    assert (letter.offset, letter.value) == (1, b"b" * 600_000)


def test_time_alone_can_make_a_task_speak(log: MemoryLog) -> None:
    """What a tick yields is committed with the place where the task stands."""

    @dataclass
    class Clocked(Once):
        due: int | None = None

        def process(self, messages: Sequence[Message], now: int) -> Iterable[Output | Refused]:
            self.due = now + 150_000
            return ()

        def tick(self, now: int) -> Iterable[Output]:
            if self.due and now >= self.due:
                self.due = None
                yield Output(key=b"", value=b"late")

    log.idle = 5
    log.feed(b"a")
    work(log, lambda _: Clocked())
    assert log.values(TARGET) == [b"late"]
    assert log.effects[-4:-1] == ["begin", f"write {TARGET}", "commit 0@1"]


def test_a_task_says_nothing_while_its_partition_is_under_way_to_another(log: MemoryLog) -> None:
    """Between losing and getting partitions time passes, and may make no task speak."""

    class Chatty(Once):
        def tick(self, now: int) -> Iterable[Output]:
            yield Output(key=b"", value=b"tick")

    log.feed(b"a", Fault.REBALANCE, b"b")
    work(log, lambda _: Chatty())
    begun = log.effects.index("rebalance")
    assert log.effects[begun : begun + 3] == ["rebalance", "lost", "decided 0"]
    assert log.effects.count("begin") > 2


def test_nothing_is_processed_before_the_tables_are_there(log: MemoryLog) -> None:
    """While a look-up table is being read, no record is."""
    answers = iter([False, False, True])
    seen: list[str] = []

    def refresh() -> bool:
        ready = next(answers, True)
        seen.append(f"{ready} {'read 1' in log.effects}")
        return ready

    log.feed(b"a")
    stage = Stage(name="once", source=SOURCE, target=TARGET, window_s=60, open=lambda _: Once(), refresh=refresh)
    Worker(stage, log.clock, log.stop).run(log.connect)
    assert seen[:3] == ["False False", "False False", "True False"]
    assert log.values(TARGET) == [b"a"]


def test_waits_grow_while_the_broker_is_away_and_begin_anew_after_a_success(
    log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.1, 0.2, 0.4 s; after a commit 0.1 s again."""
    monkeypatch.setattr(pipeline, "BATCH", 1)
    log.feed(Fault.READ, Fault.READ, Fault.READ, b"a", Fault.READ, b"b")
    with capture_logs() as logged:
        work(log)
    waits = [entry["again_in"] for entry in logged if entry["event"] == "stream.session_over"]
    assert waits == [0.1, 0.2, 0.4, 0.1]


def test_fatal_ends_the_worker(log: MemoryLog) -> None:
    """Nobody retries what needs a person."""

    class Broken(Once):
        def process(self, messages: Sequence[Message], now: int) -> Iterable[Output | Refused]:
            raise Fatal("call somebody")

    log.feed(b"a")
    with pytest.raises(Fatal, match="call somebody"):
        work(log, lambda _: Broken())
    assert "commit 0@1" not in log.effects
    assert log.effects[-1] == "close session-1"


def test_a_batch_is_bounded(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long input becomes several transactions."""
    monkeypatch.setattr(pipeline, "BATCH", 2)
    log.feed(b"a", b"b", b"c", b"d", b"e")
    work(log)
    assert [effect for effect in log.effects if effect.startswith(("read", "commit"))] == [
        *("read 2", "commit 0@2", "read 2", "commit 0@4", "read 1", "commit 0@5")
    ]
