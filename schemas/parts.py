"""What the records of `schemas.events` are made of: the parts of a Call and of an AgentState.

Field order is the wire order, times are microseconds since the epoch, UTC; all durations are seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One agent's (or one dialled party's) part of a call, offered or connected."""

    agent: str
    number: str = ""
    name: str = ""
    leg_id: str = ""
    queue: str = ""
    kind: str = "agent"
    """agent, consult (the talk before an attended transfer), external or voicemail."""
    offered_at: int | None = None
    ringing_at: int | None = None
    connected_at: int | None = None
    ended_at: int | None = None
    ring_s: float | None = None
    talk_s: float | None = None
    hold_s: float | None = None
    result: str = ""
    """answered, no_answer, busy, declined, cancelled (somebody else took it, or the caller left), failed."""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Who took part, each once: the customer, every agent that was offered the call, other parties."""

    role: str
    """customer, agent, caller, callee or other."""
    number: str = ""
    e164: str = ""
    name: str = ""
    leg_id: str = ""
    answered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueVisit:
    queue: str
    entered_at: int
    left_at: int | None = None
    position: int | None = None
    wait_s: float | None = None
    reason: str = ""
    """connected, abandoned, timeout, empty, full, key, withdrawn, transferred or unknown."""
    agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    kind: str
    """blind or attended."""
    by: str = ""
    to: str = ""
    at: int
    result: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    leg_id: str = ""
    started_at: int
    ended_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    file: str = ""
    leg_id: str = ""
    started_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    at: int
    author: str = ""
    text: str = ""
    outcome: str = ""
    script: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """One time in a parking lot: neither talk nor hold."""

    leg_id: str = ""
    lot: str = ""
    space: str = ""
    by: str = ""
    started_at: int
    ended_at: int | None = None
    result: str = ""
    """retrieved, timeout, abandoned, swapped, or "" while it lasts."""
    retrieved_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversion:
    """A ringing call went to somebody else."""

    kind: str
    """forward (the telephone sent it on: 302) or pickup (somebody else took it)."""
    of: str = ""
    to: str = ""
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One queue's account of an agent."""

    queue: str
    """"" for a log-in that is not to a queue."""
    active: bool
    """False once the agent was taken out of it."""
    paused: bool = False
    reason: str = ""
    wrapup_s: float | None = None
    """Wrap-up that the PBX grants after a call of this queue; None when it did not tell."""
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """One telephone of an agent, apart from the calls that are seen."""

    interface: str
    state: str
    """available, ringing, on_call, hold, unavailable or unknown."""
    freed_at: int | None = None
    """When its last call that was seen ended."""
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLeg:
    """One channel of an agent that is alive."""

    leg_id: str
    call_id: str
    interface: str
    state: str
    """ringing, on_call, hold, or login for the channel of a log-in."""
    queue: str = ""
    at: int
