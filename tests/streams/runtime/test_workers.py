"""Worker processes on the real Kafka: killed, frozen, joined by others, and no event lost or doubled."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.codec import decode
from schemas.events import DeadLetter
from streams.embedded.kafka import EmbeddedKafka
from tests.streams.runtime.workers import CLOCK, Bench, until, value_of

pytestmark = pytest.mark.integration


@pytest.fixture
def bench(kafka: str, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(kafka, tmp_path)
    made.make_topics()
    try:
        yield made
    finally:
        made.stop()


def is_exactly(bench: Bench, numbers: range) -> None:
    """Each event once, in its partition, in the order of the input."""
    found = bench.output()
    ids = {p: [int.from_bytes(value[5:21]) for value in values] for p, values in found.items()}
    doubled = {
        number: times for number, times in Counter(n for part in ids.values() for n in part).items() if times > 1
    }
    assert not doubled
    assert ids == {p: [n for n in numbers if n % bench.partitions == p] for p in range(bench.partitions)}


def all_out(bench: Bench, count: int) -> None:
    until(lambda: len(bench.ids()) >= count, f"{count} events in the output")
    CLOCK.sleep(0.5)  # one too many would come now


def test_sigkill_in_the_middle_of_a_batch_neither_loses_nor_doubles(bench: Bench) -> None:
    """What a killed worker had written without committing is never seen, and is written again."""
    numbers = range(60_000)
    bench.produce([value_of(n) for n in numbers], lambda place: place)
    for _ in range(4):
        worker = bench.start(slow=True)
        until(bench.in_transaction, "a transaction to kill")
        worker.kill()
        worker.wait(10)
    bench.produce([value_of(n) for n in numbers], lambda place: place)
    bench.start()
    all_out(bench, len(numbers))
    is_exactly(bench, numbers)


def test_workers_that_come_and_go_pass_each_event_once(bench: Bench) -> None:
    """Every event comes twice, the second time after a rebalance: the new owner knows what the former one published."""
    numbers = range(6_000)
    values = [value_of(n) for n in numbers]
    first = bench.start()
    bench.produce(values[:2_000])
    all_out(bench, 2_000)
    bench.start()
    bench.produce(values[:4_000])
    all_out(bench, 4_000)
    until(lambda: bench.log.count("stream.partitions") >= 3, "a rebalance")
    bench.produce(values[:4_000])
    first.terminate()
    assert first.wait(10) == 0
    bench.produce(values)
    all_out(bench, len(numbers))
    is_exactly(bench, numbers)


def test_a_frozen_worker_is_fenced(bench: Bench) -> None:
    """Its partitions go to another; when it wakes up in the middle of its batch, nothing of that counts."""
    numbers = range(60_000)
    values = [value_of(n) for n in numbers]
    bench.produce(values[:30_000])
    frozen = bench.start(slow=True)
    until(bench.in_transaction, "a transaction to freeze")
    frozen.send_signal(signal.SIGSTOP)
    bench.produce(values)
    bench.start()
    all_out(bench, len(numbers))
    frozen.send_signal(signal.SIGCONT)
    until(lambda: "stream.session_over" in bench.log, "the frozen worker to notice")
    bench.produce(values)
    CLOCK.sleep(2)
    assert frozen.poll() is None
    is_exactly(bench, numbers)


def test_what_cannot_be_read_goes_to_the_dead_letters(bench: Bench) -> None:
    """Its bytes, place and reason are kept; the events around it go on."""
    bench.produce([value_of(0), b"junk", value_of(2), None, value_of(4)], lambda _: 1)
    bench.start()
    all_out(bench, 3)
    assert bench.ids() == [0, 2, 4]
    (partition, letters), *others = bench.output("call-events.dead").items()
    found = [decode(DeadLetter, letter) for letter in letters]
    assert (partition, others) == (1, [])
    assert [(x.topic, x.partition, x.offset, x.value, x.stage) for x in found] == [
        (bench.prefix + "call-events", 1, 1, b"junk", "enrich"),
        (bench.prefix + "call-events", 1, 3, None, "enrich"),
    ]


def test_a_broker_that_is_killed_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    """The worker begins anew from what was committed; it also stops in time while the broker is away."""
    (tmp_path / "workers").mkdir()
    with EmbeddedKafka(tmp_path / "kafka", heap="300m") as broker:
        bench = Bench(broker.bootstrap, tmp_path / "workers", partitions=1)
        bench.make_topics()
        try:
            bench.produce([value_of(n) for n in range(1_000)])
            bench.start()
            all_out(bench, 1_000)
            broker.kill()
            CLOCK.sleep(2)
            broker.start()
            bench.produce([value_of(n) for n in range(2_000)])
            all_out(bench, 2_000)
            is_exactly(bench, range(2_000))
            broker.kill()
        finally:
            bench.stop()


def test_a_missing_topic_ends_the_worker_with_what_to_do(kafka: str, tmp_path: Path) -> None:
    """A person reads which topic and which command."""
    bench = Bench(kafka, tmp_path)
    worker = bench.start()
    assert worker.wait(30) != 0
    assert f"the topic {bench.prefix}call-events does not exist: `trunkline topics apply` creates it" in bench.log
