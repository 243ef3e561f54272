"""The records of every topic as frozen values. Field order is the wire order of the Avro schemas in `avro/`.

Times are microseconds since the epoch, UTC. Numbers are E.164 with the plus, or "" when unknown.
An id in these records is namespaced by its PBX (`pbx:native`) wherever two sources could collide.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.parts import (
    AgentLeg,
    Diversion,
    Hold,
    Membership,
    Note,
    Park,
    Participant,
    Phone,
    QueueVisit,
    Recording,
    Segment,
    Transfer,
)

__all__ = [
    "AgentLeg",
    "AgentState",
    "Call",
    "CallEvent",
    "Contact",
    "CrmWrite",
    "DeadLetter",
    "Diversion",
    "EnrichedCallEvent",
    "Hold",
    "Membership",
    "Note",
    "Park",
    "Participant",
    "Phone",
    "QueueVisit",
    "Recording",
    "Segment",
    "Transfer",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """One fact from a PBX. The place of the first two fields is part of the contract: both are sliced undecoded."""

    event_id: bytes
    """16 bytes, a hash over tenant, PBX and the event's native identity: the same fact always has the same id."""
    customer_number: str = ""
    tenant: str
    pbx: str
    merge_key: str
    type: str
    ts: int
    ts_precision: str = "us"
    """us, ms, s, minute, or arrival when the source gives no time."""
    received_at: int
    seq: int = 0
    """The adapter's own rising number: the order within one reading session."""
    call_id: str = ""
    """`pbx:native` id of the call as this event knows it (Asterisk: linkedid); calls can merge later."""
    leg_id: str = ""
    peer_leg_id: str = ""
    peer_call_id: str = ""
    channel: str = ""
    direction: str = ""
    """inbound, outbound, internal, or "" when this event alone does not tell."""
    caller_raw: str = ""
    caller_e164: str = ""
    caller_name: str = ""
    callee_raw: str = ""
    callee_e164: str = ""
    callee_name: str = ""
    did: str = ""
    queue: str = ""
    agent: str = ""
    cause: int | None = None
    """Q.850 cause."""
    by: str = ""
    synthetic: bool = False
    """True when inferred by a resync or made from a record, not sent by the PBX as it happened."""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrichedCallEvent(CallEvent):
    """A CallEvent and the customer behind its number: the event's bytes with a tail appended."""

    match: str = "none"
    """matched, ambiguous, none, hidden or internal."""
    crm: str = ""
    contact_id: str = ""
    company_id: str = ""
    contact_name: str = ""
    owner: str = ""
    """The CRM's user who is responsible for the customer."""
    priority: int = 0
    segment: str = ""
    candidates: tuple[str, ...] = ()
    """Contact ids that share the number, when ambiguous: never the first of them."""
    match_rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One physical call, whole at this revision; readers keep the highest `rev`.

    A duration that the source cannot know is None, never 0. All durations are seconds, from interval sets.
    """

    call_id: str
    rev: int
    tenant: str
    pbx: str
    merge_key: str
    state: str
    """ringing, queued, connected, ended, final, or merged (this call turned out to be part of `merged_into`)."""
    merged_into: str = ""
    direction: str = ""
    outcome: str = ""
    """answered, voicemail, abandoned, short_abandon, queue_timeout, queue_empty, queue_full, ivr_only, closed, busy,
    no_answer, rejected, abandoned_ringing, failed, or "" while open."""
    customer_number: str = ""
    customer_raw: str = ""
    did: str = ""
    caller_number: str = ""
    caller_e164: str = ""
    caller_name: str = ""
    dialled_number: str = ""
    dialled_e164: str = ""
    reached_number: str = ""
    reached_name: str = ""
    queue: str = ""
    agent: str = ""
    """The agent who talked last with the customer, or ""."""
    started_at: int
    ringing_at: int | None = None
    queued_at: int | None = None
    connected_at: int | None = None
    """First human talk."""
    ended_at: int | None = None
    updated_at: int
    ring_s: float | None = None
    queue_wait_s: float | None = None
    ivr_s: float | None = None
    wait_s: float | None = None
    talk_s: float | None = None
    hold_s: float | None = None
    duration_s: float | None = None
    hangup_by: str = ""
    hangup_cause: int | None = None
    segments: tuple[Segment, ...] = ()
    participants: tuple[Participant, ...] = ()
    queue_visits: tuple[QueueVisit, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    holds: tuple[Hold, ...] = ()
    recordings: tuple[Recording, ...] = ()
    notes: tuple[Note, ...] = ()
    native_ids: tuple[str, ...] = ()
    """Every native call id (linkedid) that was folded into this call."""
    match: str = "none"
    crm: str = ""
    contact_id: str = ""
    company_id: str = ""
    contact_name: str = ""
    owner: str = ""
    priority: int = 0
    segment: str = ""
    candidates: tuple[str, ...] = ()
    match_rule: str = ""
    quality: tuple[str, ...] = ()
    """gap, estimated, inferred, clock-skew, truncated and others: what to know before trusting a figure."""
    events: int = 0
    initiation: str = ""
    """incoming, dialled, originated (the PBX was told to make it: click-to-call, call-back), or "" when not known."""
    trunk: str = ""
    """The PBX's name of the line over which the customer's leg went."""
    answered_at: int | None = None
    """The customer's leg was first up, be it for a menu, a queue or a person."""
    billable_s: float | None = None
    """How long the customer's leg was up; 0 when it never was."""
    hangup_code: str = ""
    """The protocol's own code of the end (SIP: 486), where the PBX tells it."""
    conference: str = ""
    parks: tuple[Park, ...] = ()
    parked_s: float | None = None
    diversions: tuple[Diversion, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What the dialplan told of the call in words of its own; of a word that came twice, the last."""
    sources: tuple[str, ...] = ()
    """What the record is made of: live, snapshot, cel, cdr, queue_log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A CRM contact as enrichment needs it; a tombstone on the topic means deleted, merged away or erased."""

    tenant: str
    crm: str
    contact_id: str
    kind: str = "person"
    """person or company."""
    name: str = ""
    company_id: str = ""
    numbers: tuple[str, ...] = ()
    """E.164, each once, in the CRM's order."""
    raw_numbers: tuple[str, ...] = ()
    """As a person typed them, also those that are no telephone number."""
    owner: str = ""
    priority: int = 0
    segment: str = ""
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmWrite:
    """The ledger of one call in one CRM: what was meant, what is known to have happened."""

    tenant: str
    crm: str
    call_id: str
    state: str
    """INTENT, SENT, UNKNOWN, CONFIRMED or REFUSED."""
    rev: int
    """The revision of the Call that this entry is about."""
    external_id: str = ""
    contact_id: str = ""
    attempt: int = 0
    reason: str = ""
    written: Mapping[str, str] = field(default_factory=dict)
    """The fields as last confirmed: an update may touch only those that still read so."""
    call_ended_at: int | None = None
    at: int
    pending: Mapping[str, str] = field(default_factory=dict)
    """The fields that an unfinished write (INTENT, UNKNOWN) would set: what reads so is ours, not a person's edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record that could not be used: its bytes, where it stood, at which stage it failed and why."""

    topic: str
    """The topic it was read from, or was meant for when it never became a record."""
    partition: int = -1
    offset: int = -1
    key: bytes | None = None
    value: bytes | None = None
    stage: str
    reason: str
    trace: str = ""
    version: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """The state of an agent from `since` on, whole at this revision; the next number says when it ended.

    The lists at its end are what the state follows from: whoever has an agent's last record can go on.
    """

    tenant: str
    pbx: str
    agent_id: str
    interface: str = ""
    state: str
    """logged_out, available, ringing, on_call, hold, wrapup, paused, unavailable or unknown."""
    reason: str = ""
    queue: str = ""
    since: int
    received_at: int
    estimated: bool = False
    """`since` was not told: a snapshot showed the state, or a wrap-up began or ended by the clock."""
    state_id: str = ""
    """pbx:agent:number, the same in every revision."""
    number: int = 0
    """The how-manieth state of this agent, from 1, without a hole."""
    rev: int = 1
    name: str = ""
    previous: str = ""
    previous_since: int | None = None
    previous_s: float | None = None
    precision: str = "us"
    """us, ms, s, minute or arrival: how exactly the source tells the time of `since`."""
    call_id: str = ""
    queues: tuple[str, ...] = ()
    memberships: tuple[Membership, ...] = ()
    phones: tuple[Phone, ...] = ()
    legs: tuple[AgentLeg, ...] = ()
    wrapup_from: int | None = None
    wrapup_until: int | None = None
