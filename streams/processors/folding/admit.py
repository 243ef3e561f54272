"""None where the sources of a call cannot know, never 0: only live events tell of holds, and a CDR knows less still."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.times import Interval, common, merged


@dataclass(slots=True, kw_only=True)
class View:
    """A call as one story: a copy that holds what is believed, from whichever source."""

    call: OpenCall
    sources: list[str] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)
    """Legs of which no source knows all."""
    rough: set[str] = field(default_factory=set)
    """Legs of agents who took the call at a moment that nothing tells."""
    undated: set[str] = field(default_factory=set)
    """Legs of which nothing tells when they were called."""


def admit(row: Row, view: View, unheard: Sequence[Interval]) -> None:
    """Take out of a record what was only a consequence of not knowing. `unheard`: when no live events were heard."""
    if not any(leg.music for leg in view.call.legs.values()):  # CEL tells of it since Asterisk 20
        _holds(row, merged(unheard))
    if view.sources[:1] != ["live"]:
        _menus(row)
    _rough(row, view)
    if view.sources[:1] in (["cdr"], ["queue_log"]):
        _little(row)


def _holds(row: Row, unheard: Sequence[Interval]) -> None:
    for part in row["segments"]:
        start, end = part["connected_at"], part["ended_at"]
        talked = part["kind"] != "voicemail" and start is not None and end is not None
        if talked and common([(start, end)], unheard):
            part["hold_s"] = row["hold_s"] = None


def _menus(row: Row) -> None:
    """No telephone is told to ring: one that was called before the caller was answered is no menu."""
    tried = [part["offered_at"] for part in row["segments"] if part["offered_at"] is not None]
    if tried and row["answered_at"] is not None and min(tried) <= row["answered_at"]:
        row["ivr_s"] = None


def _rough(row: Row, view: View) -> None:
    """A leg whose answer nothing dates: how long it rang and talked is not known, nor how long the call was talked."""
    rough = [part["connected_at"] for part in row["segments"] if part["leg_id"] in view.rough]
    if rough and row["talk_s"]:
        row["talk_s"] = None
        if row["connected_at"] in rough:
            row |= dict.fromkeys(("connected_at", "wait_s"))
    for part in row["segments"]:
        if part["leg_id"] in view.undated:
            part.update(dict.fromkeys(("offered_at", "ring_s")))
        if part["leg_id"] in view.rough:
            part.update(dict.fromkeys(("connected_at", "ring_s", "talk_s")))


def _little(row: Row) -> None:
    """CDR and queue_log know of no ringing but an agent's who answered, of no menu, and only of a queue who hung up."""
    for part in row["segments"]:
        if part["result"] != "answered":
            part["ring_s"] = None
    answered = [part["ring_s"] for part in row["segments"] if part["result"] == "answered"]
    row["ring_s"] = answered[0] if answered else None
    row["ivr_s"] = row["parked_s"] = None
    if row["hangup_by"] == "system":
        gave_up = row["queue_visits"] and row["queue_visits"][-1]["reason"] == "abandoned"
        row["hangup_by"] = "caller" if gave_up else ""
