"""Commits of many partitions: what is due together goes in one request."""

from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from sinks.clickhouse.delivery import Commit
from streams.runtime import kafka
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal

log = structlog.get_logger()

Key = tuple[str, int]
"""Topic and partition."""

_AGAIN = 0.2
SESSION_IS_OVER = frozenset({KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL})  # noqa: SLF001 - it has no public name
"""Errors that only a new consumer is rid of. A broker that lost its memory in a crash can fence its own member."""


class _Wish(NamedTuple):
    commit: Commit
    done: Callable[[], None]


class Commits:
    """Used by the thread that polls the consumer: a commit from another one would wait until no `poll` is waiting.

    Commits are synchronous. The answer of an asynchronous one stands in the consumer's queue behind all that was fetched
    before it; this one takes about 4 ms, and while the brokers are away it ends with the session's time-out.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wanted: dict[Key, _Wish] = {}
        self._not_before = float("-inf")

    def want(self, key: Key, commit: Commit, done: Callable[[], None]) -> None:
        """At most one at a time per partition; `done` is called once the broker has it."""
        self._wanted[key] = _Wish(commit, done)

    def forget(self, key: Key) -> None:
        self._wanted.pop(key, None)

    def send(self, consumer: Consumer) -> None:
        """Commit what is wanted, and what is wanted because of that; what fails is wanted again a little later.

        Raises Retry when the session with the brokers is over, Fatal when a person is needed.
        """
        while self._wanted and self._clock.monotonic() >= self._not_before:
            asked, self._wanted = self._wanted, {}
            places = [TopicPartition(*key, wish.commit.offset, wish.commit.metadata) for key, wish in asked.items()]
            try:
                answer: Any = consumer.commit(offsets=places, asynchronous=False)
            except KafkaException as e:
                for key, wish in asked.items():
                    self._again(key, wish, e.args[0])
                return
            for place in answer:
                key = place.topic, place.partition
                if place.error:
                    self._again(key, asked[key], place.error)
                else:
                    asked[key].done()

    def _again(self, key: Key, wish: _Wish, problem: KafkaError) -> None:
        verdict = kafka.mapped(problem, "committing")
        if isinstance(verdict, Fatal) or problem.code() in SESSION_IS_OVER:
            raise verdict
        log.info("sink.commit_again", topic=key[0], partition=key[1], reason=problem.name())
        self._wanted[key] = wish
        self._not_before = self._clock.monotonic() + _AGAIN
