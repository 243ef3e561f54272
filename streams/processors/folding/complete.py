"""Records that come when the call is final: its own events are gone, so record is laid on record.

What the final record knows stands. Where it says itself that it may not know (a gap, an end that was only concluded), and
where it was itself made of records, the late ones complete it; otherwise they fill what was empty. Doing it twice
changes nothing.
"""

from collections.abc import Iterable, Sequence

from streams.processors.folding.calls import Row
from streams.processors.folding.compare import ALIKE_US, FLAG, differs, matched
from streams.processors.folding.sources import DOUBTS
from streams.processors.folding.times import MICRO, lasted, merged, seconds

_ORDER = ("live", "snapshot", "cel", "cdr", "queue_log")
_UNKNOWN = ("", "unknown")
_OPEN = frozenset({"", "failed", "abandoned_ringing", "ivr_only", "no_answer"})
"""Outcomes that say no more than that nothing was seen to answer."""
_BLANKS = (
    *("direction", "customer_number", "customer_raw", "did", "caller_number", "caller_e164", "caller_name"),
    *("dialled_number", "dialled_e164", "hangup_by", "hangup_cause", "hangup_code", "answered_at", "connected_at"),
    *("ringing_at", "queued_at", "trunk", "reached_number", "reached_name"),
)


def complete(row: Row, late: Row) -> None:
    """Change the final record in place by what late records say of the call, as a record of their own."""
    late_doubts, doubts = DOUBTS & {*late["quality"]}, DOUBTS & {*row["quality"]}
    alone = "records" in row["quality"]
    covers = late["started_at"] <= row["started_at"] + ALIKE_US and late["ended_at"] >= row["ended_at"] - ALIKE_US
    # Where somebody was reading and an event was lost all the same, a CDR does not know which.
    knows = alone or "gap" in doubts or "cel" in late["sources"]
    heals = not late_doubts and covers and bool(doubts) and knows
    better, alike = alone and _rank(late) < _rank(row), alone and _rank(late) == _rank(row)
    new = not {*late["sources"]} <= {*row["sources"]}
    apart = new and not (doubts or better or alike) and differs(row, late)
    if better:
        _replace(row, late)
    elif heals or alike:
        _extend(row, late, whole=heals)
    _fill(row, late)
    _reasons(row, late)
    if heals:
        row["quality"] = sorted({*row["quality"], "gap_resolved"} - DOUBTS)
    if apart:
        row["quality"] = sorted({*row["quality"], FLAG})


def _rank(row: Row) -> int:
    return min((_ORDER.index(source) for source in row["sources"] if source != "queue_log"), default=len(_ORDER))


def _replace(row: Row, late: Row) -> None:
    """A better source tells it all anew; what was told besides it stays."""
    kept = ("call_id", "rev", "state", "merged_into", "updated_at", "events", "notes", "recordings", "native_ids")
    customer = ("match", "crm", "contact_id", "company_id", "contact_name", "owner", "priority", "segment")
    stays = {*kept, *(customer if row["match"] != "none" else ()), "candidates", "match_rule"}
    before = dict(row)
    row.update({key: value for key, value in late.items() if key not in stays})
    row["sources"] = _sources(before, late)
    for visit, was in _visits(row["queue_visits"], before["queue_visits"]):
        visit["reason"] = was["reason"] if visit["reason"] in _UNKNOWN else visit["reason"]
    for part, was in matched(row["segments"], before["segments"]):
        part["by"] = part["by"] or was["by"]


def _extend(row: Row, late: Row, *, whole: bool) -> None:
    """Add the parts and the time of the call that were missed. `whole`: the late records tell of all of it."""
    _add_parts(row, late)
    _stretch(row, late)
    if row["outcome"] != "voicemail" and (late["outcome"] == "answered" or row["outcome"] in _OPEN):
        row["outcome"] = late["outcome"]
    row["sources"] = _sources(row, late)
    talked = [part for part in row["segments"] if part["connected_at"] is not None and part["kind"] != "consult"]
    _sum_up(row, late, talked)
    if whole and late["agent"]:
        row["agent"] = late["agent"]  # also one of whom it is not known when he took the call
    if not whole:
        _talked(row, talked)
    elif late["talk_s"] is not None and _apart(row, late):
        row["talk_s"], row["hold_s"] = late["talk_s"], late["hold_s"]


def _add_parts(row: Row, late: Row) -> None:
    same = list(matched(row["segments"], late["segments"]))
    for mine, part in same:
        _lengthen(mine, part)
    known = [id(part) for _, part in same]
    added = [part for part in late["segments"] if id(part) not in known]
    row["segments"] = sorted([*row["segments"], *added], key=_began)
    visits = _visits(row["queue_visits"], late["queue_visits"])
    for mine, visit in visits:
        if mine["reason"] not in (visit["reason"], "connected") and visit["reason"] not in _UNKNOWN:
            mine.update({key: visit[key] for key in ("left_at", "wait_s", "reason", "agent")})
    met = [id(visit) for _, visit in visits]
    row["queue_visits"] += [visit for visit in late["queue_visits"] if id(visit) not in met]
    row["transfers"] += [move for move in late["transfers"] if not _told(row["transfers"], move)]
    _join(row["participants"], late["participants"])


