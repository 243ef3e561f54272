"""The judge of agents' states: known answers."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.chaos.agents import broken, missed
from tests.chaos.judgement import Gap


def row(number: int, rev: int = 1, since: int | None = None, previous: int | None = None) -> Mapping[str, Any]:
    """The state of that number began that many seconds in, and tells that the one before did a second earlier."""
    told = {"pbx": "main", "agent_id": "201", "state": "paused", "reason": "tea", "number": number, "rev": rev}
    before = number - 1 if previous is None else previous
    return told | {"since_us": number if since is None else since, "previous_since_us": before}


def test_states_that_follow_each_other_are_well() -> None:
    """Also with revisions, in any order."""
    assert broken([row(2, 2), row(1), row(3), row(2)]) == []


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([row(1), row(3)], "numbers"),
        ([row(1), row(1)], "numbers"),
        ([row(2)], "numbers"),
        ([row(1), row(2, previous=9)], "does not begin"),
    ],
    ids=["lost", "double", "no first", "a hole"],
)
def test_a_break_in_the_row_is_told(rows: list[Mapping[str, Any]], wrong: str) -> None:
    """Lost, double and beside each other."""
    assert wrong in broken(rows)[0]


def test_a_break_must_be_told_unless_a_gap_touched_it() -> None:
    """To the microsecond, its begin and its end."""
    lines = [
        ("main", {"agent": "201", "state": "paused", "reason": "tea", "at": 5}),
        ("main", {"agent": "201", "state": "available", "reason": "", "at": 9}),
    ]
    states = [row(5), {**row(9), "state": "available", "reason": ""}]
    assert missed(lines, states, []) == []
    assert len(missed(lines, states[1:], [])) == 1
    assert len(missed(lines, [], [])) == 2
    assert missed(lines, [], [Gap(pbx="main", start=8, end=20)]) == []
    assert len(missed(lines, [], [Gap(pbx="main", start=10, end=20), Gap(pbx="other", start=1, end=20)])) == 2
