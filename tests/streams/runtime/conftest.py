"""What the tests of the runtime share: logging as it was, and a small stage on the real Kafka."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.streams.runtime.keeper import Place1
from tests.streams.runtime.workers import Bench


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Commands set up logging for their own process; the tests after them have theirs back."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def here(kafka: str, tmp_path: Path) -> Iterator[Place1]:
    """One partition of a stage; the sessions on it are closed at the end."""
    bench = Bench(kafka, tmp_path, partitions=1)
    bench.make_topics()
    made = Place1(bench)
    try:
        yield made
    finally:
        made.stop.set()
        for session in made.sessions:
            session.__exit__(None, None, None)
