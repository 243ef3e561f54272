import random
from collections import Counter
from itertools import pairwise

from producers.simulator.faults import Faults, Loss
from producers.simulator.frames import Frame

FRAMES = [Frame(i, "Newstate", "call", b"%d" % i) for i in range(2000)]


def through(faults: Faults) -> list[Frame]:
    """Everything that comes out in the end."""
    told: list[Frame] = []
    for i in range(0, len(FRAMES), 10):
        told += faults.pass_on(FRAMES[i : i + 10], i * 10_000)
    for _ in range(len(FRAMES)):
        if not faults.pending:
            break
        told += faults.pass_on([], faults.due or 0)
    assert not faults.pending
    return told


def test_without_faults_nothing_is_touched() -> None:
    """The very same frames in the very same order."""
    assert through(Faults()) == FRAMES


def test_doubled_frames_are_counted() -> None:
    """What is sent is what there was, and nothing else; some come twice, at once or late."""
    faults = Faults(rng=random.Random(1), duplicate=0.1)
    told = through(faults)
    counts = Counter(frame.at for frame in told)
    assert len(counts) == len(FRAMES)
    assert sum(counts.values()) == len(FRAMES) + faults.doubled
    assert 100 < faults.doubled < 300
    assert set(counts.values()) == {1, 2}
    at_once = sum(one is two for one, two in pairwise(told))
    assert 0.3 < at_once / faults.doubled < 0.7


def test_late_frames_come_late_but_come() -> None:
    """Out of order, each exactly once, none later than the limit."""
    told = through(Faults(rng=random.Random(1), reorder=0.2, reorder_max=0.5))
    assert told != FRAMES
    assert sorted(told, key=lambda frame: frame.at) == FRAMES


def test_the_same_chance_loses_the_same_frames() -> None:
    """Some and not all, and none without a chance."""
    losses = [Loss(rng=random.Random(7), chance=0.1) for _ in range(2)]
    one, two = ([loss.takes() for _ in range(2000)] for loss in losses)
    assert one == two
    assert losses[0].count == sum(one)
    assert 100 < sum(one) < 300
    assert not any(Loss().takes() for _ in range(100))
