"""What is different between two records of a call, in sentences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from streams.processors.folding.calls import Row

T = TypeVar("T")

RESULTS = {
    "answered": "answered",
    "no_answer": "did not answer",
    "busy": "is busy",
    "declined": "declined",
    "cancelled": "stopped ringing",
    "failed": "could not be reached",
}


def united(gone: str, into: str) -> str:
    return f"{gone} is the same call: united under {into}"


def changes(before: Row | None, after: Row) -> list[str]:
    """What an event changed, or what a call that begins is known to be."""
    lines = [] if before is not None else [f"a call begins: {after['call_id']}"]
    was: Row = before or {key: type(value)() for key, value in after.items()}
    facts = [say(after) for key, say in _FIELDS.items() if after[key] != was[key] and after[key] not in (None, "")]
    lines += ["; ".join(facts)] if facts else []
    lines += _segments(was["segments"], after["segments"])
    lines += _visits(was["queue_visits"], after["queue_visits"])
    lines += [_transfer(row) for row in _new(was["transfers"], after["transfers"])]
    lines += [diversion(row) for row in _new(was["diversions"], after["diversions"])]
    lines += _parks(was["parks"], after["parks"])
    lines += _holds(was["holds"], after["holds"])
    lines += _recordings(was["recordings"], after["recordings"])
    lines += [f"note of {row['author'] or 'somebody'}: {row['text']}" for row in _new(was["notes"], after["notes"])]
    lines += [f"flag {flag}: {_FLAGS.get(flag, '')}".rstrip(": ") for flag in _new(was["quality"], after["quality"])]
    lines += [f"flag {flag} is taken back" for flag in _new(after["quality"], was["quality"])]
    if after["outcome"] and after["outcome"] != was["outcome"]:
        lines.append(f"over: {after['outcome']}{_by(after)}")
    elif after["hangup_by"] != was["hangup_by"] and after["hangup_by"]:
        lines.append(f"hung up by {after['hangup_by']}")
    return lines


def who(part: Mapping[str, str]) -> str:
    """The party of a segment; beside an agent's name the number, where that is another."""
    agent, number = part["agent"], part["number"]
    if agent and number and agent != number:
        return f"{agent} ({number})"
    return agent or number or part["leg_id"] or "somebody"


def _by(row: Row) -> str:
    cause = f" (cause {row['hangup_cause']})" if row["hangup_cause"] is not None else ""
    return f", hung up by {row['hangup_by']}{cause}" if row["hangup_by"] else cause


_FIELDS: Mapping[str, Callable[[Row], str]] = {
    "direction": lambda row: f"{row['direction']} call",
    "initiation": lambda row: str(row["initiation"]),
    "caller_number": lambda row: f"the caller is {row['caller_number']}{_called(row['caller_name'])}",
    "dialled_number": lambda row: f"the number called is {row['dialled_number']}",
    "did": lambda row: f"that is our number {row['did']}",
    "customer_number": lambda row: f"the customer's is {row['customer_number']}",
    "contact_id": lambda row: f"the CRM knows the customer: {row['contact_name']} ({row['crm']} {row['contact_id']})",
    "reached_number": lambda row: f"reached: {row['reached_number']}",
    "conference": lambda row: f"they meet in the conference {row['conference']}",
}


def _called(name: str) -> str:
    return f" ({name})" if name else ""


def _segments(was: Sequence[Row], now: Sequence[Row]) -> Iterator[str]:
    """A party's part is the same one as long as it has the leg, also when it turns out to be a consultation."""
    known: dict[str, list[Row]] = {}
    for row in was:
        known.setdefault(row["leg_id"] or who(row), []).append(row)
    for row in now:
        same = known.get(row["leg_id"] or who(row))
        yield from _part(same.pop(0) if same else _NOTHING, row)


_NOTHING: Row = dict.fromkeys(("offered_at", "ringing_at", "connected_at", "ended_at"), None) | {
    "kind": "",
    "queue": "",
    "result": "",
    "by": "",
}


def _part(was: Row, row: Row) -> Iterator[str]:
    name = who(row)
    if row["kind"] == "voicemail":
        if was is _NOTHING:
            yield f"voicemail {row['number']} takes the call"
        if row["result"] and row["result"] != was["result"]:
            yield "a message was left"
        return
    yield from (f"{name} {line}" for line in _way(was, row))
    unlucky = row["result"] not in ("", "answered", was["result"])
    if row["ended_at"] is not None and (was["ended_at"] is None or unlucky):
        yield f"{name} {_end(row)}"
    if row["by"] not in ("", was["by"]):
        yield f"{name}'s part was ended by {row['by']}"


