"""What the simulated PBX knows of each call beside its record: nothing missing, nothing made up, nothing silently wrong."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.events import Call

Line = Mapping[str, Any]
"""The last truth line of a call."""
SECOND = 1_000_000
RESULTS = {"rejected": "declined"}
KINDS = {"attended_feature": "attended"}
UNREAD = frozenset({"VarSet", "Newexten", "BridgeCreate", "BridgeDestroy", "DTMFBegin"})
"""Events that the adapter asks the PBX not to send: to lose them is to lose nothing."""
SAFE = frozenset({"gap_resolved"})
"""A flag that excuses nothing: what was missed is known now."""


def differences(truth: Line, call: Call) -> list[str]:
    """Names of the facts that the record says otherwise than the truth; times may differ by a second."""
    same = ("direction", "outcome", "customer_number", "did", "queue", "agent", "hangup_by")
    wrong = [name for name in same if getattr(call, name) != truth[name]]
    wrong += [name for name in ("talk_s", "hold_s") if not _near(getattr(call, name), truth[name], 1)]
    wrong += [] if _near(call.queue_wait_s or 0.0, truth["queue_wait_s"], 1) else ["queue_wait_s"]
    for name, known, true in (
        ("started_at", call.started_at, truth["started_at"]),
        ("connected_at", call.connected_at, truth["answered_at"]),
        ("ended_at", call.ended_at, truth["ended_at"]),
    ):
        if not _near(known, true, SECOND):
            wrong.append(name)
    rung = Counter((part.agent, part.result) for part in call.segments if part.offered_at and part.kind != "external")
    if rung != Counter((offer["agent"], RESULTS.get(offer["result"], offer["result"])) for offer in truth["offers"]):
        wrong.append("offers")
    moves = [(KINDS.get(move["kind"], move["kind"]), move["by"], move["to"]) for move in truth["transfers"]]
    if [(move.kind, move.by, move.to) for move in call.transfers] != moves:
        wrong.append("transfers")
    if (call.match in ("hidden", "internal")) != (truth["match"] in ("hidden", "internal")):
        wrong.append("match")
    return wrong


def _near(known: float | None, true: float | None, most: float) -> bool:
    return known is true if known is None or true is None else abs(known - true) <= most


def unknowable(truth: Line) -> dict[str, str]:
    """Facts whose only sign was lost, so that nothing contradicts what the record says: fact to the event."""
    lost = {event.partition(" ")[0] for event in truth["lost"]}
    found: dict[str, str] = {}
    if truth["outcome"] == "voicemail" and "MessageWaiting" in lost:
        found["outcome"] = "MessageWaiting"
    if truth["answered_at"] is None and "HangupRequest" in lost:
        found["hangup_by"] = "HangupRequest"
    if truth["outcome"] == "queue_timeout" and "QueueCallerAbandon" in lost:
        found["outcome"] = "QueueCallerAbandon"
    return found


@dataclass(slots=True)
class Verdict:
    """How the calls of a load came out."""

    calls: int = 0
    touched: int = 0
    """Calls that lost an event which somebody reads."""
    flagged: int = 0
    """Of those."""
    mended: int = 0
    """Flagged, and right in every fact all the same."""
    unknown: Counter[str] = field(default_factory=Counter)
    """By the lost event: calls that say otherwise than the truth, and nothing could tell."""
    wrong: list[str] = field(default_factory=list)
    """A line for each call that is missing, made up, open, or wrong without a flag."""

    def __str__(self) -> str:
        told = f"{self.calls} calls, {self.touched} lost an event: {self.flagged} flagged ({self.mended} of them right)"
        named = ", ".join(f"{event} {count}" for event, count in sorted(self.unknown.items()))
        return f"{told}; nothing could tell of: {named or 'none'}; wrong: {len(self.wrong)}"


def judge(truths: Mapping[str, Line], calls: Mapping[str, Call]) -> Verdict:
    """Every call by its id, those that were merged into another left out."""
    verdict = Verdict(calls=len(truths))
    verdict.wrong += [f"{name}: never happened" for name in calls.keys() - truths.keys()]
    for name, truth in truths.items():
        call = calls.get(name)
        if call is None:
            verdict.wrong.append(f"{name}: missing, lost {truth['lost']}")
            continue
        lost = [event for event in truth["lost"] if event.partition(" ")[0] not in UNREAD]
        verdict.touched += bool(lost)
        wrong = differences(truth, call)
        told = f"{name}: {truth['kind']}, lost {lost}: {wrong} {list(call.quality)}"
        if call.state != "final":
            verdict.wrong.append(f"{told} is {call.state}")
        elif not lost and call.quality:
            verdict.wrong.append(told)
        elif {*call.quality} - SAFE:
            verdict.flagged += 1
            verdict.mended += not wrong
        elif wrong:
            excused = unknowable(truth)
            if all(fact in excused for fact in wrong):
                verdict.unknown.update(excused[fact] for fact in wrong)
            else:
                verdict.wrong.append(told)
    return verdict
