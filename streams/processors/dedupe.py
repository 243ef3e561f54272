"""Which events a partition has seen: two generations of ids, so that memory is bounded and the oldest go first."""

from collections.abc import Set as AbstractSet


class Seen:
    """Remembers about `limit` ids at most (98 bytes each), and at least the last half of that.

    An id is seen when it is in `new` or in `old`. The hot loop looks there and adds to `new` by itself, for a call costs
    more than the look-up; it calls `turn` after each batch.
    """

    __slots__ = ("_generation", "new", "old")

    def __init__(self, limit: int) -> None:
        self._generation = max(1, limit // 2)
        self.new: set[bytes] = set()
        self.old: AbstractSet[bytes] = frozenset()

    def add(self, event_id: bytes) -> None:
        """Remember an id."""
        if event_id not in self.old:
            self.new.add(event_id)
        self.turn()

    def turn(self) -> None:
        """Let go of the old generation once the new one is full."""
        if len(self.new) >= self._generation:
            self.old, self.new = self.new, set()
