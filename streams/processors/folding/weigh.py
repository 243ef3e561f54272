"""Which source is believed, for each leg and each fact: decided when the record is computed, never by arrival.

Live events are believed wherever somebody was reading them. What they did not see (a gap, a leg whose end was only
concluded, an adapter that was down) is taken from CEL, and what CEL does not tell from CDR and queue_log. Only what live
events cannot know is taken from records in any case: why a caller left a queue, and that a mailbox took the call.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy

from streams.processors.folding import doubts
from streams.processors.folding import record as plain
from streams.processors.folding.admit import View, admit
from streams.processors.folding.calls import OpenCall, Row, Told
from streams.processors.folding.compare import ends_differ, legs_differ
from streams.processors.folding.fill import ALIKE_US, fill, whole
from streams.processors.folding.from_cdr import from_cdr
from streams.processors.folding.from_cel import from_cel
from streams.processors.folding.from_queue_log import Lines, said
from streams.processors.folding.legs import Leg
from streams.processors.folding.times import Interval


def record(call: OpenCall, short_abandon_s: float, missed: Sequence[Interval] = ()) -> Row:
    """As `record.record`, of a call that records tell of too."""
    told = call.told or Told()
    if call.legs and not _doubtful(call, missed):
        return _live(call, told, short_abandon_s)
    return _told(call, _view(call, told, missed), short_abandon_s, missed)


def _told(call: OpenCall, view: View, short_abandon_s: float, missed: Sequence[Interval]) -> Row:
    """Something is missing, or all of it: the record of the call as a view has it."""
    healed = bool(call.legs) and call.over and not view.lacking and len(view.sources) > 1
    # Where somebody was reading and an event was lost all the same, a CDR does not know which: CEL tells everything anew.
    healed = healed and (bool(missed) or "gap" in call.flags or "cel" in view.sources)
    if not call.legs:
        view.call.flags.add("records")
    elif healed:
        view.call.flags = {*view.call.flags, "gap_resolved"} - {"gap"}
    row = plain.record(view.call, short_abandon_s, () if healed else missed)
    if call.legs and not healed:
        row["quality"] = sorted({*row["quality"], *plain.quality(call, missed)})
    admit(row, view, missed if call.legs else ((0, view.call.last_at),))
    row["sources"] = view.sources
    return row


def _found(call: OpenCall, told: Told, row: Row, short_abandon_s: float) -> Row:
    """A live event was lost, and CEL may have what it told: then no contradiction is left."""
    view = _view(call, told, (), lost=True)
    again = plain.record(view.call, short_abandon_s)
    if again["quality"]:
        return row
    return again | {"quality": ["gap_resolved"], "sources": view.sources}


def legs(call: OpenCall, missed: Sequence[Interval] = ()) -> Mapping[str, Leg]:
    """The legs that `record` is computed from, by id."""
    if call.told is None or (call.legs and not _doubtful(call, missed)):
        return call.legs
    return _view(call, call.told, missed).call.legs


def contradicted(call: OpenCall, missed: Sequence[Interval] = ()) -> bool:
    """Whether its sources tell of one leg more than a rounding apart: the worst of them may be wrong, or a clock."""
    told = call.told
    if told is None:
        return False
    cel = told.cel.legs if told.cel is not None else {}
    return legs_differ(call.legs, cel, missed) or ends_differ(call.legs or cel, told.cdr, missed)


def _doubtful(call: OpenCall, missed: Sequence[Interval]) -> bool:
    """Whether something of it may not have been heard. That a leg of an open call has no end is none."""
    if missed or "gap" in call.flags:
        return True
    return any(not whole(leg, ()) and (leg.ended_at is not None or leg.live or call.over) for leg in call.legs.values())


def _live(call: OpenCall, told: Told, short_abandon_s: float) -> Row:
    """Nothing is missing: the records only say what live events cannot."""
    facts, used = call.facts, ["live"]
    if told.cel is not None and not any(fact.type in _MAILBOX for fact in facts):
        mailbox = [fact for fact in told.cel.facts if fact.type in _MAILBOX]
        facts, used = [*facts, *mailbox], used + ["cel"] * bool(mailbox)
    if told.queue_log:
        reasoned = said(facts, told.queue_log)
        facts, used = reasoned, used + ["queue_log"] * (reasoned != facts)
    view = call
    if len(used) > 1:
        view = copy(call)
        view.facts = facts
    row = plain.record(view, short_abandon_s)
    if len(used) > 1:
        row["sources"] = used
    return _found(call, told, row, short_abandon_s) if doubts.FLAG in row["quality"] and told.cel is not None else row


_MAILBOX = frozenset({"voicemail.entered", "voicemail.left"})
"""AMI has them only where the PBX sends every step of the dialplan."""


def _view(call: OpenCall, told: Told, missed: Sequence[Interval], *, lost: bool = False) -> View:
    """`lost`: an event of any leg may be missing, though nobody was away."""
    base = copy(call)
    base.told, base.facts, base.flags = None, list(call.facts), set(call.flags)
    base.legs = {name: _copy(leg) for name, leg in call.legs.items()}
    view = View(call=base, sources=["live"] if call.legs else [])
    view.lacking = {name for name, leg in base.legs.items() if lost or not whole(leg, missed)} or {""}
    if told.cel is not None and told.cel.legs and view.lacking:
        view.sources.append("cel")
        view.lacking = fill(base, from_cel(told.cel), missed, view.lacking)
    if told.cdr and view.lacking:
        view.sources.append("cdr")
        ids = {leg.channel: name for name, leg in base.legs.items() if leg.channel}
        rows = from_cdr(call, told.cdr, told.queue_log, ids)
        known = set(base.legs)
        view.rough, view.undated = rows.rough - known, rows.undated - known
        view.lacking = fill(base, rows.call, missed, view.lacking)
    if told.queue_log:
        view.sources.append("queue_log")
        Lines(base).add(told.queue_log if not call.legs else _in(told.queue_log, missed))
        base.facts = said(base.facts, told.queue_log)
    base.known = {**told.known, **call.known}
    base.last_at = max(base.last_at, *(leg.last_at for leg in base.legs.values()), *(fact.ts for fact in base.facts), 0)
    _close(base, over=told.given_up or (call.over and not call.legs))
    return view


def _copy(leg: Leg) -> Leg:
    mine = copy(leg)
    mine.stays = list(leg.stays)
    return mine


def _in(rows: Iterable[Row], missed: Sequence[Interval]) -> list[Row]:
    """The lines about what happened while nobody listened."""
    holes = [(start - ALIKE_US, end + ALIKE_US) for start, end in missed]
    return [row for row in rows if any(start <= row["ts"] <= end for start, end in holes)]


def _close(base: OpenCall, *, over: bool) -> None:
    """Where no end is waited for, a leg ends where it was last heard of."""
    for leg in base.legs.values():
        if over and leg.ended_at is None:
            leg.ended_at, leg.estimated = leg.last_at + 1, True
    base.open_legs = sum(leg.ended_at is None for leg in base.legs.values())
