"""The example records of every topic (`examples/<topic>.json`), shared by all tests and by the documentation.

Fields that are missing have their default. Bytes are written in hex.
"""

import json
from dataclasses import fields
from importlib.resources import files
from typing import Any, get_args, get_type_hints

from schemas import events
from schemas.topics import DEAD_SUFFIX, manifest


def samples(topic: str) -> list[Any]:
    """The example records of a topic; the dead-letter twins share theirs."""
    file = "dead-letters" if topic.endswith(DEAD_SUFFIX) else topic
    rows = json.loads(files("schemas").joinpath(f"examples/{file}.json").read_text(encoding="utf-8"))
    kind = getattr(events, manifest().topics[topic].record)
    return [_record(kind, row) for row in rows]


def _record(kind: type, row: dict[str, Any]) -> Any:
    hints = get_type_hints(kind)
    assert set(row) <= {f.name for f in fields(kind)}, f"{kind.__name__} has no {set(row) - set(hints)}"
    return kind(**{name: _value(hints[name], value) for name, value in row.items()})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(value, list):
        item = get_args(hint)[0]
        return tuple(_record(item, v) if isinstance(v, dict) else v for v in value)
    if isinstance(value, str) and (hint is bytes or bytes in get_args(hint)):
        return bytes.fromhex(value)
    return value
