"""One call as two sources tell it: which of their parts are the same, and whether they contradict each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from streams.processors.folding.calls import Row
from streams.processors.folding.fill import whole
from streams.processors.folding.legs import Leg, age
from streams.processors.folding.sources import span
from streams.processors.folding.times import MICRO, Interval, stays

FLAG = "differs"
ALIKE_US = 3 * MICRO
"""Within which two parts of a call with one party are one part."""
_TALKED = ("connected_at", "ended_at")


def legs_differ(mine: Mapping[str, Leg], other: Mapping[str, Leg], missed: Sequence[Interval]) -> bool:
    """Whether a leg that both sources saw whole began, was answered, ended or was in bridges more than a second apart."""
    for name, leg in other.items():
        one = mine.get(name)
        if one is None or one.local or not (whole(one, missed) and whole(leg, ())):
            continue
        pairs = ((one.created_at, leg.created_at), (one.answered_at, leg.answered_at), (one.ended_at, leg.ended_at))
        if any(None not in pair and abs((pair[0] or 0) - (pair[1] or 0)) > MICRO for pair in pairs):
            return True
        if leg.stays and abs(_bridged(one) - _bridged(leg)) > MICRO:  # bridges need not be told
            return True
    return False


def ends_differ(legs: Mapping[str, Leg], rows: Iterable[Row], missed: Sequence[Interval]) -> bool:
    """Whether the CDRs of the channel that the call began with end more than rounding away from it.

    A CDR has whole seconds, and dates nothing else of a leg surely: rows of attempts that nobody answered need not be
    written (`unanswered=no`), so the first one is not always the beginning. The own row of who takes a parked call or
    comes to a conference ends when he has got there, not with his leg.
    """
    people = (leg for leg in legs.values() if not leg.local)
    first = min(people, key=lambda leg: (age(leg.id, leg.created_at), leg.created_at), default=None)
    if first is None or not first.direction or not whole(first, missed):
        return False
    ends = [span(row)[1] for row in rows if row["leg_id"] == first.id]
    return bool(ends) and abs((first.ended_at or 0) - max(ends)) > 2 * MICRO


def _bridged(leg: Leg) -> int:
    return sum(end - start for start, end in stays(leg, leg.ended_at or leg.last_at))


def tolerance(sources: Sequence[str]) -> int:
    """A second; one more where a source has whole seconds only. µs."""
    return MICRO if sources[:1] in (["live"], ["cel"]) else 2 * MICRO


def differs(row: Row, other: Row) -> bool:
    """Whether what `other` says of the call is more than a rounding away from `row`. What either does not know is no doubt."""
    most = tolerance(other["sources"])
    bare = most > MICRO
    if bare:  # one call has many CDRs, each of a part of it
        if other["started_at"] < row["started_at"] - most or other["ended_at"] > row["ended_at"] + most:
            return True
    elif _apart(row, other, "started_at", most) or _apart(row, other, "ended_at", most):
        return True
    for mine, part in matched(row["segments"], other["segments"]):
        keys = _TALKED if mine["connected_at"] is not None and part["connected_at"] is not None else ()
        if any(_apart(mine, part, key, most) for key in keys if not (bare and row["ivr_s"] and key == "connected_at")):
            return True
    return _talk_apart(row, other, most, bare=bare)


def _talk_apart(row: Row, other: Row, most: int, *, bare: bool) -> bool:
    """Only live events know of holds, and a CDR counts a menu before the talk as talk: without both it can be compared."""
    if row["hold_s"] or other["hold_s"] or None in (row["talk_s"], other["talk_s"]) or (bare and row["ivr_s"]):
        return False
    return bool(abs(row["talk_s"] - other["talk_s"]) * MICRO > most)


def _apart(row: Row, other: Row, key: str, most: int) -> bool:
    if row[key] is None or other[key] is None:
        return False
    return bool(abs(row[key] - other[key]) > most)


def matched(mine: Sequence[Row], other: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Segments of one party at one time, each once: by leg, else by who it was (a CDR does not know the leg's id)."""
    free = list(mine)
    for part in sorted(other, key=_began):
        same = [one for one in free if one["leg_id"] == part["leg_id"] and _kin(one, part)]
        if not same:
            same = [one for one in free if _who(one) == _who(part) != "" and _kin(one, part)]
        if same:
            found = min(same, key=lambda one: abs(_began(one) - _began(part)))
            free.remove(found)
            yield found, part


def _kin(one: Row, other: Row) -> bool:
    """Whether they can be the same part: a consultation is none with the customer, and a mailbox no agent's."""
    return bool(one["kind"] == other["kind"])


def _who(part: Row) -> str:
    who: str = part["agent"] or part["number"]
    return who


def _began(part: Row) -> int:
    moments = [part[key] for key in ("connected_at", "offered_at", "ringing_at", "ended_at") if part[key] is not None]
    return min(moments, default=0)
