"""What an open call may cost: one that rings a thousand times, or is a conference of days, is bounded and says so.

When a call has grown to the bound, attempts that came to nothing are let go first: who rang and did not answer. If that
does not help, later events change nothing any more but the ends of the legs that are known. All of them are counted, and
the record is flagged.
"""

from collections.abc import Collection

from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.legs import Leg, age

FLAG = "truncated"
_ENOUGH = 3 / 4
"""Of the bound: what must not be left over after making room, or there would be none at the next event."""
_OF_LEG = 2
"""What a leg counts for: the events that it is told by at least."""


def make_room(call: OpenCall) -> Collection[str]:
    """Let go of attempts that came to nothing, and of the ids by which duplicates are known; gives the legs that went."""
    first = min(call.legs.values(), key=lambda leg: age(leg.id, leg.created_at), default=None)
    named = {leg for fact in call.facts if not _attempt(fact.type) for leg in (fact.leg, fact.peer)}
    gone = {leg.id for leg in call.legs.values() if _lost(leg) and leg is not first and leg.id not in named}
    for name in gone:
        del call.legs[name]
    call.facts = [fact for fact in call.facts if not (_attempt(fact.type) and (fact.peer in gone or fact.leg in gone))]
    call.seen.clear()
    call.flags.add(FLAG)
    if call.told is not None and call.told.cel is not None:
        make_room(call.told.cel)
    return gone


def kept(call: OpenCall) -> int:
    """How many facts the call holds, legs and what is told of them counted in, and what records tell."""
    legs = sum(_OF_LEG + len(leg.stays) + len(leg.holds) + len(leg.music) for leg in call.legs.values())
    told = call.told
    if told is None:
        return len(call.facts) + legs
    return len(call.facts) + legs + len(told.cdr) + len(told.queue_log) + (kept(told.cel) if told.cel else 0)


def full(call: OpenCall, most: int) -> bool:
    return kept(call) > most * _ENOUGH


def passed_over(call: OpenCall, row: Row, now: int) -> bool:
    """Whether a full call takes in of the event that it came, and no more than that."""
    cel = call.told.cel if call.told is not None else None
    if row["type"] == "leg.ended" and (row["leg_id"] in call.legs or (cel is not None and row["leg_id"] in cel.legs)):
        return False
    call.events += 1
    call.changed = True
    call.touched = now
    call.last_at = max(call.last_at, row["ts"])
    return True


def _attempt(kind: str) -> bool:
    return kind.startswith(("dial.", "agent."))


def _lost(leg: Leg) -> bool:
    return leg.ended_at is not None and leg.answered_at is None
