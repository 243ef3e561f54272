"""Following a database table that grows, by a rising column: a number, or a time as the engine or a text has it.

A row may become readable after others that stand above it (its transaction ended later, its writer was slow), so a part
below the highest row is read again and again; what was given from there is remembered by the hash of the row.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Protocol

import orjson
import structlog

from producers.adapter import Batch, Frame, Position, Reading

PAGE = 500
"""Rows of one query."""
LOOK_BACK = 15.0
"""Seconds between two readings of the part in which late rows are looked for."""

log = structlog.get_logger()


class Rows(Protocol):
    """A table as this needs it; `producers.database.Table` in life."""

    def rows(self, since: Any, limit: int) -> list[dict[str, Any]]:
        """At most `limit` rows in the order of their key, from `since` on, itself included; None: from the first."""
        ...

    def newest(self) -> Any:
        """The highest key, or None."""
        ...

    def close(self) -> None: ...


class Follow:
    """Reads on from a reading's position. `overlap` is in the key's own unit: numbers, or seconds of a time."""

    def __init__(self, reading: Reading, *, key: str, overlap: float, from_start: bool) -> None:
        self._clock, self._pbx = reading.clock, reading.pbx
        self._key, self._overlap = key, overlap
        self._seq = 0
        known = reading.position if reading.position.get("column") == key else {}
        self._skip = not from_start and not known
        """Nothing was ever read by this column: what the table holds by now is not given."""
        self._at: Any = _native(known.get("key"))
        self._seen: dict[str, Any] = {hash_: _native(at) for at, *hashes in known.get("seen", ()) for hash_ in hashes}
        self._look_back_at = self._clock.monotonic()

    def turn(self, table: Rows) -> Iterator[Batch]:
        """What is new, a page at a time; after LOOK_BACK also what came late. Raises what `table` raises."""
        if self._skip:
            self._at = table.newest()
            for _ in self._pages(table, self._behind()):
                pass  # remembered, not given
            self._skip = False
            yield Batch(position=self._position())
            return
        since = self._at
        if self._clock.monotonic() >= self._look_back_at:
            since = self._behind()
            self._look_back_at = self._clock.monotonic() + LOOK_BACK
        yield from self._pages(table, since)

    def _pages(self, table: Rows, since: Any) -> Iterator[Batch]:
        limit = PAGE
        while True:
            rows = table.rows(since, limit)
            if not rows and since is not None:
                self._begun_anew(table)
            frames = self._fresh(rows)
            if frames:
                yield Batch(items=frames, position=self._position())
            if len(rows) < limit:
                return
            last = _plain(rows[-1][self._key])
            limit = limit * 2 if last == _plain(since) else PAGE  # so many rows of one and the same key
            since = _native(last)

    def _fresh(self, rows: list[dict[str, Any]]) -> list[Frame]:
        """Rows that were not given before; equal ones of one key are told apart by their number."""
        now = self._clock.now()
        count: Counter[bytes] = Counter()
        frames = []
        for row in rows:
            raw = _raw(row)
            ordinal = count[raw]
            count[raw] += 1
            hash_ = blake2b(b"%d\0%b" % (ordinal, raw), digest_size=8).hexdigest()
            if hash_ in self._seen:
                continue
            key = _native(_plain(row[self._key]))
            self._seen[hash_] = key
            self._at = key if self._at is None else max(self._at, key)
            self._seq += 1
            frames.append(Frame(raw, now, self._seq, ordinal))
        if frames:
            edge = self._behind()
            self._seen = {hash_: key for hash_, key in self._seen.items() if key >= edge}
        return frames

    def _behind(self) -> Any:
        at = self._at
        if isinstance(at, datetime):
            return at - timedelta(seconds=self._overlap)
        if isinstance(at, str):
            return _text_behind(at, self._overlap)
        return None if at is None else at - round(self._overlap)

    def _begun_anew(self, table: Rows) -> None:
        """The highest row is gone. Numbers that begin again (TRUNCATE) are read from the first; a time goes on."""
        if not isinstance(self._at, int | float):
            return
        newest = table.newest()
        if newest is None or newest < self._at:
            log.warning("the table was emptied, and is read from its first row", pbx=self._pbx)
            self._at, self._seen = None, {}

    def _position(self) -> Position:
        by_key: dict[tuple[str, str], list[str]] = {}
        for hash_, key in self._seen.items():
            by_key.setdefault(_plain(key), []).append(hash_)
        return {
            "column": self._key,
            "key": _plain(self._at),
            "seen": [[key, *hashes] for key, hashes in by_key.items()],
        }


def _plain(key: Any) -> tuple[str, str]:
    """A key as JSON keeps it: how to read it, and its text."""
    if isinstance(key, datetime):
        return "time", key.isoformat()
    if isinstance(key, str) or key is None:
        return "text" if key is not None else "none", key or ""
    return "number", str(int(key)) if key == int(key) else repr(float(key))


def _native(plain: Any) -> Any:
    kind, text = plain or ("none", "")
    return _NATIVE[kind](text)


_NATIVE: Mapping[str, Callable[[str], Any]] = {
    "none": lambda _: None,
    "time": datetime.fromisoformat,
    "text": str,
    "number": lambda text: float(text) if "." in text or "e" in text else int(text),
}


def _text_behind(at: str, overlap: float) -> str:
    """A text that sorts as its time does: an epoch, or a printed time. Another one has nothing behind it."""
    try:
        return f"{float(at) - overlap:.6f}"
    except ValueError:
        pass
    try:
        return str(datetime.fromisoformat(at) - timedelta(seconds=overlap))[: len(at)]
    except ValueError:
        return at


def _raw(row: Mapping[str, Any]) -> bytes:
    """The row as a JSON object of texts, in the order of its names: the same for every reader."""
    return orjson.dumps({name.lower(): _text(value) for name, value in row.items()}, option=orjson.OPT_SORT_KEYS)


def _text(value: Any) -> str:
    match value:
        case None:
            text = ""
        case bytes() | bytearray() | memoryview():
            text = bytes(value).decode("utf-8", "replace")
        case float():
            text = f"{value:.6f}".rstrip("0").rstrip(".")
        case Decimal():
            text = f"{value:f}"
        case _:
            text = str(value)
    return text.encode("utf-8", "replace").decode()