def _way(was: Row, row: Row) -> Iterator[str]:
    """How a party comes into the call."""
    offered = row["offered_at"] is not None and was["offered_at"] is None
    if offered or (row["queue"] not in ("", was["queue"]) and was is not _NOTHING):
        yield f"is offered the call{' by queue ' + row['queue'] if row['queue'] else ''}"
    if row["ringing_at"] is not None and was["ringing_at"] is None:
        yield "rings"
    if row["kind"] == "consult" != was["kind"]:
        yield "is consulted"
    if row["connected_at"] is not None and was["connected_at"] is None:
        yield "talks"


def _end(row: Row) -> str:
    if row["talk_s"] is not None:
        held = f", {row['hold_s']:.1f} s of hold" if row["hold_s"] else ""
        return f"has talked {row['talk_s']:.1f} s{held}"
    rang = f" after {row['ring_s']:.1f} s" if row["ring_s"] is not None else ""
    return RESULTS.get(row["result"], "is out") + rang


def _visits(was: Sequence[Row], now: Sequence[Row]) -> Iterator[str]:
    for index, row in enumerate(now):
        known = was[index] if index < len(was) else None
        if known is None:
            place = f" at position {row['position']}" if row["position"] is not None else ""
            yield f"waits in queue {row['queue']}{place}"
        if row["reason"] and (known is None or row["reason"] != known["reason"]):
            waited = f" after {row['wait_s']:.1f} s" if row["wait_s"] is not None else ""
            yield f"leaves queue {row['queue']}{waited}: {row['reason']}{' to ' + row['agent'] if row['agent'] else ''}"


def _transfer(row: Row) -> str:
    return f"{row['kind']} transfer by {row['by'] or 'somebody'} to {row['to'] or 'somebody'}: {row['result']}".lstrip()


def diversion(row: Row) -> str:
    """A ringing call that went to somebody else."""
    where = f" from {row['of']}" if row["of"] else ""
    return f"{row['kind']}{where} to {row['to'] or 'somebody'}"


def parked(row: Row) -> str:
    """Where a call was parked, and by whom."""
    place = " ".join(filter(None, (row["lot"], row["space"])))
    return f"parked{' in ' + place if place else ''}{' by ' + row['by'] if row['by'] else ''}"


def unparked(row: Row) -> str:
    """How that ended."""
    return f"{row['result'] or 'out of the parking lot'}{' by ' + row['retrieved_by'] if row['retrieved_by'] else ''}"


def _parks(was: Sequence[Row], now: Sequence[Row]) -> Iterator[str]:
    known = {row["started_at"]: row for row in was}
    for row in now:
        if row["started_at"] not in known:
            yield parked(row)
        if row["ended_at"] is not None and known.get(row["started_at"], _NOTHING)["ended_at"] is None:
            yield f"parking ends: {unparked(row)}"


def _holds(was: Sequence[Row], now: Sequence[Row]) -> Iterator[str]:
    known = {row["started_at"]: row for row in was}
    for row in now:
        if row["started_at"] not in known:
            yield "hold begins"
        if row["ended_at"] is not None and known.get(row["started_at"], _NOTHING)["ended_at"] is None:
            yield f"hold ends after {(row['ended_at'] - row['started_at']) / 1e6:.1f} s"


def recorded(row: Row) -> str:
    """A recording, with its file as far as that is known."""
    return f"recorded: {row['file']}" if row["file"] else "recorded"


def _recordings(was: Sequence[Row], now: Sequence[Row]) -> Iterator[str]:
    known = {(row["leg_id"], row["started_at"]): row for row in was}
    for row in now:
        before = known.get((row["leg_id"], row["started_at"]))
        if before is None:
            yield recorded(row)
        elif row["ended_at"] is not None and before["ended_at"] is None:
            yield "the recording ends"


def _new(was: Sequence[T], now: Sequence[T]) -> list[T]:
    return [each for each in now if each not in was]


_FLAGS = {
    "gap": "nobody listened for a part of this call",
    "estimated": "an end was not told, but concluded",
    "inferred": "a leg's beginning was not seen",
    "clock-skew": "the PBX's clock is off",
    "incomplete": "something must have happened that was not told",
    "truncated": "it has more parts than a record holds",
    "records": "known from the PBX's records only",
    "gap_resolved": "what was missed is known from the PBX's records",
    "differs": "live events and records tell different times",
}
