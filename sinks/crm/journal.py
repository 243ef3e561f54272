"""What a call reads like in a CRM's journal: text by field name, the same for every CRM. Pure.

The field names below are ours; a connector maps them to its CRM's. Times are UTC (RFC 3339, whole seconds), a duration
is whole seconds from the first ring to the end, "" when it is not known.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from schemas.events import Call, Note, Participant, Segment

FIELDS = (
    "contact_id",
    "subject",
    "direction",
    "started_at",
    "duration",
    "customer_number",
    "customer_name",
    "participants",
    "result",
    "queue",
    "did",
    "recording",
    "candidates",
    "notes",
)

JOURNALED = frozenset({"ended", "final"})
"""States of a call that is over."""

_LINE, _TEXT = 250, 10_000
_ESTIMATED = "Times are estimated: the PBX could not be read for a while."
_INCOMPLETE = "The PBX did not tell all of this call: something here may be missing or wrong."


def entry(call: Call, crm: str) -> dict[str, str]:
    """The journal entry of a call. Who called is told only by enrichment against this very CRM, and never guessed.

    Without a match the entry says nothing of `contact_id` and `candidates`: somebody may look the number up.
    """
    hidden = call.match == "hidden"
    fields = {
        "subject": _clean(_subject(call), _LINE),
        "direction": call.direction,
        "started_at": datetime.fromtimestamp(call.started_at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "duration": "" if call.duration_s is None else str(round(call.duration_s)),
        "customer_number": "hidden" if hidden else _clean(call.customer_number or call.customer_raw, _LINE),
        "customer_name": "" if hidden else _clean(_customer(call), _LINE),
        "participants": _clean("\n".join(_participants(call)), _TEXT),
        "result": call.outcome,
        "queue": _clean(call.queue, _LINE),
        "did": _clean(call.did, _LINE),
        "recording": _clean("\n".join(r.file for r in call.recordings if r.file), _TEXT),
        "notes": _clean("\n".join(_notes(call)), _TEXT),
    }
    if call.crm == crm and call.match == "matched":
        return fields | {"contact_id": call.contact_id, "candidates": ""}
    if call.crm == crm and call.match == "ambiguous":
        return fields | {"contact_id": "", "candidates": ", ".join(call.candidates)}
    return fields


def number_to_look_up(call: Call) -> str:
    """The customer's E.164 number where enrichment knew nobody in this CRM; "" where there is nothing to look up."""
    return call.customer_number if call.match not in {"hidden", "internal"} else ""


def _subject(call: Call) -> str:
    what = f"{call.direction} call".strip().capitalize()
    how = call.outcome.replace("_", " ")
    by = next((s.name or s.agent for s in call.segments if s.agent == call.agent), call.agent) if call.agent else ""
    where = f" in queue {call.queue}" if call.queue and not by else ""
    return f"{what}, {how}{f' by {by}' if by and how == 'answered' else ''}{where}" if how else what


def _customer(call: Call) -> str:
    if call.contact_name:
        return call.contact_name
    return next((p.name for p in call.participants if p.role == "customer"), "")


def _participants(call: Call) -> Iterator[str]:
    """A line for each: the customer, every agent who was offered the call, others."""
    offered = {s.agent for s in call.segments}
    for person in call.participants:
        if person.role != "agent" or not {person.name, person.number} & offered:
            yield _person(person, hidden=call.match == "hidden" and person.role == "customer")
    for segment in call.segments:
        yield _segment(segment)


def _person(person: Participant, *, hidden: bool) -> str:
    if hidden:
        return f"{person.role}: number hidden"
    number = person.e164 or person.number
    return (
        f"{person.role}: {person.name} ({number})"
        if person.name and number
        else f"{person.role}: {person.name or number}"
    )


def _segment(s: Segment) -> str:
    who = f"{s.name} ({s.agent})" if s.name and s.name != s.agent else s.agent or s.number
    talk = "" if s.talk_s is None else f", talked {_span(s.talk_s)}"
    return f"{s.kind}: {who}{f', {s.result}' if s.result else ''}{talk}".replace("_", " ")


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _notes(call: Call) -> Iterator[str]:
    for note in call.notes:
        yield _note(note)
    if {"gap", "estimated"} & set(call.quality):
        yield _ESTIMATED
    elif {"incomplete", "inferred"} & set(call.quality):
        yield _INCOMPLETE


def _note(note: Note) -> str:
    said = " · ".join(part for part in (note.text, note.outcome, " ".join(f"#{tag}" for tag in note.tags)) if part)
    return f"{note.author}: {said}" if note.author else said


def _clean(text: str, limit: int) -> str:
    """Outside text as every CRM takes it: no control characters but line ends, no blank ends, not endless."""
    kept = "".join(c for c in text if c == "\n" or c.isprintable())
    return kept[:limit].strip()
