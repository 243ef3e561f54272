"""One PBX as the agents' states need it: its clock, who reads it, and the snapshots that are being read."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from streams.processors.presence.person import MICRO, Row

SILENT = 20 * MICRO
"""A reader that has not told of itself for so long is not counted on."""
FORGOTTEN = 60 * MICRO
"""A snapshot that has not come to its end by then never will."""


@dataclass(slots=True)
class _Snapshot:
    low: int
    """Offset of its first row."""
    at: int
    members: set[tuple[str, str]] = field(default_factory=set)
    """(agent, queue) as its rows have them."""


@dataclass(slots=True, eq=False)
class Site:
    latest: int = 0
    """Newest time of the PBX's clock that an event told, µs, and when that was by ours."""
    heard_at: int = 0
    live_until: int = 0
    """Newest time that a live event told."""
    readers: dict[str, int] = field(default_factory=dict)
    """Adapters (the same over all their sessions), and how far each is known to have read."""
    snapshots: dict[str, _Snapshot] = field(default_factory=dict)

    def hear(self, ts: int, now: int) -> None:
        self.latest, self.heard_at = max(self.latest, ts), max(self.heard_at, now)

    def live(self, ts: int) -> None:
        self.live_until = max(self.live_until, ts)

    def covers(self, ts: int) -> bool:
        """Whether live events have told of that time."""
        return ts <= self.live_until

    def now(self, now: int) -> int:
        """The PBX's clock at a moment of ours: while a backlog is read, it stands where the backlog does."""
        self.heard_at = self.heard_at or now  # a new owner has heard nothing yet
        return self.latest + max(0, now - self.heard_at)

    def note(self, row: Row, offset: int) -> None:
        """Remember a snapshot's row; also one that was answered before, for a new owner."""
        session = row["data"].get("session", "")
        if row["type"] in ("gap.resolved", "source.down"):
            self.snapshots.pop(session, None)
        elif row["synthetic"] and session and row["type"] == "agent.state":
            snapshot = self.snapshots.setdefault(session, _Snapshot(offset, row["ts"]))
            if row["queue"]:
                snapshot.members.add((row["agent"], row["queue"]))

    def source(self, row: Row) -> set[tuple[str, str]]:
        """What the source says of itself; the members of the snapshot that ends with it."""
        reader = _reader(row)
        if row["type"] == "source.down":
            self.readers.pop(reader, None)
        elif reader:
            self.readers[reader] = row["ts"]
        if row["type"] == "source.up":
            self.live(row["ts"])
            return set()
        found = self.snapshots.pop(row["data"].get("session", ""), None)
        return found.members if found is not None else set()

    def attended(self, row: Row) -> bool:
        """Whether another adapter was reading at the moment of that snapshot."""
        return any(each != _reader(row) and row["ts"] - read < SILENT for each, read in self.readers.items())

    def lows(self) -> Iterator[int]:
        return (snapshot.low for snapshot in self.snapshots.values())

    def trim(self) -> None:
        for session, snapshot in list(self.snapshots.items()):
            if self.latest - snapshot.at > FORGOTTEN:
                del self.snapshots[session]


def _reader(row: Row) -> str:
    reader: str = row["data"].get("reader") or row["data"].get("session", "")
    return reader
