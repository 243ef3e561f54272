"""Publishing under faults: the broker away, refusing, slow, and the process killed. Nothing is lost, order is kept."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import publish
from producers.publish import Publisher
from producers.spool import Spool
from streams.runtime.clock import ManualClock

AWAY, BACK, REFUSE, SLOW, CRASH, STOP = "away", "back", "refuse", "slow", "crash", "stop"
FAULTS = (AWAY, BACK, REFUSE, SLOW, CRASH, STOP)


class Refusal:
    """A KafkaError that a broker gives for a record."""

    def name(self) -> str:
        return "TOPIC_AUTHORIZATION_FAILED"


class Broker:
    """What a broker and librdkafka do together, in memory: records wait until polled, acknowledged or not."""

    def __init__(self) -> None:
        self.log: list[bytes] = []
        self.mood = BACK


class FakeSender:
    """Waiting on it passes the clock's time, as it does on the real one."""

    def __init__(self, broker: Broker, clock: ManualClock) -> None:
        self._broker = broker
        self._clock = clock
        self._queue: list[tuple[bytes, Callable[[Any, Any], None]]] = []

    def produce(self, topic: str, *, key: bytes, value: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        if self._broker.mood == SLOW and len(self._queue) >= 3:
            raise BufferError
        self._queue.append((value, on_delivery))

    def poll(self, timeout: float) -> int:
        self._clock.advance(timeout)
        if self._broker.mood in (AWAY, SLOW):
            return 0
        queue, self._queue = self._queue, []
        for value, on_delivery in queue:
            if self._broker.mood == REFUSE:
                on_delivery(Refusal(), None)
            else:
                self._broker.log.append(value)
                on_delivery(None, None)
        return len(queue)

    def purge(self, *, in_queue: bool = True, in_flight: bool = True) -> None:
        self._queue = []


class House:
    """A publisher over its broker and folder, which can be killed."""

    def __init__(self, folder: Path, *, limit: int = 1 << 20, window: int = 5) -> None:
        self.broker = Broker()
        self.clock = ManualClock()
        self._folder, self._limit, self._window = folder, limit, window
        self.start()

    def turns(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)
            self.publisher.turn()

    def start(self) -> None:
        self.spool = Spool(self._folder, self._limit)
        self.publisher = Publisher(
            lambda: FakeSender(self.broker, self.clock), self.spool, self.clock, window=self._window
        )

    def restart(self) -> None:
        """The old process is gone: of its memory nothing is left."""
        self.spool.close()
        self.start()


def first_seen(records: list[bytes]) -> list[bytes]:
    return list(dict.fromkeys(records))


def numbered(steps: list[str | None]) -> Iterator[str | bytes]:
    for n, step in enumerate(steps):
        yield b"%04d" % n if step is None else step


@given(st.lists(st.one_of(st.none(), st.sampled_from(FAULTS)), max_size=60))
def test_sent_is_received_in_order(tmp_path_factory: pytest.TempPathFactory, steps: list[str | None]) -> None:
    """Whatever happens in between, the broker has every durable record, first occurrences in the order of sending."""
    house = House(tmp_path_factory.mktemp("house"))
    sent: list[bytes] = []
    for step in numbered(steps):
        if isinstance(step, bytes):
            assert house.publisher.send("t", b"k", step)
            sent.append(step)
            house.turns(0.1)
        elif step == CRASH:
            del sent[house.publisher.durable - house.publisher.sent + len(sent) :]
            house.restart()
        elif step == STOP:
            house.publisher.close()
            house.restart()
        else:
            house.broker.mood = step
            house.turns(3)
    house.broker.mood = BACK
    house.turns(10)
    received = first_seen(house.broker.log)
    assert [r for r in received if r in set(sent)] == sent
    assert house.publisher.durable == house.publisher.sent


def test_without_faults_nothing_touches_the_disk(tmp_path: Path) -> None:
    """The straight road: each record once, no file."""
    house = House(tmp_path)
    for n in range(20):
        house.publisher.send("t", b"k", b"%d" % n)
        house.turns(0.1)
    assert house.broker.log == [b"%d" % n for n in range(20)]
    assert list(tmp_path.glob("*.log")) == []


def test_a_broker_that_comes_back_gets_each_record_once(tmp_path: Path) -> None:
    """While the process lives, going over the spool doubles nothing: what is under way is not sent again."""
    house = House(tmp_path)
    house.broker.mood = AWAY
    for n in range(30):
        assert house.publisher.send("t", b"k", b"%02d" % n)
        house.turns(0.5)
    assert house.publisher.away
    assert house.publisher.durable == house.publisher.sent == 30
    assert house.broker.log == []
    house.broker.mood = BACK
    house.turns(5)
    house.publisher.send("t", b"k", b"after")
    house.turns(1)
    assert house.broker.log == [*(b"%02d" % n for n in range(30)), b"after"]
    assert list(tmp_path.glob("*.log")) == []


def test_killed_while_the_broker_is_away(tmp_path: Path) -> None:
    """What the spool had, the next process sends before anything new."""
    house = House(tmp_path)
    house.broker.mood = AWAY
    for n in range(10):
        house.publisher.send("t", b"k", b"%d" % n)
        house.turns(1)
    house.restart()
    house.publisher.send("t", b"k", b"new")
    house.broker.mood = BACK
    house.turns(5)
    assert house.broker.log == [*(b"%d" % n for n in range(10)), b"new"]


def test_a_full_spool_is_told_and_recovers(tmp_path: Path) -> None:
    """send says no, nothing accepted is lost, and `roomy` says when it is worth going on."""
    house = House(tmp_path, limit=400)
    house.broker.mood = AWAY
    answers = []
    for n in range(40):
        answers.append(house.publisher.send("t", b"k", b"%040d" % n))
        house.turns(0.5)
    assert True in answers
    assert answers[-1] is False
    roomy = [house.publisher.roomy]
    house.broker.mood = BACK
    house.turns(5)
    roomy.append(house.publisher.roomy)
    assert roomy == [False, True]
    accepted = [b"%040d" % n for n, taken in enumerate(answers) if taken]
    assert house.broker.log == accepted


def test_a_clean_stop_leaves_the_rest_on_disk(tmp_path: Path) -> None:
    """close does not wait for a broker that is away for longer than it may, and keeps everything."""
    house = House(tmp_path)
    house.broker.mood = AWAY
    house.publisher.send("t", b"k", b"last")
    before = house.clock.monotonic()
    house.publisher.close()
    assert house.clock.monotonic() - before <= publish.FLUSH + 1
    house.restart()
    house.broker.mood = BACK
    house.turns(2)
    assert house.broker.log == [b"last"]


def test_a_refused_record_blocks_and_is_tried_again(tmp_path: Path) -> None:
    """Missing rights on a topic lose nothing: records wait in the spool, in order, until the broker takes them."""
    house = House(tmp_path)
    house.broker.mood = REFUSE
    for n in range(4):
        house.publisher.send("t", b"k", b"%d" % n)
        house.turns(2)
    assert house.broker.log == []
    assert house.publisher.durable == 4
    house.broker.mood = BACK
    house.turns(5)
    assert first_seen(house.broker.log) == [b"0", b"1", b"2", b"3"]
