"""The topic manifest (`topics.toml`): which topics exist, what they carry, how long, and under which schema number."""

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

DEAD_SUFFIX = ".dead"
DEAD_RETENTION_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One record type: its file in `avro/` and the wire number of each released version."""

    record: str
    file: str
    ids: tuple[tuple[int, int], ...]
    """(version, wire id), oldest first."""

    @property
    def current_id(self) -> int:
        return self.ids[-1][1]

    def text(self, version: int | None = None) -> str:
        """The schema as Avro JSON: the one in work, or a released version."""
        where = f"avro/{self.file}.avsc" if version is None else f"released/{self.file}/{version}.avsc"
        return files("schemas").joinpath(where).read_text(encoding="utf-8")

    def parsed(self, version: int | None = None) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text(version))
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic as `trunkline topics apply` creates it."""

    name: str
    record: str
    key: str
    partitions: int
    cleanup: str
    retention_days: int | None
    writer: tuple[str, ...]
    readers: tuple[str, ...]
    doc: str

    @property
    def dead(self) -> str:
        return self.name + DEAD_SUFFIX

    @property
    def settings(self) -> dict[str, str]:
        """The topic's Kafka settings."""
        settings = {"cleanup.policy": self.cleanup}
        if self.retention_days is not None:
            settings["retention.ms"] = str(self.retention_days * 86_400_000)
        return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    schemas: dict[str, Schema]
    topics: dict[str, Topic]
    """With the dead-letter twins."""


@cache
def manifest() -> Manifest:
    """The manifest that ships with this version."""
    raw = tomllib.loads(files("schemas").joinpath("topics.toml").read_text(encoding="utf-8"))
    schemas = {
        record: Schema(record=record, file=s["file"], ids=tuple(sorted((int(v), i) for v, i in s["ids"].items())))
        for record, s in raw["schema"].items()
    }
    topics: dict[str, Topic] = {}
    for name, t in raw["topic"].items():
        topics[name] = topic = Topic(
            name=name,
            record=t["record"],
            key=t["key"],
            partitions=t["partitions"],
            cleanup=t["cleanup"],
            retention_days=t.get("retention_days"),
            writer=tuple(t["writer"]),
            readers=tuple(t["readers"]),
            doc=t["doc"],
        )
        topics[topic.dead] = Topic(
            name=topic.dead,
            record="DeadLetter",
            key=topic.key,
            partitions=topic.partitions,
            cleanup="delete",
            retention_days=DEAD_RETENTION_DAYS,
            writer=tuple(dict.fromkeys((*topic.writer, *topic.readers))),
            readers=("trunkline dead",),
            doc=f"What could not be used of {name}, with its bytes and the reason.",
        )
    return Manifest(schemas=schemas, topics=topics)
