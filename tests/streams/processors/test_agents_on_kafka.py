"""Workers of the stage on the real Kafka: killed again and again, and the states are those of one that lived."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from schemas import codec
from schemas.events import AgentState
from tests.streams.processors.presence.shift import feed, task
from tests.streams.processors.test_agents_laws import EVENTS, plain
from tests.streams.runtime.workers import TOPICS_OF_AGENTS, Bench, until

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

WRAPUP_S = 600.0
"""So long that what comes next ends it, however slow this machine is."""


@pytest.fixture
def bench(kafka: str, tmp_path: Path) -> Iterator[Bench]:
    environ = {"TRUNKLINE_STREAMS__AGENTS__WRAPUP_SECONDS": str(WRAPUP_S)}
    made = Bench(kafka, tmp_path, partitions=2, stream="agents", topics=TOPICS_OF_AGENTS, environ=environ)
    made.make_topics()
    try:
        yield made
    finally:
        made.stop()


def said(bench: Bench) -> list[AgentState]:
    return [codec.decode(AgentState, value) for value in bench.output("agent-states").get(1, [])]


def test_a_worker_that_is_killed_leaves_no_trace(bench: Bench) -> None:
    """Each record once, in order, with its number, whatever a killed worker had in hand; and the snapshot is read again."""
    expected = feed(task(wrapup_seconds=WRAPUP_S), EVENTS)
    values = [codec.encode(event) for event in EVENTS]
    snapshot = next(at for at, event in enumerate(EVENTS) if event.data.get("event") == "QueueMember")
    cuts = [0, 9, snapshot + 1, len(values)]
    for start, end in pairwise(cuts):
        worker = bench.start()
        bench.produce(values[start:end], lambda _: 1)
        count = len(feed(task(wrapup_seconds=WRAPUP_S), EVENTS[:end]))
        until(lambda count=count: len(said(bench)) >= count, f"{count} records")  # type: ignore[misc]
        worker.kill()
        worker.wait(10)
    assert plain(said(bench)) == plain(expected)
