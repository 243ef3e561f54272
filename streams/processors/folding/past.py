"""What was said of calls that are not open here: finished ones, which a late fact may still amend, within bounds."""

from dataclasses import dataclass

from streams.processors.folding import wire

_OVERHEAD = 450
"""Bytes of one entry beside its record: key, dict slot, objects; measured."""
_OVER = frozenset({"final", "merged"})
Key = tuple[str, str]
"""(merge key, call id)."""


@dataclass(slots=True, eq=False)
class Record:
    """The last record of a call."""

    value: bytes
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
        self._began = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, key: Key, value: bytes, said: wire.Said, at: int | None = None) -> None:
        """Remember the newest record of a call."""
        self.pop(key)
        self._records[key] = Record(value, said.state, said.merged_into, at)
        self.size += len(value) + _OVERHEAD

    def pop(self, key: Key) -> Record | None:
        found = self._records.pop(key, None)
        if found is not None:
            self.size -= len(found.value) + _OVERHEAD
        return found

    def final(self, merge_key: str, call_id: str) -> tuple[Key, Record] | None:
        """The finished call behind an id, also when that id was merged into it."""
        key = (merge_key, call_id)
        found = self._records.get(key)
        while found is not None and found.state == "merged":
            key = (merge_key, found.merged_into)
            found = self._records.get(key)
        return None if found is None or found.state != "final" else (key, found)

    def ended_at(self, record: Record) -> int:
        if record.ended_at is None:
            record.ended_at = wire.read_call(record.value)["ended_at"] or 0
        return record.ended_at

    def trim(self, now: int) -> None:
        """Let go of what is too old, and of the oldest finished calls while there is too much."""
        self._began = self._began or now
        surplus = self.size - self._most
        gone = []
        for key, record in self._records.items():
            old = (record.at or self._began) < now - self._keep
            if not old and surplus <= 0:
                break
            if old or record.state in _OVER:
                gone.append(key)
                surplus -= len(record.value) + _OVERHEAD
        for key in gone:
            self.pop(key)
