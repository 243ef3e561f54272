"""Commits of many partitions: what is due together goes in one request, and nobody waits for the answer."""

from collections.abc import Callable, Iterable
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


class _Wish(NamedTuple):
    commit: Commit
    done: Callable[[], None]


class Commits:
    """Used by the thread that polls the consumer. `done` of a commit is called once the broker has it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wanted: dict[Key, _Wish] = {}
        self._asked: dict[Key, _Wish] = {}
        self._not_before = float("-inf")

    def want(self, key: Key, commit: Commit, done: Callable[[], None]) -> None:
        """At most one at a time per partition."""
        self._wanted[key] = _Wish(commit, done)

    def forget(self, key: Key) -> None:
        self._wanted.pop(key, None)
        self._asked.pop(key, None)

    def send(self, consumer: Consumer) -> None:
        """Ask for what is wanted, unless an answer is still due. Raises Fatal when a person is needed."""
        if self._asked or not self._wanted or self._clock.monotonic() < self._not_before:
            return
        self._asked, self._wanted = self._wanted, {}
        try:
            consumer.commit(offsets=_places(self._asked), asynchronous=True)
        except KafkaException as e:
            self.answered(e.args[0], _places(self._asked))

    def answered(self, error: KafkaError | None, places: Iterable[TopicPartition]) -> None:
        """Take in the broker's answer; the consumer's `on_commit`, called while it is polled."""
        for place in places:
            key = place.topic, place.partition
            wish = self._asked.get(key)
            if wish is None or (wish.commit.offset, wish.commit.metadata) != (place.offset, place.metadata or ""):
                continue  # about a partition that was given away meanwhile
            del self._asked[key]
            if problem := place.error or error:
                self._again(key, wish, problem)
            else:
                wish.done()

    def settle(self, consumer: Consumer, keys: Iterable[Key]) -> None:
        """Commit what these partitions want now, before they are given away; what fails stays pending."""
        due: dict[Key, _Wish] = {}
        for key in keys:
            for wishes in (self._asked, self._wanted):
                if wish := wishes.pop(key, None):
                    due[key] = wish
        if not due:
            return
        try:
            places: Any = consumer.commit(offsets=_places(due), asynchronous=False)
        except KafkaException as e:
            log.info("sink.commit_failed", reason=e.args[0].name())
            return
        for place in places:
            if not place.error:
                due[place.topic, place.partition].done()

    def _again(self, key: Key, wish: _Wish, problem: KafkaError) -> None:
        if isinstance(verdict := kafka.mapped(problem, "committing"), Fatal):
            raise verdict
        log.info("sink.commit_again", topic=key[0], partition=key[1], reason=problem.name())
        self._wanted[key] = wish
        self._not_before = self._clock.monotonic() + _AGAIN


def _places(wishes: dict[Key, _Wish]) -> list[TopicPartition]:
    return [TopicPartition(*key, wish.commit.offset, wish.commit.metadata) for key, wish in wishes.items()]
