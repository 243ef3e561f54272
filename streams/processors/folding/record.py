"""The record of a call from everything that is known of it: a pure function, run when a revision may be due."""

from collections.abc import Iterable, Sequence

from streams.processors.folding import doubts, extras, outcome
from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.legs import Leg
from streams.processors.folding.offers import tell
from streams.processors.folding.particulars import particulars
from streams.processors.folding.parties import Parties, cast
from streams.processors.folding.segments import Talk, segments, talk_of
from streams.processors.folding.times import Interval, lasted, seconds, talks


def record(call: OpenCall, short_abandon_s: float, missed: Sequence[Interval] = ()) -> Row:
    """A row with every field of Call; `rev` and `updated_at` are left at 0 for the caller to set.

    `missed`: when nobody read the PBX while the call was alive.
    """
    until = call.last_at if call.over else call.last_at + 1  # what has just begun is going on
    story = tell(call)
    parties = cast(call, story)
    talk = talk_of(call, parties, talks(call.legs.values(), until), until)
    parts = segments(call, story, parties, talk)
    visits = outcome.queue_visits(call, story, talk)
    row: Row = {
        "call_id": call.id,
        "rev": 0,
        "tenant": call.tenant,
        "pbx": call.pbx,
        "merge_key": call.merge_key,
        "state": _state(call, parts, visits, talk),
        "merged_into": "",
        "direction": parties.direction,
        "outcome": "",
        "customer_number": parties.number,
        "queue": visits[-1]["queue"] if visits else "",
        "updated_at": 0,
        "hangup_by": "",
        "hangup_cause": None,
        "segments": [*parts, *extras.voicemail(call, story)],
        "participants": extras.participants(parties, parts),
        "queue_visits": visits,
        "transfers": extras.transfers(call, story, talk),
        "holds": extras.holds(call, talk, until),
        "recordings": extras.recordings(call, story),
        "notes": extras.notes(story),
        "native_ids": sorted(call.natives),
        "quality": quality(call, missed),
        "events": call.events,
        "sources": ["live", "snapshot"] if any(leg.live for leg in call.legs.values()) else ["live"],
    }
    if call.over:
        row["outcome"] = outcome.outcome(story, parties, visits=visits, parts=parts, talk=talk, short_s=short_abandon_s)
        row["hangup_by"] = outcome.hung_up(call, story, parties, talk)
        last = parties.customer or parties.first
        row["hangup_cause"] = last.cause if last is not None else None
        if not row["quality"] and doubts.incomplete(call, story, parties, talk, row["hangup_by"]):
            row["quality"] = [doubts.FLAG]
    row |= _names(parties, parts)
    row |= _times(call, parties, parts, visits, talk)
    row |= extras.customer(call, parties)
    return row | particulars(call, story, parties)


def _state(call: OpenCall, parts: Sequence[Row], visits: Sequence[Row], talk: Talk) -> str:
    if call.over:
        return "ended"
    if talk.with_customer:
        return "connected"
    waits = any(visit["left_at"] is None for visit in visits)
    rings = any(part["ringing_at"] is not None and part["ended_at"] is None for part in parts)
    return "queued" if waits and not rings else "ringing"


def _names(parties: Parties, parts: Sequence[Row]) -> Row:
    """The two sides: who called and dialled what, and who was reached."""
    first, customer = parties.first or _NOBODY, parties.customer or _NOBODY
    talked = [part for part in parts if part["connected_at"] is not None and part["kind"] != "consult"]
    agents = [part for part in talked if part["kind"] == "agent"]
    outbound = parties.direction == "outbound"
    back = outbound and parties.customer is parties.first  # a call-back: the customer is called, and then the agent
    answers = [part for part in talked if part["leg_id"] != first.id or back]
    reached = min(answers, key=_connected, default=None)
    row = {
        "customer_raw": (first.dialled or customer.number if outbound else customer.number) if parties.number else "",
        "did": first.did,
        "caller_number": first.number,
        "caller_e164": first.e164,
        "caller_name": first.name,
        "dialled_number": first.dialled or (customer.number if outbound else ""),
        "dialled_e164": first.dialled_e164 or (customer.e164 if outbound else ""),
        "reached_number": reached["number"] or reached["agent"] if reached is not None else "",
        "reached_name": reached["name"] if reached is not None else "",
        "agent": max(agents, key=_connected)["agent"] if agents else "",
    }
    return row | dict.fromkeys(("customer_raw", "dialled_number", "dialled_e164"), parties.number) if back else row


_NOBODY = Leg(id="", created_at=0, last_at=0)


def _connected(part: Row) -> int:
    at: int = part["connected_at"]
    return at


def _times(call: OpenCall, parties: Parties, parts: Sequence[Row], visits: Sequence[Row], talk: Talk) -> Row:
    """By interval sets: S start, E end of the last leg, T talk with the customer, O hold within T, Q queue visits."""
    started = min((leg.created_at for leg in call.legs.values()), default=call.last_at)
    ended = max((leg.ended_at or 0 for leg in call.legs.values()), default=0) if call.over else None
    connected = talk.with_customer[0].start if talk.with_customer else None
    rang = [part["ringing_at"] for part in parts if part["ringing_at"] is not None]
    queued = visits[0]["entered_at"] if visits else None
    row: Row = {
        "started_at": started,
        "ringing_at": min(rang, default=None),
        "queued_at": queued,
        "connected_at": connected,
        "ended_at": ended,
        "ring_s": _ring(parts),
        "queue_wait_s": _sum(visit["wait_s"] for visit in visits),
        "ivr_s": _ivr(parties, [at for at in (*rang, queued, connected, ended) if at is not None]),
        "wait_s": lasted(started, ended if connected is None else connected),
        "talk_s": None,
        "hold_s": None,
        "duration_s": lasted(started, ended),
    }
    if ended is not None:
        gross = talk.gross
        row["hold_s"] = seconds(talk.on_hold)
        row["talk_s"] = round(seconds(gross) - seconds(talk.held_talk), 6)
    if any(leg.live for leg in call.legs.values()):
        row |= dict.fromkeys(("ivr_s", "wait_s", "talk_s", "hold_s"))
    return row


def _sum(waits: Iterable[float | None]) -> float | None:
    known = list(waits)
    return None if not known or None in known else round(sum(w for w in known if w is not None), 6)


def _ring(parts: Sequence[Row]) -> float | None:
    """Of the party that was reached; when nobody was, of the last one that rang."""
    taken = [part for part in parts if part["connected_at"] is not None and part["ring_s"] is not None]
    rang = [part["ring_s"] for part in parts if part["ring_s"] is not None]
    rung: float | None = next((part["ring_s"] for part in taken), rang[-1] if rang else None)
    return rung


def _ivr(parties: Parties, moments: Sequence[int]) -> float | None:
    """Up to the first queue, ring or talk: what the caller spent with a menu or an announcement."""
    first = parties.customer if parties.customer is parties.first else None
    if first is None or first.answered_at is None or not moments or first.answered_at > min(moments):
        return None
    return lasted(first.answered_at, min(moments))


def quality(call: OpenCall, missed: Sequence[Interval]) -> list[str]:
    """Flags of what was not seen of it."""
    flags = set(call.flags)
    if missed or any(leg.live for leg in call.legs.values()):
        flags.add("gap")
    if any(leg.inferred for leg in call.legs.values()):
        flags.add("inferred")
    if any(leg.estimated for leg in call.legs.values()):
        flags.add("estimated")
    return sorted(flags)
