"""Commits of many partitions in one request, their answers, and what is done about errors."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from sinks.clickhouse.commits import Commits
from sinks.clickhouse.delivery import Commit
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal

A, B = ("calls", 0), ("calls", 1)


class FakeConsumer:
    """Remembers what it is asked to commit; answers a synchronous commit at once."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, int, int, str]]] = []
        self.error: KafkaError | None = None

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self.asked.append([(p.topic, p.partition, p.offset, p.metadata or "") for p in offsets])
        if self.error:
            raise KafkaException(self.error)
        return [] if asynchronous else offsets


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def commits(clock: ManualClock) -> Commits:
    return Commits(clock)


@pytest.fixture
def consumer() -> Any:
    return FakeConsumer()


def place(key: tuple[str, int], offset: int, metadata: str = "") -> TopicPartition:
    return TopicPartition(*key, offset, metadata)


def test_what_is_due_together_goes_in_one_request(commits: Commits, consumer: Any) -> None:
    """And the next request waits for the answer."""
    done: list[str] = []
    commits.want(A, Commit(offset=5, metadata="5:9"), lambda: done.append("a"))
    commits.want(B, Commit(offset=7, metadata=""), lambda: done.append("b"))
    commits.send(consumer)
    commits.want(("calls", 2), Commit(offset=1, metadata=""), lambda: done.append("c"))
    commits.send(consumer)
    assert consumer.asked == [[("calls", 0, 5, "5:9"), ("calls", 1, 7, "")]]
    commits.answered(None, [place(A, 5, "5:9"), place(B, 7)])
    assert done == ["a", "b"]
    commits.send(consumer)
    assert consumer.asked[1:] == [[("calls", 2, 1, "")]]


def test_an_answer_about_something_else_does_not_count(commits: Commits, consumer: Any) -> None:
    """A partition may have been given away and come back while an answer was on its way."""
    done: list[str] = []
    commits.want(A, Commit(offset=5, metadata="5:9"), lambda: done.append("a"))
    commits.send(consumer)
    commits.answered(None, [place(A, 5), place(A, 4, "4:4")])
    assert done == []
    commits.answered(None, [place(A, 5, "5:9")])
    assert done == ["a"]


def test_a_refused_commit_is_asked_for_again(commits: Commits, consumer: Any, clock: ManualClock) -> None:
    """A rebalance passes."""
    done: list[str] = []
    commits.want(A, Commit(offset=5, metadata=""), lambda: done.append("a"))
    commits.send(consumer)
    commits.answered(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), [place(A, 5)])
    commits.send(consumer)
    assert (done, len(consumer.asked)) == ([], 1)
    clock.advance(1)
    commits.send(consumer)
    assert len(consumer.asked) == 2


def test_a_commit_that_cannot_be_sent_is_asked_for_again(commits: Commits, consumer: Any, clock: ManualClock) -> None:
    """Such as before the group is joined again."""
    consumer.error = KafkaError(KafkaError._STATE)
    commits.want(A, Commit(offset=5, metadata=""), lambda: None)
    commits.send(consumer)
    clock.advance(1)
    commits.send(consumer)
    assert len(consumer.asked) == 2


def test_a_group_that_does_not_admit_us_needs_a_person(commits: Commits, consumer: Any) -> None:
    """No number of tries gives rights."""
    commits.want(A, Commit(offset=5, metadata=""), lambda: None)
    commits.send(consumer)
    with pytest.raises(Fatal, match="GROUP_AUTHORIZATION_FAILED"):
        commits.answered(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), [place(A, 5)])


def test_a_partition_that_is_given_away_commits_first(commits: Commits, consumer: Any) -> None:
    """What its new owner need not replay."""
    done: list[str] = []
    commits.want(A, Commit(offset=5, metadata=""), lambda: done.append("a"))
    commits.send(consumer)
    commits.want(B, Commit(offset=7, metadata=""), lambda: done.append("b"))
    commits.settle(consumer, [A, B])
    assert done == ["a", "b"]
    commits.answered(None, [place(A, 5)])
    commits.send(consumer)
    assert (done, len(consumer.asked)) == (["a", "b"], 2)


def test_a_forgotten_partition_is_not_committed(commits: Commits, consumer: Any) -> None:
    """It has another owner by now."""
    commits.want(A, Commit(offset=5, metadata=""), lambda: None)
    commits.forget(A)
    commits.send(consumer)
    commits.settle(consumer, [A])
    assert consumer.asked == []
