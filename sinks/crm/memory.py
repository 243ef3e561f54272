"""What this process remembers of the ledger: the last record of each call, within a bound, newest kept."""

import threading

from schemas.codec import decode
from schemas.events import CrmWrite

_OVERHEAD = 250
"""Bytes of a dict entry with its key and value objects, beside their contents."""


class Memory:
    """Records as they stand on the log, by partition and call. Used by the event loop and by the rebalance's thread.

    What had to be forgotten leaves a mark: a call that is older than the mark may have a record that nobody remembers.
    """

    def __init__(self, limit: int) -> None:
        """`limit` is in bytes, over all partitions."""
        self._limit, self._size = limit, 0
        self._records: dict[tuple[int, str], bytes] = {}  # in the order of writing
        self._marks: dict[int, int] = {}
        self._lock = threading.Lock()

    def put(self, partition: int, call_id: str, value: bytes) -> None:
        with self._lock:
            self._take((partition, call_id))
            self._records[partition, call_id] = value
            self._size += _cost(call_id, value)
            while self._size > self._limit and len(self._records) > 1:
                oldest = next(iter(self._records))
                at = decode(CrmWrite, self._take(oldest) or value).at
                self._marks[oldest[0]] = max(self._marks.get(oldest[0], 0), at)

    def last(self, partition: int, call_id: str) -> CrmWrite | None:
        with self._lock:
            value = self._records.get((partition, call_id))
        return decode(CrmWrite, value) if value is not None else None

    def mark(self, partition: int) -> int:
        """Microseconds: every record written later is remembered."""
        return self._marks.get(partition, 0)

    def forget(self, partition: int, *, mark: int = 0) -> None:
        """Drop the partition's records, and begin anew with this mark."""
        with self._lock:
            for key in [k for k in self._records if k[0] == partition]:
                self._take(key)
            self._marks[partition] = mark

    def _take(self, key: tuple[int, str]) -> bytes | None:
        value = self._records.pop(key, None)
        if value is not None:
            self._size -= _cost(key[1], value)
        return value


def _cost(call_id: str, value: bytes) -> int:
    return len(call_id) + len(value) + _OVERHEAD