def _stretch(row: Row, late: Row) -> None:
    if late["started_at"] < row["started_at"] - ALIKE_US:
        row["started_at"] = late["started_at"]
    if late["ended_at"] > row["ended_at"] + ALIKE_US:
        row["ended_at"] = late["ended_at"]
        if row["answered_at"] is not None:
            row["billable_s"] = lasted(row["answered_at"], row["ended_at"])


def _apart(row: Row, late: Row) -> bool:
    """Whether the talk that was heard, holds included, is not the one that the late records tell of."""
    heard = None if row["talk_s"] is None else row["talk_s"] + (row["hold_s"] or 0)
    return heard is None or bool(abs(heard - late["talk_s"]) * MICRO > ALIKE_US)


def _join(mine: list[Row], other: Iterable[Row]) -> None:
    known = {one["number"] or one["leg_id"]: one for one in mine}
    for one in other:
        same = known.get(one["number"] or one["leg_id"])
        if same is None:
            mine.append(one)
        else:
            same["answered"] |= one["answered"]


def _talked(row: Row, talked: Sequence[Row]) -> None:
    """The time in which anybody talked with the customer, where that is known of each part."""
    side = "external" if row["direction"] == "outbound" else "agent"
    parts = [part for part in talked if part["kind"] == side]
    if parts and all(part["talk_s"] is not None for part in parts):
        row["talk_s"] = seconds(merged((part["connected_at"], part["ended_at"]) for part in parts))


def _sum_up(row: Row, late: Row, talked: Sequence[Row]) -> None:
    agents = [part["agent"] for part in talked if part["kind"] == "agent"]
    row["agent"] = agents[-1] if agents else row["agent"] or late["agent"]
    row["queue"] = row["queue"] or late["queue"]
    first = min((part["connected_at"] for part in talked if part["kind"] != "voicemail"), default=None)
    row["connected_at"] = first if row["connected_at"] is None else row["connected_at"]
    row["duration_s"] = lasted(row["started_at"], row["ended_at"])
    row["wait_s"] = lasted(row["started_at"], row["connected_at"] or row["ended_at"])
    waits = [visit["wait_s"] for visit in row["queue_visits"]]
    row["queue_wait_s"] = round(sum(waits), 6) if waits and None not in waits else None
    rung = [part["ring_s"] for part in talked if part["ring_s"] is not None]
    if rung and {"live", "cel"}.intersection(row["sources"]):
        row["ring_s"] = rung[0]


def _lengthen(mine: Row, part: Row) -> None:
    """An end that was only concluded is where somebody was last known to be there: the true one is later."""
    if part["ended_at"] is not None and (mine["ended_at"] or 0) < part["ended_at"] - ALIKE_US:
        mine["ended_at"], mine["talk_s"], mine["hold_s"] = part["ended_at"], part["talk_s"], part["hold_s"]
    if part["result"] == "answered" != mine["result"]:
        mine.update({key: part[key] for key in ("connected_at", "result", "ring_s", "talk_s", "hold_s")})
    for key, value in part.items():
        if mine[key] in (None, ""):
            mine[key] = value


def _fill(row: Row, late: Row) -> None:
    """What was empty; durations are no such thing, they are of all of a call."""
    used = False
    for key in _BLANKS:
        if row[key] in (None, "") and late[key] not in (None, ""):
            row[key], used = late[key], True
    boxes = [part for part in late["segments"] if part["kind"] == "voicemail"]
    if boxes and not any(part["kind"] == "voicemail" for part in row["segments"]):
        row["segments"], used = sorted([*row["segments"], *boxes], key=_began), True
    if used or "records" in row["quality"]:
        row["sources"] = _sources(row, late)


def _reasons(row: Row, late: Row) -> None:
    """Why a caller left a queue: queue_log alone knows it."""
    if "queue_log" not in late["sources"]:
        return
    for mine, visit in _visits(row["queue_visits"], late["queue_visits"]):
        if mine["reason"] not in (visit["reason"], "connected") and visit["reason"] not in (*_UNKNOWN, "connected"):
            mine["reason"] = visit["reason"]
            row["sources"] = _sources(row, late)
    last = row["queue_visits"][-1]["reason"] if row["queue_visits"] else ""
    if last in ("timeout", "empty", "full") and (row["outcome"] in _OPEN or row["outcome"].startswith("queue_")):
        row["outcome"] = f"queue_{last}"


def _visits(mine: Sequence[Row], other: Iterable[Row]) -> list[tuple[Row, Row]]:
    free, found = list(mine), []
    for visit in other:
        near = [
            v for v in free if v["queue"] == visit["queue"] and abs(v["entered_at"] - visit["entered_at"]) <= ALIKE_US
        ]
        if near:
            found.append((near[0], visit))
            free.remove(near[0])
    return found


def _told(moves: Iterable[Row], move: Row) -> bool:
    return any(one["kind"] == move["kind"] and abs(one["at"] - move["at"]) <= ALIKE_US for one in moves)


def _sources(row: Row, late: Row) -> list[str]:
    return [source for source in _ORDER if source in row["sources"] or source in late["sources"]]


def _began(part: Row) -> int:
    moments = [part[key] for key in ("offered_at", "ringing_at", "connected_at") if part[key] is not None]
    return min(moments, default=part["ended_at"] or 0)
