"""How a call came out, who hung up, and why a caller left a queue."""

from collections.abc import Sequence

from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.legs import Leg
from streams.processors.folding.offers import Story, Visit
from streams.processors.folding.parties import Parties
from streams.processors.folding.segments import Talk, result_of
from streams.processors.folding.times import MICRO, lasted

_TOGETHER = 200_000
"""µs within which the events of one hang-up arrive."""
_OF_RESULT = {
    "no_answer": "no_answer",
    "declined": "rejected",
    "busy": "busy",
    "failed": "failed",
    "cancelled": "abandoned_ringing",
}


def queue_visits(call: OpenCall, story: Story, talk: Talk) -> list[Row]:
    """Rows of QueueVisit, in order."""
    rows = []
    for visit in story.visits:
        leg = call.legs.get(visit.leg)
        left = visit.left_at
        if left is None and leg is not None:
            left = min(
                (
                    at
                    for at in (*(s.start for s in talk.with_customer if s.start > visit.entered_at), leg.ended_at)
                    if at
                ),
                default=None,
            )
        rows.append(
            {
                "queue": visit.queue,
                "entered_at": visit.entered_at,
                "left_at": left,
                "position": visit.position,
                "wait_s": lasted(visit.entered_at, left),
                "reason": "" if left is None else _reason(visit, leg, left, story, talk),
                "agent": visit.agent,
            }
        )
    return rows


def _reason(visit: Visit, leg: Leg | None, left: int, story: Story, talk: Talk) -> str:
    """Asterisk says *abandon* of a queue time-out too: only a caller who asked for the hang-up has abandoned.

    Who leaves without that word, and goes on without an agent, has pressed the key that leads out.
    """
    if visit.agent:
        return "connected"
    if visit.said:
        return visit.said
    asked = leg.asked_at if leg is not None else None
    if asked is not None and asked <= left + _TOGETHER:
        return "abandoned"
    if leg is not None and leg.estimated:
        return "unknown"
    if visit.hint == "abandoned":
        return "timeout"
    return visit.hint or _unsaid(leg, left, story, talk)


def _unsaid(leg: Leg | None, left: int, story: Story, talk: Talk) -> str:
    if any(fact.type == "transfer.completed" and abs(fact.ts - left) < MICRO for fact in story.rest):
        return "transferred"
    ended = leg is not None and leg.ended_at is not None and leg.ended_at <= left + _TOGETHER
    met = any(abs(span.start - left) < MICRO for span in talk.with_customer)
    return "unknown" if ended or met else "key"


def outcome(
    story: Story, parties: Parties, *, visits: Sequence[Row], parts: Sequence[Row], talk: Talk, short_s: float
) -> str:
    """The first that fits; only for a call that is over."""
    if talk.with_customer:
        return "answered"
    if any(fact.type == "voicemail.message" for fact in story.rest):
        return "voicemail"
    reasons = [visit["reason"] for visit in visits]
    if "abandoned" in reasons:
        waited = sum(visit["wait_s"] or 0.0 for visit in visits)
        return "short_abandon" if waited < short_s else "abandoned"
    refused = [reason for reason in reasons if reason in ("timeout", "empty", "full")]
    if refused:
        return f"queue_{refused[-1]}"
    if reasons and reasons[-1] == "key":
        parts = [part for part in parts if (part["offered_at"] or 0) > visits[-1]["left_at"]]
    return _of_parts(parts, parties) if parts else _unoffered(story, parties)


def _unoffered(story: Story, parties: Parties) -> str:
    """Nobody was ever rung: a menu or an announcement took the call, or nothing did.

    Or only he for whom the PBX was to dial, and he did not answer.
    """
    first = parties.first
    if first is None:
        return "failed"
    ordered = story.offers.get(first.id)
    answered = first.answered_at is not None or (ordered is not None and ordered.status == "ANSWER")
    if ordered is not None and not answered:
        return _OF_RESULT.get(result_of(ordered, first, parties), "failed")
    if first.closed:
        return "closed"
    if answered:
        return "ivr_only"
    return "abandoned_ringing" if first.asked_at is not None else "failed"


def _of_parts(parts: Sequence[Row], parties: Parties) -> str:
    """By the parties that were tried last, together: what was tried before them did not end the call."""
    last = max(part["offered_at"] or 0 for part in parts)
    group = {part["result"] for part in parts if _ended(part) > last or part["offered_at"] == last}
    if parties.direction == "outbound" and "cancelled" in group:
        return "no_answer"  # the agent gave up; the customer did not answer
    order = ("cancelled", "no_answer", "declined", "busy", "failed")
    return next((_OF_RESULT[result] for result in order if result in group), "failed")


def _ended(part: Row) -> int:
    ended: int | None = part["ended_at"]
    return 0 if ended is None else ended


def hung_up(call: OpenCall, story: Story, parties: Parties, talk: Talk) -> str:
    """caller, callee, agent, system, or "" when it was not seen."""
    people = [leg for leg in call.legs.values() if not leg.local]
    if talk.with_customer:
        last = talk.with_customer[-1]
        alone = [leg for leg in (parties.customer, parties.first) if leg is not None and leg.asked_at is not None]
        if alone and (alone[0].asked_at or 0) > last.end + _TOGETHER:
            return side(alone[0], parties)  # the talk was over, and he went on: with a mailbox, a survey, in a lot
        asked = [leg for leg in people if leg.id in last.legs and leg.asked_at is not None]
        if asked:
            return side(min(asked, key=lambda leg: leg.asked_at or 0), parties)
        told = [offer.by for offer in story.offers.values() if offer.leg in last.legs and offer.by]
        if told and told[-1] != "transfer":
            return "agent" if told[-1] == "agent" else side(parties.first, parties)
    elif parties.first is not None and (parties.first.asked_at is not None or parties.first.cause == _GAVE_UP):
        return side(parties.first, parties)
    if any(leg.estimated for leg in people):
        return ""
    return "system"


_GAVE_UP = 127
"""On both legs when the caller gives up while it rings (not 16)."""


def side(leg: Leg | None, parties: Parties) -> str:
    if leg is None:
        return ""
    if parties.direction == "internal":
        return "caller" if leg is parties.first else "callee"
    if leg is parties.customer:
        return "callee" if parties.direction == "outbound" else "caller"
    return "callee" if parties.outside(leg) else "agent"
