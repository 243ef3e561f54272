"""A set-up of the test's own on the session's broker and engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.runtime.config import ClickHouse
from tests.sinks.clickhouse.world import World
from tests.support.services import ClickHouseServer

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path, kafka: str, clickhouse: ClickHouseServer, database: str) -> Iterator[MakeWorld]:
    """A factory: `make_world(partitions=3)`; on another engine with `url` and `name`."""
    made: list[World] = []

    def make(partitions: int = 1, url: str = clickhouse.url, name: str = database) -> World:
        warehouse = ClickHouse(url=url, database=name, user=clickhouse.user, password=SecretStr(clickhouse.password))
        made.append(World(tmp_path, kafka, warehouse, partitions))
        return made[-1]

    yield make
    for world in made:
        world.stop()
