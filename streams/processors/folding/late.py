"""A fact about a call that is final: the record is amended, for its events are no longer at hand.

What a record alone can take in is taken in; a leg's or bridge's own late event changes nothing any more (it stays in
the event stream, and grace is there for the ones that are merely reordered).
"""

from collections.abc import Callable, Mapping

from streams.processors.folding.calls import Row
from streams.processors.folding.extras import note


def amend(record: Row, event: Row) -> bool:
    """Change the record in place; tells whether it did."""
    step = _STEPS.get(event["type"])
    return step is not None and step(record, event)


def _recording(record: Row, event: Row) -> bool:
    file, leg = event["data"].get("file", ""), event["leg_id"]
    found = next((each for each in record["recordings"] if each["leg_id"] == leg and each["file"] in ("", file)), None)
    if found is None:
        found = {"file": "", "leg_id": leg, "started_at": None, "ended_at": None}
        record["recordings"].append(found)
    before = dict(found)
    found["file"] = file or found["file"]
    if event["type"] == "recording.started" and found["started_at"] is None:
        found["started_at"] = event["ts"]
    elif event["type"] == "recording.stopped" and found["ended_at"] is None:
        found["ended_at"] = event["ts"]
    return found != before


def _note(record: Row, event: Row) -> bool:
    added = note(event["ts"], event["data"])
    if added in record["notes"]:
        return False
    record["notes"] = sorted((*record["notes"], added), key=lambda each: (each["at"], each["text"]))
    return True


def _message(record: Row, _event: Row) -> bool:
    if record["outcome"] in ("answered", "voicemail"):
        return False
    record["outcome"] = "voicemail"
    return True


def _completed(record: Row, event: Row) -> bool:
    """AgentComplete tells who hung up, where nothing else did."""
    by = event["by"]
    found = [each for each in record["segments"] if each["queue"] == event["queue"] and each["agent"] == event["agent"]]
    if not by or not found or found[-1]["by"] == by:
        return False
    found[-1]["by"] = by
    if not record["hangup_by"] and by != "transfer":
        record["hangup_by"] = by
    return True


_STEPS: Mapping[str, Callable[[Row, Row], bool]] = {
    **dict.fromkeys(("recording.started", "recording.stopped", "recording.available"), _recording),
    "note": _note,
    "voicemail.message": _message,
    "agent.completed": _completed,
}
