"""The smaller lists of a record: transfers, holds, recordings, notes, who took part, and the customer behind the number."""

from collections.abc import Sequence

from streams.processors.folding.calls import Fact, OpenCall, Row
from streams.processors.folding.offers import Story
from streams.processors.folding.parties import Parties
from streams.processors.folding.segments import Talk, blank

_UNMATCHED: Row = {
    "match": "none",
    "crm": "",
    "contact_id": "",
    "company_id": "",
    "contact_name": "",
    "owner": "",
    "priority": 0,
    "segment": "",
    "candidates": [],
    "match_rule": "",
}


def transfers(call: OpenCall, story: Story, talk: Talk) -> list[Row]:
    """Rows of Transfer. A REFER to the parking lot is a BlindTransfer in AMI, and none here."""
    parked = [fact.ts for fact in story.rest if fact.type == "park.started"]
    return [
        {
            "kind": fact.data.get("kind", ""),
            "by": fact.agent,
            "to": _target(call, fact, talk),
            "at": fact.ts,
            "result": "completed" if fact.type == "transfer.completed" else "failed",
        }
        for fact in story.rest
        if fact.type in ("transfer.completed", "transfer.failed")
        and not any(0 <= at - fact.ts < _TOGETHER for at in parked)
    ]


_TOGETHER = 1_000_000


def _target(call: OpenCall, fact: Fact, talk: Talk) -> str:
    """The extension that a blind transfer names; of an attended one the party that the transferer talked with last."""
    if fact.data.get("extension"):
        return fact.data["extension"]
    by = {fact.data.get("by_leg", ""), fact.data.get("second_by_leg", "")}
    asked = [span.legs - by for span in talk.spans if span.legs & by and talk.customer not in span.legs - by]
    names = {fact.data.get("target_leg", ""), *(asked[-1] if asked else ())}
    found = [call.legs[name] for name in sorted(names) if name in call.legs]
    people = [leg for leg in found if not leg.local]  # a mailbox has none: then the Local channel's number is its own
    return people[0].agent or people[0].number if people else found[0].number if found else ""


def holds(call: OpenCall, talk: Talk, until: int) -> list[Row]:
    """Rows of Hold: together they are `hold_s`. The leg is the one that said hold, else the one that heard music."""
    rows = []
    for start, end in talk.on_hold:
        goes_on = end == until and not call.over
        rows.append({"leg_id": _holder(call, start, end), "started_at": start, "ended_at": None if goes_on else end})
    return rows


def _holder(call: OpenCall, start: int, end: int) -> str:
    for told in ("holds", "music"):
        legs = [(at, leg.id) for leg in call.legs.values() for at, on in getattr(leg, told) if on and start <= at < end]
        if legs:
            return min(legs)[1]
    return ""


def voicemail(call: OpenCall, story: Story) -> list[Row]:
    """Rows of Segment: the mailbox that took the caller, answered when a message was left."""
    facts = [fact for fact in story.rest if fact.type.startswith("voicemail.")]
    if not facts:
        return []
    box = next((fact.data[key] for fact in facts for key in ("mailbox", "box") if fact.data.get(key)), "")
    entered = next((fact.ts for fact in facts if fact.type == "voicemail.entered"), None)
    leg = call.legs.get(facts[0].leg)
    left = next((fact.ts for fact in facts if fact.type == "voicemail.left"), leg.ended_at if leg is not None else None)
    message = any(fact.type == "voicemail.message" for fact in facts)
    row = blank(facts[0].leg, kind="voicemail")
    return [
        row
        | {
            "number": box.partition(",")[0],
            "connected_at": entered,
            "ended_at": left,
            "result": "answered" if message else "",
        }
    ]


def recordings(call: OpenCall, story: Story) -> list[Row]:
    """Rows of Recording, each once; one that was not stopped ends with its leg."""
    rows: list[Row] = []
    for fact in story.rest:
        if not fact.type.startswith("recording."):
            continue
        file = fact.data.get("file", "")
        row = _recording(rows, fact, file)
        if row is None:
            row = {"file": file, "leg_id": fact.leg, "started_at": None, "ended_at": None}
            rows.append(row)
        row["file"] = row["file"] or file
        if fact.type == "recording.started":
            row["started_at"] = fact.ts if row["started_at"] is None else row["started_at"]
        elif fact.type == "recording.stopped":
            row["ended_at"] = fact.ts
    for row in rows:
        leg = call.legs.get(row["leg_id"])
        if row["ended_at"] is None and leg is not None:
            row["ended_at"] = leg.ended_at
    return rows


def _recording(rows: Sequence[Row], fact: Fact, file: str) -> Row | None:
    """A file is one recording, whichever leg tells of it; an event without a file is about the newest of its leg."""
    for row in reversed(rows):
        if file and row["file"] == file:
            return row
        mine = row["leg_id"] == fact.leg and (not file or not row["file"])
        if mine and not (fact.type == "recording.started" and row["ended_at"] is not None):
            return row
    return None


def note(ts: int, data: dict[str, str]) -> Row:
    """A row of Note from an event's `data`."""
    return {
        "at": ts,
        "author": data.get("author", ""),
        "text": data.get("text", ""),
        "outcome": data.get("outcome", ""),
        "script": data.get("script", ""),
        "tags": [tag for tag in data.get("tags", "").split(",") if tag],
    }


def notes(story: Story) -> list[Row]:
    return [note(fact.ts, dict(fact.data)) for fact in story.rest if fact.type == "note"]


def participants(parties: Parties, parts: Sequence[Row]) -> list[Row]:
    """Rows of Participant: who began the call, then everybody who was offered it, each once."""
    rows: dict[str, Row] = {}
    first = parties.first
    if first is not None:
        role = {"inbound": "customer", "outbound": "agent"}.get(parties.direction, "caller")
        role = "customer" if first is parties.customer else role
        number = parties.number if role == "customer" else first.e164
        shown = parties.number if role == "customer" and parties.direction == "outbound" else first.number
        rows[first.agent or first.id] = _participant(role, shown, number, first.name, first.id)
    for part in parts:
        key = part["agent"] or part["leg_id"]
        if key not in rows:
            role = _role(part, parties)
            number = parties.number if role == "customer" else ""
            rows[key] = _participant(role, part["number"] or part["agent"], number, part["name"], part["leg_id"])
        rows[key]["answered"] |= part["connected_at"] is not None
    if first is not None and any(part["connected_at"] is not None for part in parts):
        rows[first.agent or first.id]["answered"] = True
    return list(rows.values())


def _role(part: Row, parties: Parties) -> str:
    if part["kind"] == "external":
        return "customer" if parties.customer is not None and part["leg_id"] == parties.customer.id else "other"
    return "callee" if parties.direction == "internal" else "agent"


def _participant(role: str, number: str, e164: str, name: str, leg_id: str) -> Row:
    return {"role": role, "number": number, "e164": e164, "name": name, "leg_id": leg_id, "answered": False}


def customer(call: OpenCall, parties: Parties) -> Row:
    """What the CRM knew of the customer's number when the call first showed it."""
    found = call.known.get(parties.number) if parties.number else None
    if found is not None:
        return found.customer
    match = "none"
    if parties.direction == "internal":
        match = "internal"
    elif not parties.number and parties.first is not None and parties.first.hidden:
        match = "hidden"
    return {**_UNMATCHED, "match": match}
