"""Tables, schemas and topics say the same."""

import re

import pytest

from schemas.topics import DEAD_SUFFIX, manifest
from sinks.clickhouse.migrate import migrations
from sinks.clickhouse.tables import TABLES, Table, formats


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_table_has_a_topic_and_the_constraint_that_names_it(table: Table) -> None:
    """The constraint is what finds a row that was read askew."""
    assert table.topic in manifest().topics
    assert any(
        re.search(rf"CREATE TABLE IF NOT EXISTS {table.name}\n.*CHECK _topic = '{table.topic}'", m.text, re.DOTALL)
        for m in migrations()
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_released_version_can_be_inserted(table: Table) -> None:
    """A topic may hold records of years."""
    known = manifest().schemas[table.record].ids
    assert sorted(f.number for f in formats(table.record).values()) == sorted(number for _, number in known)


def test_dead_letters_stay_in_kafka() -> None:
    """They are for `trunkline dead`."""
    assert not [t for t in TABLES if t.topic.endswith(DEAD_SUFFIX)]
