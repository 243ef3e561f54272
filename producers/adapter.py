"""The shape of a PBX adapter: configuration, a feed that does the I/O, and a pure `normalise`.

    adapter = Adapter(config=Config, feed=feed, normalise=normalise)

A feed gives batches of frames and notices, each with the position that its source can be read on from. The runtime
(`producers.run`) normalises, publishes, and saves a position once everything before it is durable.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from producers.numbers import NumberPlan
from schemas.events import CallEvent
from streams.runtime.clock import Clock

C = TypeVar("C")
Position = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a PBX, as it came."""

    raw: bytes
    received_at: int
    """µs since the epoch by our clock."""
    seq: int = 0
    """Rising within one reading session."""
    ordinal: int = 0
    """How many identical frames came before it: part of its identity."""
    facts: Mapping[str, str] | None = None
    """What the feed knows of it that its bytes do not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A fact about the source itself: source.up, source.down, gap.detected, gap.resolved."""

    type: str
    ts: int
    """µs, by the PBX's clock as far as it is known."""
    received_at: int
    seq: int = 0
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a feed has read. An empty one only lets the runtime do its own work."""

    items: Sequence[Frame | Notice] = ()
    position: Position | None = None
    """Where to read on once these items are durable (JSON values); None: no new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a feed is given when it starts to read."""

    pbx: str
    clock: Clock
    chance: random.Random
    stop: threading.Event
    position: Position
    """As it was last saved; empty at the very first time."""
    lost: int = 0
    """Events that were received and could not be kept since `position`: a full spool. To be told with the gap."""


Feed = Callable[[Reading], Iterator[Batch]]
"""Called once per reading session. Yields at least every 200 ms, ends cleanly soon after `stop` is set (and then tells
source.down), retries what can be retried, and raises Fatal when a person is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[C]):
    """What makes `normalise` exact beside the frame: whose PBX it is, and its number plan."""

    tenant: str
    pbx: str
    numbers: NumberPlan
    config: C
    agents: Mapping[str, str] = field(default_factory=dict)
    """Interface, device or queue member's name to the agent's id, where that is not the extension."""

    @property
    def merge_key(self) -> str:
        return f"{self.tenant}/{self.pbx}"


def _itself(_config: object) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter(Generic[C]):
    """One PBX protocol. The module's name is the adapter's name."""

    config: type[C]
    """A frozen dataclass; its fields are the keys of `[pbx.<name>]`, each with a docstring."""
    feed: Callable[[C], Feed]
    normalise: Callable[[Frame, Context[C]], Iterator[CallEvent]]
    """Pure: no clock, no socket, no state. Raises Reject when the frame cannot be read, never anything else. A frame
    that carries no fact of the taxonomy gives no event."""
    replays: bool = False
    """The source keeps what was not read yet (a file): a full spool is waited for instead of told as a gap."""
    of: Callable[[C], str] = _itself
    """The PBX whose events these are, when it is another than the section's name; "" for its own."""


def event_id(tenant: str, pbx: str, identity: bytes, ordinal: int, index: int = 0) -> bytes:
    """The 16-byte id of the `index`-th event of a frame; `identity` must be the same for every reader of the source."""
    head = f"{tenant}\0{pbx}\0{ordinal}\0{index}\0".encode()
    return blake2b(head + identity, digest_size=16).digest()


class Ordinals:
    """Counts identical frames, remembering at least the last `size` different ones."""

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def of(self, raw: bytes) -> int:
        """How often these very bytes came before."""
        seen = self._young.get(raw)
        if seen is None:
            seen = self._old.get(raw, 0)
            if len(self._young) >= self._size:
                self._old, self._young = self._young, {}
        self._young[raw] = seen + 1
        return seen
