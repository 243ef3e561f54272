"""An open call: its legs, the facts between them, and what was said of it last."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from streams.processors.folding.legs import Age, Leg

Row = dict[str, Any]


class Fact(NamedTuple):
    """An event that concerns more than its own leg."""

    ts: int
    seq: int
    type: str
    leg: str
    peer: str
    queue: str
    agent: str
    by: str
    data: Mapping[str, str]


class Known(NamedTuple):
    """What enrichment knew of a number when the call first showed it."""

    ts: int
    seq: int
    customer: Row


@dataclass(slots=True, eq=False)
class Told:
    """What records tell of a call, each source apart from the others and from what was heard live."""

    cel: "OpenCall | None" = None
    """CEL tells what live events tell, so it is taken in as they are."""
    cdr: list[Row] = field(default_factory=list)
    queue_log: list[Row] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    last_at: int = 0
    given_up: bool = False
    """No end came for hours: none is waited for."""

    def over(self, call: "OpenCall") -> bool:
        """Whether no leg is open: the better source is asked, and another one where it does not know the end."""
        cel = self.cel
        if self.given_up:
            return call.open_legs == 0
        if call.legs:
            return call.open_legs == 0 or (cel is not None and _ended(call, cel))
        if cel is not None and cel.legs:
            return cel.open_legs == 0
        done = {row["leg_id"] for row in self.cdr} | {row["leg_id"] for row in self.queue_log if _leaves(row)}
        return all(row["leg_id"] in done for row in self.queue_log)

    def absorb(self, other: "Told") -> None:
        """Take in what was told of a call that turned out to be part of this one."""
        if self.cel is not None and other.cel is not None:
            self.cel.absorb(other.cel)
        self.cel = self.cel or other.cel
        self.cdr += other.cdr
        self.queue_log += other.queue_log
        self.last_at = max(self.last_at, other.last_at)
        for number, known in other.known.items():
            self.known[number] = min(known, self.known.get(number, known), key=itemgetter(0, 1))


def _ended(call: "OpenCall", cel: "OpenCall") -> bool:
    """Whether CEL knows the end of every leg that seems open."""
    if len(cel.legs) - cel.open_legs < call.open_legs:
        return False
    told = cel.legs
    return all(
        leg.ended_at is not None or (name in told and told[name].ended_at is not None)
        for name, leg in call.legs.items()
    )


def _leaves(row: Row) -> bool:
    """Whether a caller's way through a queue ends there."""
    if row["type"] == "queue.left":
        return bool(row["data"].get("reason") != "connected")
    return row["type"] in {"agent.completed", "transfer.completed"}


@dataclass(slots=True, eq=False, kw_only=True)
class OpenCall:
    """Everything that the record of a call is computed from. Order of arrival leaves no trace in it beyond a leg's own."""

    id: str
    age: Age
    tenant: str
    pbx: str
    merge_key: str
    low: int
    """Offset of its first event: a new owner of the partition reads from there."""
    touched: int
    """When its last event was processed, by our clock."""
    rev: int = 0
    said: Row | None = None
    """The record as it was last emitted, and its bytes."""
    said_bytes: bytes = b""
    changed: bool = True
    """Something came since `said`."""
    last_at: int = 0
    events: int = 0
    since_room: int = 0
    """Events since the call was bounded last, or began."""
    full: bool = False
    """It holds as much as a call may: only the ends of its legs are taken in."""
    next_due: int = 0
    """So many events it must have for the next revision of a long talk: a conference is not told again at every joining."""
    open_legs: int = 0
    rang: bool = False
    natives: set[str] = field(default_factory=set)
    tokens: list[str] = field(default_factory=list)
    """Every name under which events find this call."""
    seen: set[bytes] = field(default_factory=set)
    legs: dict[str, Leg] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    bridges: dict[str, set[str]] = field(default_factory=dict)
    """Who is in which talk bridge at the moment, in the order of arrival: a hint that a revision may be due."""
    known: dict[str, Known] = field(default_factory=dict)
    """By number, decided by its first event: a contact that changes in mid-call does not change the call."""
    flags: set[str] = field(default_factory=set)
    told: Told | None = None
    """None as long as it is known from live events alone, which is nearly always."""

    @property
    def over(self) -> bool:
        return self.open_legs == 0 if self.told is None else self.told.over(self)

    @property
    def latest_at(self) -> int:
        """When the PBX said something of it last, live or in a record."""
        return self.last_at if self.told is None else max(self.last_at, self.told.last_at)

    def absorb(self, other: "OpenCall") -> None:
        """Take in everything of a call that turned out to be part of this one."""
        self.low = min(self.low, other.low)
        self.touched = max(self.touched, other.touched)
        self.last_at = max(self.last_at, other.last_at)
        self.events += other.events
        self.since_room += other.since_room
        self.full = self.full or other.full
        self.open_legs += other.open_legs
        self.rang = self.rang or other.rang
        self.natives |= other.natives
        self.tokens += other.tokens
        self.seen |= other.seen
        self.legs.update(other.legs)
        self.facts += other.facts
        self.flags |= other.flags
        self.changed = True
        if other.told is not None:
            self.told = self.told or Told()
            self.told.absorb(other.told)
        for bridge, inside in other.bridges.items():
            self.bridges.setdefault(bridge, set()).update(inside)
        for number, known in other.known.items():
            self.known[number] = min(known, self.known.get(number, known), key=itemgetter(0, 1))
