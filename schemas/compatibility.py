"""FULL_TRANSITIVE: every released version of a schema can read every other, by Avro's resolution rules.

Source: Avro 1.12 specification, "Schema Resolution".
"""

from collections.abc import Iterator
from typing import Any

from schemas.topics import Schema

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}


def conflicts(schema: Schema) -> list[str]:
    """What keeps any two of the released versions and the one in work from reading each other; [] when all can."""
    versions: dict[str, Any] = {str(version): schema.parsed(version) for version, _ in schema.ids}
    versions["in work"] = schema.parsed()
    return [
        f"{schema.record}: version {reader} cannot read version {writer}: {reason}"
        for reader, read in versions.items()
        for writer, written in versions.items()
        for reason in unreadable(read, written)
    ]


def unreadable(reader: Any, writer: Any) -> list[str]:
    """Why a reader's schema cannot read what a writer's schema wrote, a line for each field; [] when it can."""
    return list(_Comparison(reader, writer).differences(reader, writer, ""))


class _Comparison:
    """Named types are defined once and then referred to, on each side by its own definitions."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader = dict(_named(reader))
        self._writer = dict(_named(writer))

    def differences(self, reader: Any, writer: Any, at: str) -> Iterator[str]:
        reader, writer = self._reader.get(_name(reader), reader), self._writer.get(_name(writer), writer)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.differences(reader, branch, at)
        elif isinstance(reader, list):
            if not any(not list(self.differences(branch, writer, at)) for branch in reader):
                yield f"{at or 'record'}: {_kind(writer)} is in no branch of the reader's union"
        elif _kind(reader) != _kind(writer):
            if _kind(reader) not in _PROMOTIONS.get(_kind(writer), ()):
                yield f"{at or 'record'}: {_kind(writer)} cannot be read as {_kind(reader)}"
        else:
            yield from self._same_kind(reader, writer, at)

    def _same_kind(self, reader: Any, writer: Any, at: str) -> Iterator[str]:
        kind = _kind(reader)
        if kind == "record":
            yield from self._fields(reader, writer, at)
        elif kind == "array":
            yield from self.differences(reader["items"], writer["items"], f"{at}[]")
        elif kind == "map":
            yield from self.differences(reader["values"], writer["values"], f"{at}{{}}")
        elif kind == "fixed" and reader["size"] != writer["size"]:
            yield f"{at}: fixed({writer['size']}) cannot be read as fixed({reader['size']})"
        elif kind == "enum" and not reader.get("default") and set(writer["symbols"]) - set(reader["symbols"]):
            yield f"{at}: symbols that the reader does not know and no default for them"
        if isinstance(reader, dict) and reader.get("logicalType") != writer.get("logicalType"):
            yield f"{at}: logical type {writer.get('logicalType')} became {reader.get('logicalType')}"

    def _fields(self, reader: Any, writer: Any, at: str) -> Iterator[str]:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            path = f"{at}.{field['name']}" if at else field["name"]
            if field["name"] in written:
                yield from self.differences(field["type"], written[field["name"]]["type"], path)
            elif "default" not in field:
                yield f"{path}: is not in the writer's version and has no default"


def _kind(schema: Any) -> str:
    kind: str = schema["type"] if isinstance(schema, dict) else str(schema)
    return kind


def _name(schema: Any) -> Any:
    return schema if isinstance(schema, str) else None


def _named(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _named(branch)
    elif isinstance(schema, dict):
        if "name" in schema:
            yield schema["name"], schema
        for inner in (*(f["type"] for f in schema.get("fields", ())), schema.get("items"), schema.get("values")):
            yield from _named(inner)
