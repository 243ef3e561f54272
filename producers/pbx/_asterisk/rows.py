"""A row of a record source: a line of separated values, or a JSON object (a table's row, or `format = json`)."""

import csv
from collections.abc import Sequence

import orjson

from producers.tail import LONGEST
from streams.runtime.errors import Reject


def row(raw: bytes, layouts: Sequence[Sequence[str]], separator: str = ",") -> dict[str, str]:
    """The row by column, names in small letters. A line is read by the layout that has as many columns as it.

    Raises Reject when it is neither, or has another number of columns.
    """
    if len(raw) > LONGEST:
        raise Reject(f"a row of more than {LONGEST} bytes")
    if raw.startswith(b"{"):
        return _object(raw)
    try:
        cells = next(csv.reader([raw.decode("utf-8", "replace")], delimiter=separator, strict=True), [])
    except csv.Error as e:
        raise Reject(f"no CSV: {e}") from e
    columns = next((layout for layout in layouts if len(layout) == len(cells)), None)
    if columns is None:
        raise Reject(f"{len(cells)} columns; a row has {', '.join(str(len(layout)) for layout in layouts)}")
    return dict(zip(columns, cells, strict=True))


def _object(raw: bytes) -> dict[str, str]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise Reject("no JSON: a row begins with { and does not end") from e
    return {key.lower(): _text(value) for key, value in found.items()}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()
