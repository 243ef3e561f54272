"""The scenarios of `stories.toml` as values, and the truth of a call that was played."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One telephone that rang for the call."""

    agent: str
    result: Literal["answered", "no_answer", "busy", "declined", "cancelled"]
    """cancelled: somebody else took the call, it was forwarded, or the caller left."""
    kind: Literal["agent", "consult"] = "agent"
    """consult: rang for a talk between two agents before a transfer, which he then got as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One stay of the caller in a queue."""

    queue: str
    reason: Literal["connected", "abandoned", "timeout", "empty", "full", "key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is true of one call, whenever it is played."""

    direction: Literal["inbound", "outbound", "internal"]
    starts: Literal["caller", "click", "callback"] = "caller"
    """click: the PBX rings the telephone `caller` and then dials; callback: it calls the customer, then the agent."""
    caller: str
    """Who starts it: an extension, or a customer's number as the carrier sends it (or hides it)."""
    caller_name: str = ""
    hidden: bool = False
    """The caller's number is withheld: nobody in the house may know it."""
    customer_number: str = ""
    """E.164 as the house may know it; "" when hidden or when there is no customer."""
    dialled: str
    """As the caller dials it; in an inbound call this is the DID."""
    stays: tuple[Stay, ...] = ()
    """The queues that the caller waited in, in order, and how each wait ended."""
    offers: tuple[Offer, ...] = ()
    """The telephones of the house that rang, in order; those that rang together by number."""
    took: tuple[str, ...] = ()
    """Telephones that came to the customer without having rung for it: who picked up, retrieved, joined a conference."""
    outcome: str
    """In the words of the record of a call: answered, abandoned, abandoned_ringing, busy, no_answer, voicemail, …"""
    cause: int | None = None
    """Q.850, where the end has one that tells."""
    answered_by: str = ""
    """Number of the first person who answered; "" when only a queue, a menu or a mailbox did."""
    last_agent: str = ""
    """Extension of the agent who talked last."""
    hangup_by: Literal["customer", "agent", "caller", "callee", "system"]
    """caller: the telephone of the house that started the call; callee: somebody outside, other than the customer."""
    held_s: float = 0.0
    holds: int = 0
    """How often the customer was held; music while an agent consults another counts."""
    transfer: Literal["", "blind", "attended"] = ""
    transferred_to: str = ""
    parked: Literal["", "retrieved", "timeout"] = ""
    """The agent parked the customer, and how that ended."""
    diverted: tuple[str, ...] = ()
    """How a ringing call went to somebody else (forward, pickup), whose it was and who got it."""
    conference: str = ""
    """The room in which they met."""
    recordings: int = 0

    @property
    def queue(self) -> str:
        """The last queue that the caller entered, or ""."""
        return self.stays[-1].queue if self.stays else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story(Facts):
    """A call as its parties live it: the facts, and the scripts that bring them about."""

    patience: float = 20.0
    """Seconds after which the caller gives up when nothing answers."""
    after_answer: str = "talk=20"
    """The caller's script once anything answers: a person, a queue, a menu, a mailbox."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Script by number called; `201-again` is that of the second time."""
    dials: Mapping[str, str] = field(default_factory=dict)
    """Script by telephone of the house that dials when somebody's script tells it to: `do=call-201-600`."""
    sipp: Mapping[str, str] = field(default_factory=dict)
    """Scenario of `sipp/` by telephone, for those that sipp plays;"""
    sipp_to: str = ""
    """the telephone that it sends the call to."""
    beside: str = ""
    """Has to be played together with that story,"""
    delay: float = 0.0
    """so many seconds after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One telephone's part as the outside saw it, times in µs UTC."""

    number: str
    called: bool
    """It was called; otherwise it dialled."""
    created: int
    up: int | None = None
    ended: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth(Facts):
    """What really happened in one call. Times are µs UTC by the clock of the outside, which is this machine's."""

    scenario: str
    started_at: int
    """The caller's INVITE left."""
    connected_at: int | None
    """The first person picked up; None when nobody did."""
    ended_at: int
    """The last telephone of the call was put down."""
    linkedid: str
    """The PBX's own id of the call: the uniqueid of its first channel."""
    legs: tuple[Leg, ...] = ()
    """Every telephone outside the PBX, the one that began the call first."""

    @property
    def did(self) -> str:
        """The number of the house that was called from outside, or ""."""
        return self.dialled if self.direction == "inbound" else ""


STORIES: Mapping[str, Story] = TypeAdapter(Mapping[str, Story]).validate_python(
    tomllib.loads(Path(__file__).with_name("stories.toml").read_text(encoding="utf-8"))
)
