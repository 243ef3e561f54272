"""The truth beside what arrived, where a PBX was not being read for a while: what can be known must be right."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from streams.runtime.demo.judge import differences

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """When nobody read a PBX, µs, as the log itself says: one adapter's gap that no other covered."""

    pbx: str
    start: int
    end: int


def wrongs(truth: Mapping[str, Row], calls: Sequence[Row], entries: Sequence[Row], gaps: Sequence[Gap]) -> list[str]:
    """Every call that is missing, double, never happened, or says what is not so; [] when all is well.

    A call that lived while its PBX was read throughout must be there exactly, once in each place, and not flagged. One
    that a gap touched must be there, closed, and either flagged or exactly right: a gap is told from the last moment
    that is known for sure, so a call may have been seen whole. Only one whose whole life lay in a gap may be missing.
    """
    found = {call["call_id"]: call for call in calls}
    rows, written = Counter(c["call_id"] for c in calls), Counter(e["call_id"] for e in entries)
    known = {name for call_id, line in truth.items() for name in _names(call_id, line)}
    told = [f"{call_id}: never happened" for call_id in {*rows, *written} if call_id not in known]
    told += [f"{call_id}: {n} times" for counted in (rows, written) for call_id, n in counted.items() if n > 1]
    for call_id, line in truth.items():
        near = [gap for gap in gaps if call_id.startswith(f"{gap.pbx}:") and _touches(gap, line)]
        there = [name for name in _names(call_id, line) if name in found]
        if not there:
            if not any(gap.start <= line["started_at"] and line["ended_at"] <= gap.end for gap in near):
                told.append(f"{call_id}: lost")
            continue
        told += [f"{name}: not in the journal" for name in there if not written[name]]
        told += [f"{name}: still {found[name]['state']}" for name in there if found[name]["state"] != "final"]
        flagged = [name for name in there if {"gap", "gap_resolved"} & set(found[name]["quality"])]
        if near and flagged == there:
            continue
        if there != [call_id] or (flagged and not near):
            told.append(f"{call_id}: is {there}, flagged {flagged}")
        else:
            told += [f"{call_id}: {difference}" for difference in differences(line, found[call_id])]
    return told


def unread(gaps: Iterable[Gap], read: Iterable[Gap]) -> list[Gap]:
    """What is left of the gaps where no adapter of the PBX says that it read."""
    left: list[Gap] = list(gaps)
    for known in read:
        left = [part for gap in left for part in _less(gap, known)]
    return left


def _less(gap: Gap, known: Gap) -> list[Gap]:
    if gap.pbx != known.pbx or known.end <= gap.start or gap.end <= known.start:
        return [gap]
    parts = (replace(gap, end=known.start), replace(gap, start=known.end))
    return [part for part in parts if part.start < part.end]


def _names(call_id: str, line: Row) -> list[str]:
    """The ids that a call may have where its parts could not be joined: that of any linkedid in it."""
    pbx = call_id.partition(":")[0]
    return list(dict.fromkeys([call_id, *(f"{pbx}:{linkedid}" for linkedid in line["linkedids"])]))


def _touches(gap: Gap, line: Row) -> bool:
    return bool(line["started_at"] <= gap.end and gap.start <= line["ended_at"])
