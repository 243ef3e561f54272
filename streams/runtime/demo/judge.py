"""Whether what arrived is what happened: the truth of every call beside the warehouse's and the CRM's. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TOLERANCE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was counted, and every call that differs with what differs."""

    happened: int
    in_warehouse: int
    in_journal: int
    matches: Mapping[str, int]
    """Calls by match word, in the warehouse."""
    outcomes: Mapping[str, int]
    differing: Mapping[str, str]
    """Call id to what is wrong with it; empty when all is well."""
    breaks: int = 0
    """Agents' pauses, log-outs and returns that happened."""
    breaks_told: int = 0
    """Of these, how many stand in the agents' states to the microsecond."""


def truths(lines: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    """The last line of each call, by its call id: the one at its end, if it ended. Lines come with their PBX."""
    return {f"{pbx}:{line['uniqueid']}": line for pbx, line in lines}


def judge(
    truth: Mapping[str, Mapping[str, Any]], calls: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]
) -> Verdict:
    """Compare by call id: each happened call once in the warehouse and once in the journal, saying the same."""
    rows = Counter(call["call_id"] for call in calls)
    written = Counter(entry["call_id"] for entry in entries)
    found = {call["call_id"]: call for call in calls}
    wrong: dict[str, str] = {}
    for call_id in {*truth, *rows, *written}:
        reasons = [
            *_count(rows[call_id], "in the warehouse", call_id in truth),
            *_count(written[call_id], "in the journal", call_id in truth),
        ]
        if call_id in truth and call_id in found:
            reasons += differences(truth[call_id], found[call_id])
        if reasons:
            wrong[call_id] = "; ".join(reasons)
    return Verdict(
        happened=len(truth),
        in_warehouse=len(calls),
        in_journal=len(entries),
        matches=dict(Counter(call["match"] for call in calls)),
        outcomes=dict(Counter(call["outcome"] for call in calls)),
        differing=wrong,
    )


def differences(truth: Mapping[str, Any], call: Mapping[str, Any]) -> list[str]:
    """Which facts of a call's record are not the truth's; times may differ by a second."""
    told = [
        f"{name} is {call[name]!r}, was {truth[name]!r}"
        for name in ("direction", "outcome", "customer_number", "match", "did", "queue", "agent")
        if name in truth and call[name] != truth[name]
    ]
    times = [
        f"{name} is {call[name]}, was {truth[name]}"
        for name in ("talk_s", "hold_s", "queue_wait_s")
        if abs((call[name] or 0.0) - truth.get(name, 0.0)) > _TOLERANCE_S
    ]
    return told + times


def breaks(lines: Iterable[tuple[str, Mapping[str, Any]]], states: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """How many changes of agents happened, and how many of them are told: same state, reason and moment (µs)."""
    happened = {(pbx, line["agent"], line["state"], line["reason"], line["at"]) for pbx, line in lines}
    told = {(row["pbx"], row["agent_id"], row["state"], row["reason"], row["since_us"]) for row in states}
    return len(happened), len(happened & told)


def _count(count: int, where: str, happened: bool) -> list[str]:
    if not happened:
        return [f"{where}, and never happened"] if count else []
    return [] if count == 1 else [f"{count} times {where}" if count else f"not {where}"]
