"""Which events a partition has seen: two generations of ids, so that memory is bounded and the oldest go first."""


class Seen:
    """Remembers at most `limit` ids (about 98 bytes each), and at least the last half of that."""

    __slots__ = ("_generation", "_new", "_old")

    def __init__(self, limit: int) -> None:
        self._generation = max(1, limit // 2)
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def first(self, event_id: bytes) -> bool:
        """Tell whether this id comes for the first time, and remember it."""
        if event_id in self._new or event_id in self._old:
            return False
        self._new.add(event_id)
        if len(self._new) >= self._generation:
            self._old, self._new = self._new, set()
        return True

    def __len__(self) -> int:
        return len(self._new) + len(self._old)
