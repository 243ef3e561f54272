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

    @property
    def over(self) -> bool:
        return self.open_legs == 0

    def absorb(self, other: "OpenCall") -> None:
        """Take in everything of a call that turned out to be part of this one."""
        self.low = min(self.low, other.low)
        self.touched = max(self.touched, other.touched)
        self.last_at = max(self.last_at, other.last_at)
        self.events += other.events
        self.open_legs += other.open_legs
        self.rang = self.rang or other.rang
        self.natives |= other.natives
        self.tokens += other.tokens
        self.seen |= other.seen
        self.legs.update(other.legs)
        self.facts += other.facts
        self.flags |= other.flags
        self.changed = True
        for bridge, inside in other.bridges.items():
            self.bridges.setdefault(bridge, set()).update(inside)
        for number, known in other.known.items():
            self.known[number] = min(known, self.known.get(number, known), key=itemgetter(0, 1))
