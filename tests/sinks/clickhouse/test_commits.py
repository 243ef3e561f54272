"""Commits of many partitions in one request, and what is done about errors."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sinks.clickhouse.commits import Commits
from sinks.clickhouse.delivery import Commit
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Retry

A, B = ("calls", 0), ("calls", 1)


class Place:
    """What the consumer answers about a partition."""

    def __init__(self, place: TopicPartition, error: KafkaError | None) -> None:
        self.topic, self.partition, self.error = place.topic, place.partition, error


class FakeConsumer:
    """Remembers what it is asked to commit; `error` is for the whole request, `errors` for partitions."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, int, int, str]]] = []
        self.error: KafkaError | None = None
        self.errors: dict[int, KafkaError] = {}

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[Place]:
        assert not asynchronous
        self.asked.append([(p.topic, p.partition, p.offset, p.metadata or "") for p in offsets])
        if self.error:
            raise KafkaException(self.error)
        return [Place(p, self.errors.get(p.partition)) for p in offsets]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def commits(clock: ManualClock) -> Commits:
    return Commits(clock)


@pytest.fixture
def consumer() -> Any:
    return FakeConsumer()


def test_what_is_due_together_goes_in_one_request(commits: Commits, consumer: Any) -> None:
    """A commit costs a round trip, whatever the number of partitions."""
    done: list[str] = []
    commits.want(A, Commit(offset=5, metadata="5:9"), lambda: done.append("a"))
    commits.want(B, Commit(offset=7, metadata=""), lambda: done.append("b"))
    commits.send(consumer)
    commits.send(consumer)
    assert consumer.asked == [[("calls", 0, 5, "5:9"), ("calls", 1, 7, "")]]
    assert done == ["a", "b"]


def test_what_follows_from_a_commit_is_sent_too(commits: Commits, consumer: Any) -> None:
    """Such as the end of one batch, and the range of the next."""
    then = Commit(offset=9, metadata="9:9")
    commits.want(A, Commit(offset=9, metadata=""), lambda: commits.want(A, then, lambda: None))
    commits.send(consumer)
    assert consumer.asked == [[("calls", 0, 9, "")], [("calls", 0, 9, "9:9")]]


def test_a_refused_commit_is_asked_for_again_later(commits: Commits, consumer: Any, clock: ManualClock) -> None:
    """A rebalance passes; the other partitions have theirs."""
    done: list[str] = []
    consumer.errors = {0: KafkaError(KafkaError.REBALANCE_IN_PROGRESS)}
    commits.want(A, Commit(offset=5, metadata=""), lambda: done.append("a"))
    commits.want(B, Commit(offset=7, metadata=""), lambda: done.append("b"))
    commits.send(consumer)
    consumer.errors = {}
    commits.send(consumer)
    assert (done, len(consumer.asked)) == (["b"], 1)
    clock.advance(1)
    commits.send(consumer)
    assert (done, consumer.asked[1:]) == (["b", "a"], [[("calls", 0, 5, "")]])


def test_a_broker_that_is_away_is_waited_for(commits: Commits, consumer: Any, clock: ManualClock) -> None:
    """Nothing that was wanted is forgotten."""
    done: list[str] = []
    consumer.error = KafkaError(KafkaError._WAIT_COORD)
    commits.want(A, Commit(offset=5, metadata=""), lambda: done.append("a"))
    commits.send(consumer)
    consumer.error = None
    clock.advance(1)
    commits.send(consumer)
    assert (done, len(consumer.asked)) == (["a"], 2)


def test_a_group_that_does_not_admit_us_needs_a_person(commits: Commits, consumer: Any) -> None:
    """No number of tries gives rights."""
    consumer.error = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    commits.want(A, Commit(offset=5, metadata=""), lambda: None)
    with pytest.raises(Fatal, match="GROUP_AUTHORIZATION_FAILED"):
        commits.send(consumer)


def test_a_forgotten_partition_is_not_committed(commits: Commits, consumer: Any) -> None:
    """It has another owner by now."""
    commits.want(A, Commit(offset=5, metadata=""), lambda: None)
    commits.forget(A)
    commits.send(consumer)
    assert consumer.asked == []


@pytest.mark.parametrize("code", [KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL])
def test_a_session_that_is_over_is_not_used_any_more(commits: Commits, consumer: Any, code: int) -> None:
    """Only a new consumer gets rid of it."""
    consumer.errors = {0: KafkaError(code)}
    commits.want(A, Commit(offset=5, metadata=""), lambda: None)
    with pytest.raises(Retry):
        commits.send(consumer)
