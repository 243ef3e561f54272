"""What a record has to say of a call, field by field, and which of it a source can know."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from schemas.events import Call, Segment
from tests.real.asterisk.house import PLAN, name_of
from tests.real.asterisk.stories import Truth

SECOND = 1_000_000
_TOGETHER = 200_000
"""µs within which the telephones that ring together begin to ring."""


@dataclass(frozen=True, slots=True)
class About:
    """A moment or a duration: as good as equal up to a second."""

    value: float | None
    unit: float = SECOND

    def __eq__(self, other: object) -> bool:
        if self.value is None or not isinstance(other, (int, float)):
            return self.value is other
        return abs(self.value - other) <= self.unit

    __hash__ = None  # type: ignore[assignment]


def _known_as(number: str) -> str:
    """A telephone of the house by its extension, anybody else in E.164."""
    return number if PLAN.is_extension(number) else PLAN.e164(number)


def hung_up_by(truth: Truth) -> str:
    """The truth names the customer, the record the customer's side of the call."""
    if truth.hangup_by != "customer":
        return truth.hangup_by
    return "caller" if truth.direction == "inbound" else "callee"


def _caller_name(truth: Truth) -> str:
    return "Anonymous" if truth.hidden else truth.caller_name or name_of(truth.caller)


def _expected_moves(truth: Truth) -> list[tuple[str, str, str]]:
    return [(truth.transfer, truth.transferred_to, "completed")] if truth.transfer else []


def _talks(truth: Truth) -> list[tuple[str, About]]:
    """The telephones of the house that talked with the customer, in order, and since when.

    Who was consulted first got the customer when the agent who had asked him left.
    """
    if truth.direction == "outbound" and truth.starts != "callback":
        return [(truth.caller, About(truth.connected_at))] if truth.connected_at else []
    answered = [offer for offer in truth.offers if offer.result == "answered"]
    consulted = {offer.agent for offer in answered if offer.kind == "consult"}
    asked = {leg.number: leg.ended for leg in truth.legs if leg.called and leg.number not in consulted}
    talks = []
    for leg in truth.legs:
        took = leg.number in truth.took and not leg.called
        if leg.up and (took or (leg.called and leg.number in {offer.agent for offer in answered})):
            since = max(ended or 0 for ended in asked.values()) if leg.number in consulted else leg.up
            talks.append((since, leg.number))
    return [(number, About(since)) for since, number in sorted(talks)]


def _talked(call: Call) -> list[Segment]:
    parts = [part for part in call.segments if part.kind == "agent" and part.connected_at is not None]
    return sorted(parts, key=lambda part: part.connected_at or 0)


def _answered(call: Call) -> list[str]:
    """The telephones of the house that answered, in the order in which they ended where the answer is not dated."""
    parts = [part for part in call.segments if part.kind in {"agent", "consult"} and part.result == "answered"]
    return list(dict.fromkeys(part.agent for part in sorted(parts, key=lambda part: part.ended_at or 0)))


def _rang_at(truth: Truth) -> list[tuple[str, About]]:
    """The telephones of the house that were rung, and when."""
    people = {offer.agent for offer in truth.offers}
    rung = [leg for leg in truth.legs[1:] if leg.called and leg.number in people]
    return [(leg.number, About(leg.created)) for leg in sorted(rung, key=lambda leg: (leg.number, leg.created))]


def _offered(call: Call) -> list[Segment]:
    """The parts of telephones of the house that were rung: who took the call from another one was not."""
    parts = [part for part in call.segments if part.offered_at is not None and part.kind != "external"]
    return [part for part in parts if part.connected_at is None or part.ringing_at or part.ring_s is not None]


def _rang(call: Call) -> Iterator[tuple[str, str]]:
    """Agent and result of each telephone of the house in the order of ringing; those that rang together by number."""
    ordered = []
    first = 0
    for part in _offered(call):
        at = part.offered_at or 0
        first = at if at > first + _TOGETHER else first
        ordered.append((first, part.agent, part.result))
    return ((agent, result) for _, agent, result in sorted(ordered))


