"""Conservation over a load, in memory: as many records as calls, and each right or flagged, whatever befell the events."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from producers.simulator.faults import Faults, Loss
from tests.producers.simulator.centre import build
from tests.support.conservation import Verdict, judge
from tests.support.road import travel

CALLS = 500
RATE = 20.0
AGENTS = 400


def verdict(folder: Path, seed: int, *, lost: float = 0.0, doubled: float = 0.0, late: float = 0.0) -> Verdict:
    """So many calls of the simulated PBX, with mishaps, along the road to their records."""
    loss = Loss(rng=random.Random(f"lost {seed}"), chance=lost)
    faults = Faults(rng=random.Random(f"late {seed}"), duplicate=doubled, reorder=late)
    played = build(seed, calls=CALLS, rate=RATE, agents=AGENTS, loss=loss)
    streams = travel(played, folder, faults)
    assert streams.refused == []
    assert streams.most_open > CALLS / 10
    assert streams.fold.low_water() is None
    truths: Mapping[str, dict[str, object]] = {f"main:{line['uniqueid']}": line for line in played.closed.values()}
    assert len(truths) == CALLS
    return judge(truths, {name: call for name, call in streams.calls.items() if call.state != "merged"})


@pytest.mark.parametrize("seed", [1, 2])
def test_doubled_and_late_events_change_nothing(tmp_path: Path, seed: int) -> None:
    """Two in a hundred come twice and two in a hundred late, by up to two seconds: every record is what happened."""
    found = verdict(tmp_path, seed, doubled=0.02, late=0.02)
    assert found.wrong == []
    assert found.touched == found.flagged == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_lost_event_is_flagged_or_changes_nothing(tmp_path: Path, seed: int) -> None:
    """One in a hundred is lost: no call is missing or made up, none stays open, and none is wrong and says nothing."""
    found = verdict(tmp_path, seed, lost=0.01)
    assert found.wrong == []
    assert found.touched > CALLS / 10
    assert found.flagged > found.touched / 3
    assert found.unknown.total() < found.touched / 20
