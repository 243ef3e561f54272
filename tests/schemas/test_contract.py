"""Nothing drifts: manifest, Avro files, released versions, values and examples say the same."""

from dataclasses import MISSING, fields
from importlib.resources import files
from typing import Any

import pytest
from fastavro.validation import validate

import producers
import schemas
import sinks
import streams
from schemas.codec import as_row, plain, record_types
from schemas.compatibility import conflicts, unreadable
from schemas.samples import samples
from schemas.taxonomy import EVENT_TYPES
from schemas.topics import DEAD_SUFFIX, Schema, manifest

SCHEMAS = list(manifest().schemas.values())
TOPICS = list(manifest().topics.values())


@pytest.mark.parametrize("package", [producers, schemas, sinks, streams])
def test_the_import_names_are_ours(package: Any) -> None:
    """Another distribution with such a common name would shadow the project silently."""
    assert files(package.__name__).joinpath("__init__.py").is_file()
    assert (files("schemas") / ".." / "streams" / "runtime" / "errors.py").is_file()


def test_every_avro_file_is_in_the_manifest() -> None:
    """A schema without a number could never be read."""
    on_disk = {f.name.removesuffix(".avsc") for f in files("schemas").joinpath("avro").iterdir()}
    assert on_disk == {schema.file for schema in SCHEMAS}


def test_every_schema_has_a_topic_and_every_topic_a_schema_and_a_twin() -> None:
    """No orphans on either side."""
    assert {t.record for t in TOPICS} == {s.record for s in SCHEMAS}
    plain_topics = [t for t in TOPICS if not t.name.endswith(DEAD_SUFFIX)]
    assert {t.dead for t in plain_topics} == {t.name for t in TOPICS} - {t.name for t in plain_topics}


def test_numbers_are_unique() -> None:
    """One number on the wire is one schema for ever."""
    numbers = [number for schema in SCHEMAS for _, number in schema.ids]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.record)
def test_the_schema_in_work_is_the_newest_released_one(schema: Schema) -> None:
    """A changed schema needs a new version and a new number before it can go on the wire."""
    assert schema.parsed() == schema.parsed(schema.ids[-1][0])


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.record)
def test_every_field_has_a_doc(schema: Schema) -> None:
    """The schema is the documentation that other teams read."""
    assert [where for where, doc in _docs(schema.parsed()) if not doc] == []


@pytest.mark.parametrize("record", list(record_types()), ids=lambda r: r.__name__)
def test_values_have_the_fields_and_defaults_of_their_schema(record: type) -> None:
    """Order is the wire order; a default in one place is the default in the other."""
    wire = manifest().schemas[record.__name__].parsed()["fields"]
    assert [f.name for f in fields(record)] == [f["name"] for f in wire]
    for value, avro in zip(fields(record), wire, strict=True):
        if value.default is not MISSING:
            given = value.default
            assert (list(given) if isinstance(given, tuple) else given) == avro["default"], value.name


def test_an_event_is_sliced_by_its_first_two_fields_and_enriched_by_its_last() -> None:
    """The place of these fields is part of the contract."""
    event, enriched = (manifest().schemas[r].parsed()["fields"] for r in ("CallEvent", "EnrichedCallEvent"))
    assert [f["name"] for f in event[:2]] == ["event_id", "customer_number"]
    assert enriched[: len(event)] == event


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.record)
def test_all_versions_read_each_other(schema: Schema) -> None:
    """FULL_TRANSITIVE over every released version."""
    assert conflicts(schema) == []


@pytest.mark.parametrize(
    ("reader", "writer", "reason"),
    [
        ("int", "string", "record: string cannot be read as int"),
        ("long", "int", None),
        ("int", "long", "record: long cannot be read as int"),
        (["null", "int"], "int", None),
        ("int", ["null", "int"], "record: null cannot be read as int"),
        ({"type": "fixed", "name": "F", "size": 8}, {"type": "fixed", "name": "F", "size": 16}, "fixed(16)"),
        (
            {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]},
            {"type": "record", "name": "R", "fields": []},
            "a: is not in the writer's version and has no default",
        ),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            {"type": "long", "logicalType": "timestamp-millis"},
            "logical type timestamp-millis became timestamp-micros",
        ),
        (
            {"type": "array", "items": {"type": "map", "values": "int"}},
            {"type": "array", "items": {"type": "map", "values": "string"}},
            "[]{}: string cannot be read as int",
        ),
    ],
)
def test_a_break_is_named(reader: Any, writer: Any, reason: str | None) -> None:
    """The check can fail, and says where."""
    found = unreadable(reader, writer)
    assert (found == []) if reason is None else (reason in found[0])


@pytest.mark.parametrize("topic", TOPICS, ids=lambda t: t.name)
def test_examples_are_valid_and_there_is_at_least_one(topic: Any) -> None:
    """Every topic has examples, and they are what its schema says."""
    known = plain(manifest().schemas[topic.record].parsed())
    found = samples(topic.name)
    assert found
    assert all(validate(as_row(record), known, strict=True) for record in found)


def test_event_types_of_the_examples_are_in_the_taxonomy() -> None:
    """A type outside the list would be unknown to every reader."""
    types = {event.type for event in samples("call-events")}
    assert types <= EVENT_TYPES


def _docs(schema: Any, at: str = "") -> list[tuple[str, str]]:
    if isinstance(schema, list):
        return [pair for branch in schema for pair in _docs(branch, at)]
    if not isinstance(schema, dict):
        return []
    found = _docs(schema.get("items"), at) + _docs(schema.get("values"), at)
    if schema.get("type") == "record":
        found.append((at or schema["name"], schema.get("doc", "")))
        for field in schema["fields"]:
            where = f"{at}.{field['name']}"
            found += [(where, field.get("doc", "")), *_docs(field["type"], where)]
    return found
