"""A record in words, as a person would tell the call: who called whom, who was rung, who talked, how it ended."""

from collections.abc import Iterator
from datetime import UTC, datetime

from streams.processors.explaining.changes import RESULTS, diversion, parked, recorded, unparked, who
from streams.processors.folding.calls import Row

Line = tuple[int, str]
"""When (µs), and what happened."""
_REASONS = {
    "connected": "taken",
    "abandoned": "given up by the caller",
    "timeout": "sent on by the queue's time-out",
    "empty": "sent on, for the queue has no agents",
    "full": "sent on, for the queue is full",
    "key": "left by a key",
    "withdrawn": "withdrawn",
    "transferred": "transferred away",
}


def clock(at: int) -> str:
    """A moment of a day, UTC, to the tenth of a second."""
    return datetime.fromtimestamp(at // 100_000 / 10, UTC).strftime("%H:%M:%S.%f")[:10]


def day(at: int) -> str:
    """The date of a moment, UTC."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d")


def title(row: Row) -> str:
    """One line: which call, and how it came out."""
    parts = [row["direction"] or "direction not known", row["outcome"] or "not over", row["state"]]
    return f"{row['call_id']}: {', '.join(parts)}"


def story(row: Row) -> list[Line]:
    """What happened, in order. The last line tells the end of a call that is over."""
    lines = [(row["started_at"], _begins(row))]
    for visit in row["queue_visits"]:
        lines += _queue(visit)
    for part in row["segments"]:
        lines += _voicemail(part) if part["kind"] == "voicemail" else _part(part, row)
    for move in row["transfers"]:
        kind = f" ({move['kind']})" if move["kind"] else ""
        failed = "" if move["result"] == "completed" else f": {move['result']}"
        lines.append((move["at"], f"{move['by'] or 'somebody'} transfers the call to {move['to']}{kind}{failed}"))
    for hold in row["holds"]:
        lasts = f" for {_s(hold['ended_at'] - hold['started_at'])}" if hold["ended_at"] is not None else ""
        lines.append((hold["started_at"], f"on hold{lasts}"))
    lines += [(each["at"], diversion(each)) for each in row["diversions"]]
    for park in row["parks"]:
        lines.append((park["started_at"], parked(park)))
        lines += [(park["ended_at"], f"parking ends: {unparked(park)}")] if park["ended_at"] is not None else []
    lines += [(each["started_at"], recorded(each)) for each in row["recordings"] if each["started_at"] is not None]
    lines += [(each["at"], f"note of {each['author'] or 'somebody'}: {each['text']}") for each in row["notes"]]
    if row["conference"]:
        met = row["started_at"] if row["connected_at"] is None else row["connected_at"]
        lines.append((met, f"in the conference {row['conference']}"))
    lines.sort(key=lambda line: line[0])
    if row["ended_at"] is not None:
        lines.append((row["ended_at"], _ends(row)))
    return lines


def sums(row: Row) -> str:
    """The times of the call; what cannot be known is left out."""
    known = [
        f"{name} {row[key]:.1f} s"
        for name, key in (
            ("rang", "ring_s"),
            ("in menus", "ivr_s"),
            ("in queues", "queue_wait_s"),
            ("waited", "wait_s"),
            ("talked", "talk_s"),
            ("held", "hold_s"),
            ("in all", "duration_s"),
        )
        if row[key] is not None
    ]
    return ", ".join(known) or "no times are known"


def _begins(row: Row) -> str:
    number = row["caller_number"] or "somebody"
    name = f" ({row['caller_name']})" if row["caller_name"] else ""
    known = f", in the CRM {row['contact_name']}" if row["contact_name"] else ""
    return f"{number}{name}{known} calls {row['dialled_number'] or 'a number that is not known'}"


def _queue(visit: Row) -> Iterator[Line]:
    place = f", position {visit['position']}" if visit["position"] is not None else ""
    yield visit["entered_at"], f"waits in queue {visit['queue']}{place}"
    if visit["left_at"] is not None:
        waited = f" after {visit['wait_s']:.1f} s" if visit["wait_s"] is not None else ""
        taken = f" by {visit['agent']}" if visit["agent"] else ""
        reason = _REASONS.get(visit["reason"], "it is not known why")
        yield visit["left_at"], f"leaves queue {visit['queue']}{waited}: {reason}{taken}"


def _part(part: Row, row: Row) -> Iterator[Line]:
    name = who(part)
    began = part["ringing_at"] if part["offered_at"] is None else part["offered_at"]
    rang = f", rings {part['ring_s']:.1f} s" if part["ring_s"] is not None and part["ringing_at"] is not None else ""
    if began is not None:
        verb = "is asked" if part["kind"] == "consult" else "is called"
        queue = f" by queue {part['queue']}" if part["queue"] else ""
        result = f": {RESULTS.get(part['result'], part['result'])}" if part["result"] else ""
        yield began, f"{name} {verb}{queue}{rang}{result}"
    if part["connected_at"] is not None:
        yield part["connected_at"], f"{name} {_talks(part, row)}{_lasted(part)}"


def _talks(part: Row, row: Row) -> str:
    if part["kind"] == "consult":
        return "is consulted"
    if part["kind"] == "external" or row["direction"] == "internal":
        return "talks"
    return "talks with the customer"


def _lasted(part: Row) -> str:
    if part["talk_s"] is None:
        return ""
    held = f", and {part['hold_s']:.1f} s of hold" if part["hold_s"] else ""
    return f" for {part['talk_s']:.1f} s{held}"


def _voicemail(part: Row) -> Iterator[Line]:
    message = ": a message is left" if part["result"] == "answered" else ""
    at = part["connected_at"] if part["connected_at"] is not None else part["ended_at"]
    if at is not None:
        yield at, f"voicemail {part['number']} takes the call{message}"


def _ends(row: Row) -> str:
    cause = f", cause {row['hangup_cause']}" if row["hangup_cause"] is not None else ""
    by = f"{row['hangup_by']} hangs up" if row["hangup_by"] else "it is not known who hung up"
    return f"the call ends: {by}{cause}"


def _s(us: int) -> str:
    return f"{us / 1e6:.1f} s"
