"""What was said of calls that are not open here: finished ones, which a late fact may still amend, within bounds."""

from dataclasses import dataclass
from itertools import takewhile

from streams.processors.folding import wire

_OVERHEAD = 450
"""Bytes of one entry beside its record: key, dict slot, objects; measured."""
_NAME = 160
"""Bytes of one name by which a record is found; measured."""
_OVER = frozenset({"final", "merged"})
Key = tuple[str, str]
"""(merge key, call id)."""


@dataclass(slots=True, eq=False)
class Record:
    """The last record of a call."""

    value: bytes
    rev: int
    state: str
    merged_into: str
    at: int | None
    """When it was put away by our clock; None: before this task began."""
    ended_at: int | None = None
    """Decoded when first needed."""


class Past:
    """Bounded by age and by bytes, oldest out first. Records of open calls are here only between recall and replay."""

    def __init__(self, keep_us: int, most_bytes: int) -> None:
        self._keep = keep_us
        self._most = most_bytes
        self._records: dict[Key, Record] = {}
        self._named: dict[Key, str] | None = None
        """(merge key, leg or native call) -> call id; made when the first record of a PBX asks for it."""
        self._began = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, key: Key, value: bytes, said: wire.Said, at: int | None = None) -> None:
        """Remember the highest revision of a call; the oldest finished calls make room for it."""
        known = self._records.get(key)
        if known is not None and known.rev > said.rev:
            return
        self.pop(key)
        self._records[key] = Record(value, said.rev, said.state, said.merged_into, at)
        self.size += len(value) + _OVERHEAD
        self._name(key, value)
        if self.size > self._most:
            self._make_room()

    def pop(self, key: Key) -> Record | None:
        found = self._records.pop(key, None)
        if found is not None:
            self.size -= len(found.value) + _OVERHEAD
            self._unname(key, found.value)
        return found

    def final(self, merge_key: str, call_id: str) -> tuple[Key, Record] | None:
        """The finished call behind an id, also when that id was merged into it."""
        key = (merge_key, call_id)
        found = self._records.get(key)
        while found is not None and found.state == "merged":
            key = (merge_key, found.merged_into)
            found = self._records.get(key)
        return None if found is None or found.state != "final" else (key, found)

    def named(self, merge_key: str, *names: str) -> tuple[Key, Record] | None:
        """The finished call that has one of these legs or native calls: for a record that comes late and knows no more."""
        if self._named is None:
            self._named = {}
            for key, record in self._records.items():
                self._name(key, record.value)
        for name in names:
            call_id = self._named.get((merge_key, name))
            found = None if call_id is None else self.final(merge_key, call_id)
            if found is not None:
                return found
        return None

    def _name(self, key: Key, value: bytes) -> None:
        if self._named is None:
            return
        for name in wire.names(value, key[1]):
            self.size += 0 if (key[0], name) in self._named else _NAME
            self._named[key[0], name] = key[1]

    def _unname(self, key: Key, value: bytes) -> None:
        if self._named is None:
            return
        for name in wire.names(value, key[1]):
            if self._named.get((key[0], name)) == key[1]:
                del self._named[key[0], name]
                self.size -= _NAME

    def ended_at(self, record: Record) -> int:
        if record.ended_at is None:
            record.ended_at = wire.read_call(record.value)["ended_at"] or 0
        return record.ended_at

    def trim(self, now: int) -> None:
        """Let go of what is too old."""
        self._began = self._began or now
        for key, _ in list(takewhile(lambda item: self._old(item[1], now), self._records.items())):
            self.pop(key)

    def _old(self, record: Record, now: int) -> bool:
        return now - (self._began if record.at is None else record.at) > self._keep

    def _make_room(self) -> None:
        """The oldest finished calls go, a sixteenth of the bound at once: it need not be done for every call."""
        gone = []
        surplus = self.size - self._most + self._most // 16
        for key, record in self._records.items():
            if surplus <= 0:
                break
            if record.state in _OVER:
                gone.append(key)
                surplus -= len(record.value) + _OVERHEAD
        for key in gone:
            self.pop(key)
