"""Which topic fills which table, and the Avro schemas that its records may have."""

from dataclasses import dataclass
from functools import cache

from schemas.codec import header
from schemas.topics import manifest
from sinks.clickhouse.avro import extended


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table and the topic of the manifest behind it."""

    topic: str
    """Its name in the manifest, without any prefix: the value of `_topic`."""
    name: str

    @property
    def record(self) -> str:
        return manifest().topics[self.topic].record


TABLES = (
    Table(topic="call-events-enriched", name="call_events"),
    Table(topic="calls", name="calls"),
    Table(topic="crm-writes", name="crm_writes"),
    Table(topic="agent-states", name="agent_states"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One released version of a record on the wire."""

    number: int
    schema: bytes
    """JSON of the writer's schema with the tail's fields."""


@cache
def formats(record: str) -> dict[bytes, Format]:
    """The released versions of a record type by the five bytes that stand before each body."""
    known = manifest().schemas[record]
    return {
        header(number): Format(
            number=number, schema=extended(known.parsed(None if number == known.current_id else version))
        )
        for version, number in known.ids
    }
