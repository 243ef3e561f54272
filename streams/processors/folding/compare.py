"""Two records of one call, as two sources tell it: which of their parts are the same, and whether they contradict."""

from collections.abc import Iterator, Sequence

from streams.processors.folding.calls import Row
from streams.processors.folding.times import MICRO

FLAG = "differs"
ALIKE_US = 3 * MICRO
"""Within which two parts of a call with one party are one part."""
_TALKED = ("connected_at", "ended_at")


def tolerance(sources: Sequence[str]) -> int:
    """A second; one more where a source has whole seconds only. µs."""
    return MICRO if sources[:1] in (["live"], ["cel"]) else 2 * MICRO


def differs(row: Row, other: Row) -> bool:
    """Whether what `other` says of the call is more than a rounding away from `row`. What either does not know is no doubt."""
    most = tolerance(other["sources"])
    if _apart(row, other, "started_at", most) or _apart(row, other, "ended_at", most):
        return True
    bare = most > MICRO
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
