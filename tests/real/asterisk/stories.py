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
    """cancelled: somebody else took the call, or the caller left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is true of one call, whenever it is played."""

    direction: Literal["inbound", "outbound", "internal"]
    caller: str
    """Who starts it: an extension, or a customer's number as the carrier sends it (or hides it)."""
    caller_name: str = ""
    hidden: bool = False
    """The caller's number is withheld: nobody in the house may know it."""
    customer_number: str = ""
    """E.164 as the house may know it; "" when hidden or when there is no customer."""
    dialled: str
    """As the caller dials it; in an inbound call this is the DID."""
    queue: str = ""
    offers: tuple[Offer, ...] = ()
    """The telephones of the house that rang, in order; those that rang together by number."""
    outcome: str
    """In the words of the record of a call: answered, abandoned, abandoned_ringing, busy, no_answer, voicemail, …"""
    answered_by: str = ""
    """Number of the first person who answered; "" when only a queue, a menu or a mailbox did."""
    last_agent: str = ""
    """Extension of the agent who talked last."""
    hangup_by: Literal["customer", "agent", "caller", "system"]
    """caller: the telephone of the house that started the call."""
    held_s: float = 0.0
    transfer: Literal["", "blind", "attended"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story(Facts):
    """A call as its parties live it: the facts, and the scripts that bring them about."""

    patience: float = 20.0
    """Seconds after which the caller gives up when nothing answers."""
    after_answer: str = "talk=20"
    """The caller's script once anything answers: a person, a queue, a menu, a mailbox."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Script by number called."""


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

    @property
    def did(self) -> str:
        """The number of the house that was called from outside, or ""."""
        return self.dialled if self.direction == "inbound" else ""


STORIES: Mapping[str, Story] = TypeAdapter(Mapping[str, Story]).validate_python(
    tomllib.loads(Path(__file__).with_name("stories.toml").read_text(encoding="utf-8"))
)
