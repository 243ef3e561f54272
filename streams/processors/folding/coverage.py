"""Who read a PBX when, as its reading sessions say themselves: what one missed and no other read is a hole."""

from dataclasses import dataclass, field
from typing import NamedTuple

from streams.processors.folding.calls import Row
from streams.processors.folding.times import MICRO, Interval, merged, without

PATIENCE = 15 * MICRO
"""Without a word for so long, while another session told of itself, a session is dead: it tells every few seconds that
it reads. By the adapters' clocks: a backlog is nobody's silence."""
SILENCE = 60 * MICRO
"""And without a word for so long by our clock, whoever else is silent too."""
MOST = 512
"""Intervals that are kept; beyond it the oldest time may count as missed though it was read, never the other way."""


class Snapshot(NamedTuple):
    """`gap.resolved`: who was alive at `until`, where a session began to read that had missed all since `since`."""

    since: int
    until: int
    live: frozenset[str]
    restarted: bool
    reader: str


@dataclass(slots=True)
class Session:
    """One connection to the PBX: everything from `since` to `until` (µs, the PBX's clock) was read by it."""

    reader: str
    """The adapter behind it, the same over its restarts: a new session of a reader is the end of the old one."""
    since: int
    until: int
    told_at: int
    """When it told so last, by the adapter's clock; and by ours:"""
    heard_at: int


@dataclass(slots=True, eq=False)
class Coverage:
    """Of one merge scope. The order in which sessions tell leaves no trace in it."""

    gaps: list[Interval] = field(default_factory=list)
    read: list[Interval] = field(default_factory=list)
    """By sessions that are over."""
    sessions: dict[str, Session] = field(default_factory=dict)
    latest: int = 0
    """When any session told of itself last, by the adapters' clocks."""
    _holes: list[Interval] | None = field(default_factory=list)

    def tell(self, row: Row, now: int) -> None:
        """`source.up` and `source.down`: the session has read so far."""
        data = row["data"]
        name, since, until = data.get("session", ""), moment(data.get("since_us"), 0), moment(data.get("until_us"), 0)
        for old in [key for key, one in self.sessions.items() if one.reader == data.get("reader", "")]:
            if old != name:
                self._over(old)
        if since:
            known = self.sessions.get(name)
            if known is None:
                known = self.sessions[name] = Session(data.get("reader", ""), since, until, row["received_at"], now)
            known.since, known.until = min(known.since, since), max(known.until, until)
            known.told_at, known.heard_at = max(known.told_at, row["received_at"]), max(known.heard_at, now)
            self.latest = max(self.latest, known.told_at)
            self._holes = None
        if row["type"] == "source.down":
            self._over(name)

    def miss(self, since: int, until: int) -> None:
        """A session knows nothing of the time between."""
        if since < until:
            self.gaps = merged([*self.gaps, (since, until)])
            if len(self.gaps) > MOST:
                self.gaps[:2] = [(self.gaps[0][0], self.gaps[1][1])]
            self._holes = None

    def holes(self) -> list[Interval]:
        """What was missed by one session and read by none."""
        if self._holes is None:
            read = [*self.read, *((one.since, one.until) for one in self.sessions.values())]
            self._holes = without(self.gaps, merged(read)) if self.gaps else []
        return self._holes

    def awaited(self, until: int, reader: str, now: int) -> bool:
        """Whether an adapter other than `reader` is alive that has not yet told what it read up to then."""
        return any(
            one.until < until
            and one.reader != reader
            and self.latest - one.told_at < PATIENCE
            and now - one.heard_at < SILENCE
            for one in self.sessions.values()
        )

    def wake(self, now: int) -> None:
        """What was told so far was told silently: a session's silence counts from now."""
        for one in self.sessions.values():
            one.heard_at = now

    def trim(self, before: int) -> None:
        """Forget what lies wholly before that moment."""
        for name in [name for name, one in self.sessions.items() if one.until < before]:
            del self.sessions[name]
        self.gaps = [gap for gap in self.gaps if gap[1] >= before]
        self.read = [read for read in self.read if read[1] >= before][-MOST:]
        self._holes = None

    def _over(self, name: str) -> None:
        gone = self.sessions.pop(name, None)
        if gone is not None:
            self.read = merged([*self.read, (gone.since, gone.until)])[-MOST:]


def moment(text: str | None, otherwise: int) -> int:
    """A time in an event's data, µs."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else otherwise
