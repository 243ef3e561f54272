"""One leg (channel) of a call as its own events tell it, in the order in which the PBX told them."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Row = dict[str, Any]
_NATIVE = re.compile(r"(\d+)\.(\d+)$")
_ENDPOINT = re.compile(r"[^/]+/(?:[^/]*/)?([^/@]+?)(?:@[^/]*)?-[0-9a-f]{8,}$")
PSEUDO = frozenset({"Announcer", "AsyncGoto", "CBAnn", "CBRec", "Message", "Recorder", "Snoop", "Surrogate"})
"""Technologies that Asterisk makes for itself: nobody is behind them, and they are no calls."""

Age = tuple[float, int]


def age(native: str, ts: int) -> Age:
    """Orders ids by creation: `[pbx:][systemname-]epoch.sequence` as numbers; an id of the caller's own making by `ts`."""
    found = _NATIVE.search(native)
    return (int(found[1]), int(found[2])) if found else (ts / 1e6, -1)


def technology(channel: str) -> str:
    return channel.partition("/")[0]


class Stay(NamedTuple):
    """A leg enters or leaves a bridge in which people talk."""

    ts: int
    seq: int
    bridge: str
    joined: bool


@dataclass(slots=True, eq=False)
class Leg:
    """What is known of a leg. Times are µs; None is not (yet) known."""

    id: str
    created_at: int
    last_at: int
    channel: str = ""
    local: str = ""
    """The stem of a Local channel, which its two halves share; "" for a real one."""
    agent: str = ""
    number: str = ""
    e164: str = ""
    name: str = ""
    customer: str = ""
    """E.164 of the party outside, as this leg's events know it."""
    direction: str = ""
    dialled: str = ""
    dialled_e164: str = ""
    did: str = ""
    hidden: bool = False
    inferred: bool = True
    """Its creation was not seen."""
    live: bool = False
    """First seen in a snapshot: how long it had been there is not known."""
    ringing_at: int | None = None
    answered_at: int | None = None
    asked_at: int | None = None
    """Its own side asked for the hang-up."""
    dropped_at: int | None = None
    """The PBX told it to go."""
    ended_at: int | None = None
    estimated: bool = False
    """`ended_at` was concluded, not told."""
    alive_at: int = 0
    """An audit showed it."""
    missed_at: int = 0
    """An audit did not show it."""
    cause: int | None = None
    code: str = ""
    """The protocol's own cause (SIP: 486)."""
    closed: bool = False
    """It came to where callers are told that nobody is there at this hour."""
    queue: str = ""
    """The queue that the dialplan was about to put it into."""
    stays: list[Stay] = field(default_factory=list)
    holds: list[tuple[int, bool]] = field(default_factory=list)
    """Its own telephone said hold, or took it back."""
    music: list[tuple[int, bool]] = field(default_factory=list)
    """Music on hold started or stopped on it."""

    def rename(self, channel: str) -> None:
        """Take the channel's name; a masquerade makes a Local channel the telephone behind it."""
        self.channel = channel
        self.local = channel.rpartition(";")[0] if technology(channel) == "Local" else ""

    @property
    def external(self) -> bool:
        """The party outside is behind this leg itself."""
        return self.e164 != "" and self.e164 == self.customer

    @property
    def endpoint(self) -> str:
        """The device's name in the channel's: `1001` of `PJSIP/1001-0000002a`."""
        found = _ENDPOINT.match(self.channel)
        return found[1] if found else ""