def _talk_s(truth: Truth) -> float:
    talk = 0.0 if truth.connected_at is None else (truth.ended_at - truth.connected_at) / SECOND
    return talk - truth.held_s


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is judged: what the truth says, and where the record has it."""

    true: Callable[[Truth], Any]
    told: Callable[[Call], Any]


FIELDS: Mapping[str, Field] = {
    "direction": Field(lambda truth: truth.direction, lambda call: call.direction),
    "did": Field(lambda truth: PLAN.e164(truth.did) if truth.did else "", lambda call: call.did),
    "dialled": Field(lambda truth: truth.dialled, lambda call: call.dialled_number),
    "caller": Field(lambda truth: "anonymous" if truth.hidden else truth.caller, lambda call: call.caller_number),
    "caller_name": Field(_caller_name, lambda call: call.caller_name),
    "customer": Field(lambda truth: truth.customer_number, lambda call: call.customer_number),
    "reached": Field(lambda truth: _known_as(truth.answered_by), lambda call: call.reached_number),
    "agent": Field(lambda truth: truth.last_agent, lambda call: call.agent),
    "queue": Field(lambda truth: truth.queue, lambda call: call.queue),
    "stays": Field(
        lambda truth: [(stay.queue, stay.reason) for stay in truth.stays],
        lambda call: [(visit.queue, visit.reason) for visit in call.queue_visits],
    ),
    "offers": Field(
        lambda truth: [(offer.agent, offer.result) for offer in truth.offers], lambda call: list(_rang(call))
    ),
    "rang_at": Field(_rang_at, lambda call: sorted((part.agent, part.offered_at) for part in _offered(call))),
    "agents": Field(
        _talks,
        lambda call: [(part.agent, part.connected_at) for part in _talked(call)],
    ),
    "answered": Field(lambda truth: list(dict.fromkeys(number for number, _ in _talks(truth))), _answered),
    "outcome": Field(lambda truth: truth.outcome, lambda call: call.outcome),
    "hangup_by": Field(hung_up_by, lambda call: call.hangup_by),
    "cause": Field(lambda truth: truth.cause, lambda call: call.hangup_cause),
    "transfers": Field(_expected_moves, lambda call: [(move.kind, move.to, move.result) for move in call.transfers]),
    "parks": Field(
        lambda truth: [(truth.answered_by, truth.parked)] if truth.parked else [],
        lambda call: [(park.by, park.result) for park in call.parks],
    ),
    "diversions": Field(
        lambda truth: [truth.diverted] if truth.diverted else [],
        lambda call: [(one.kind, one.of, one.to) for one in call.diversions],
    ),
    "conference": Field(lambda truth: truth.conference, lambda call: call.conference),
    "holds": Field(lambda truth: truth.holds, lambda call: len(call.holds)),
    "hold_s": Field(lambda truth: About(truth.held_s, 1), lambda call: call.hold_s),
    "talk_s": Field(lambda truth: About(_talk_s(truth), 1), lambda call: call.talk_s),
    "recordings": Field(
        lambda truth: [True] * truth.recordings,
        lambda call: [bool(one.file and one.started_at and one.ended_at) for one in call.recordings],
    ),
    "started": Field(lambda truth: About(truth.started_at), lambda call: call.started_at),
    "connected": Field(lambda truth: About(truth.connected_at), lambda call: call.connected_at),
    "ended": Field(lambda truth: About(truth.ended_at), lambda call: call.ended_at),
}
_LIVE = frozenset(FIELDS) - {"answered"}
KNOWS: Mapping[str, frozenset[str]] = {
    "ami": _LIVE,
    "cel": _LIVE - {"holds", "hold_s", "talk_s", "recordings"},
    "records": frozenset(
        {"direction", "caller", "customer", "reached", "agent", "answered", "queue", "stays", "outcome"}
        | {"started", "connected", "ended"}
    ),
    "all": _LIVE,
}
"""By source: the fields that it can know at all."""
BLIND: Mapping[str, Mapping[str, set[str]]] = {
    "ami": {},
    "cel": {
        # Why a caller left a queue, CEL does not tell, nor whether he left a message in the mailbox.
        "queue_nobody_there": {"outcome", "stays"},
        "queue_deserted": {"outcome", "stays"},
        "queue_full": {"outcome", "stays"},
        "queue_left_with_key": {"offers", "stays"},
        "queue_overflow": {"stays"},
        "queue_timeout_to_voicemail": {"outcome", "stays"},
        "voicemail": {"outcome"},
        # The first channel leads to the carrier: nothing says that the house dialled it, or which number.
        "call_back": {"direction", "customer"},
    },
    "records": {
        "voicemail": {"outcome"},
        "queue_timeout_to_voicemail": {"outcome"},
        # Whom a queue does not let in has no line in queue_log, and his CDR names the last application only.
        "queue_nobody_there": {"outcome", "queue", "stays"},
        "queue_full": {"outcome", "queue", "stays"},
        # One disposition, NO ANSWER, for all that was not answered.
        "inbound_abandoned_ringing": {"outcome"},
        "rejected": {"outcome"},
        "unallocated": {"outcome"},
        # `answer` is the moment at which the first channel was answered: by the dialplan, by the agent who clicked.
        "queue_left_with_key": {"connected"},
        "pickup": {"connected", "answered"},
        "conference": {"connected"},
        "click_to_call": {"connected"},
        "call_back": {"direction", "customer", "connected"},
    },
    "all": {},
}
"""By source and scenario: what it cannot know of that call."""


def differences(truth: Truth, call: Call, source: str) -> dict[str, tuple[Any, Any]]:
    """Field by field what is true and what was told, where these are not the same. Hold is right or null, never made up."""
    found = {}
    for name in (KNOWS[source] | {"hold_s"}) - _unjudged(truth) - BLIND[source].get(truth.scenario, set()):
        field = FIELDS[name]
        true, told = field.true(truth), field.told(call)
        if source == "records" and isinstance(true, About):
            true = replace(true, unit=2 * true.unit)  # whole seconds: one more for the rounding
        if true != told and (told is not None or name in KNOWS[source]):
            found[name] = (true, told)
    return found


def _unjudged(truth: Truth) -> set[str]:
    """What nobody outside knows of this call."""
    names = set()
    if truth.cause is None:
        names.add("cause")
    if truth.transfer or truth.took or truth.parked:
        names.add("talk_s")
    if truth.starts == "callback":  # who is the caller of a call that the house's machine made to both sides?
        names |= {"dialled", "caller", "caller_name", "reached"}
    if truth.holds and not truth.held_s:
        names |= {"hold_s", "talk_s"}
    return names
