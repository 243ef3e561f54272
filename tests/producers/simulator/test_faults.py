import random
from collections import Counter

from producers.simulator.faults import Faults
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


def test_lost_and_doubled_frames_are_counted() -> None:
    """What is sent is what there was, less the lost, and nothing else; some come twice."""
    faults = Faults(rng=random.Random(1), lose=0.1, duplicate=0.1)
    counts = Counter(frame.at for frame in through(faults))
    assert len(counts) == len(FRAMES) - faults.lost
    assert 100 < faults.lost < 300
    assert set(counts.values()) == {1, 2}


def test_late_frames_come_late_but_come() -> None:
    """Out of order, each exactly once, none later than the limit."""
    told = through(Faults(rng=random.Random(1), reorder=0.2, reorder_max=0.5))
    assert told != FRAMES
    assert sorted(told, key=lambda frame: frame.at) == FRAMES
