"""A set-up of the test's own on the session's broker and engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from sinks.clickhouse.sink import open_writer
from sinks.clickhouse.writer import ClickHouseWriter
from streams.runtime.config import ClickHouse, Settings
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


@pytest.fixture
def settings(clickhouse: ClickHouseServer, database: str) -> Settings:
    password = SecretStr(clickhouse.password)
    return Settings(
        clickhouse=ClickHouse(url=clickhouse.url, database=database, user=clickhouse.user, password=password)
    )


@pytest.fixture
def writer(settings: Settings) -> Iterator[ClickHouseWriter]:
    made = open_writer(settings)
    yield made
    made.close()


@pytest.fixture
def client(writer: ClickHouseWriter, clickhouse: ClickHouseServer, database: str) -> Iterator[Client]:
    """After the migrations."""
    with clickhouse.connect(database) as made:
        yield made
