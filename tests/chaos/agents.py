"""Agents' states beside what agents did, where a PBX was not being read for a while."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tests.chaos.judgement import Gap

Row = Mapping[str, Any]


def broken(rows: Sequence[Row]) -> list[str]:
    """Where the states of an agent do not follow each other: a number missing or twice, or an end that is no beginning.

    `rows` are all records: pbx, agent_id, number, rev, since_us, previous_since_us.
    """
    told = []
    agents: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        agents[row["pbx"], row["agent_id"]].append(row)
    for (pbx, agent), mine in agents.items():
        mine.sort(key=lambda row: (row["number"], row["rev"]))
        revisions = [(row["number"], row["rev"]) for row in mine]
        numbers = sorted({number for number, _ in revisions})
        if numbers != list(range(1, len(numbers) + 1)) or len(revisions) != len(set(revisions)):
            told.append(f"{pbx} {agent}: numbers {revisions}")
        last = {row["number"]: row for row in mine}
        told += [
            f"{pbx} {agent}: {after['number']} does not begin where the one before it ends"
            for before, after in pairwise(last[number] for number in numbers)
            if after["previous_since_us"] != before["since_us"]
        ]
    return told


def missed(breaks: Iterable[tuple[str, Row]], rows: Iterable[Row], gaps: Sequence[Gap]) -> list[str]:
    """Breaks that were read whole, from begin to end, and are not told as they were: state, reason, both moments."""
    told = {(row["pbx"], row["agent_id"], row["state"], row["reason"], row["since_us"]) for row in rows}
    begun: dict[tuple[str, str], Row] = {}
    lost = []
    for pbx, line in breaks:
        if line["state"] != "available":
            begun[pbx, line["agent"]] = line
            continue
        begin = begun.pop((pbx, line["agent"]))
        if any(gap.pbx == pbx and gap.start <= line["at"] and begin["at"] <= gap.end for gap in gaps):
            continue
        lost += [
            f"{pbx} {each['agent']}: {each['state']} at {each['at']} is not told"
            for each in (begin, line)
            if (pbx, each["agent"], each["state"], each["reason"], each["at"]) not in told
        ]
    return lost
