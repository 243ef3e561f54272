"""A field of the journal, or a contact's time, in the CRM's words and back. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

from streams.clients.rest import template
from streams.clients.rest.mapping import Column, TimeFormat
from streams.runtime.errors import Fatal, Reject

_OURS = "%Y-%m-%dT%H:%M:%SZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCALE = {"unix": 1_000_000, "unix_ms": 1_000}
_MILLISECONDS_FROM = 100_000_000_000
"""A number of seconds this large is in the year 5138: it counts milliseconds."""


def theirs(column: Column, ours: str) -> Any:
    """Our text as the CRM takes it; Reject where it is none of the column's type."""
    if not ours and (column.null or column.type != "text"):
        return None
    try:
        match column.type:
            case "integer":
                return int(ours)
            case "time":
                return moment(micros(ours), column.time)
            case _:
                return column.values.get(ours, ours)
    except ValueError:
        raise Reject(f"the field for {column.to} holds no {column.type}") from None


def ours(column: Column, entry: Any) -> str:
    """What an entry says, as our text; what cannot be read as its type stands as it is: a person may have written it."""
    found = template.first(entry, column.read or column.to)
    if found is None:
        return ""
    if column.type == "time":
        try:
            return datetime.fromtimestamp(micros(found) // 1_000_000, UTC).strftime(_OURS)
        except (ValueError, OverflowError):
            return str(found)
    return next((word for word, their in column.values.items() if their == found), str(found))


def moment(at: int, how: TimeFormat) -> str | int:
    """A time (µs) as the CRM writes it, in whole seconds or milliseconds."""
    if how == "rfc3339":
        return datetime.fromtimestamp(at // 1_000_000, UTC).strftime(_OURS)
    return at // _SCALE[how]


def micros(found: Any) -> int:
    """A time as microseconds: RFC 3339 (without an offset: UTC), or a number; ValueError when it is neither."""
    if isinstance(found, int | float) and not isinstance(found, bool):
        return round(found * (1_000 if found >= _MILLISECONDS_FROM else 1_000_000))
    when = datetime.fromisoformat(str(found))
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def told(found: Any, *where: str) -> int:
    """A time that an answer must hold, in microseconds, at the first path that has a value; Fatal when there is none."""
    there = (template.first(found, path) for path in where)
    try:
        return micros(next(value for value in there if value is not None))
    except (StopIteration, ValueError, OverflowError):
        raise Fatal(f"the CRM's answer has no time at {' or '.join(where)}: mend the mapping") from None
