"""Adapters on the simulated PBX that die, come back and lose frames: what the fold says of each call in the end."""

import random
from collections.abc import Mapping
from itertools import count

import pytest

from schemas.events import Call
from tests.streams.processors.folding.readers import House
from tests.streams.processors.folding.script import finals
from tests.support.conservation import differences

GAP = {"gap", "gap_resolved"}
SAVED_US = 1_100_000
"""An adapter's position may be that old, and a gap is told from there."""


def verdict(house: House) -> dict[str, Call]:
    """The call of each id as it was last told, merged ones apart; as many as happened, none open."""
    calls = {name: call for name, call in finals(house.folded()).items() if call.state != "merged"}
    assert {call.state for call in calls.values()} == {"final"}
    return calls


def wrong(house: House, calls: Mapping[str, Call]) -> set[tuple[str, ...]]:
    """What is said otherwise than it was of calls that carry no flag."""
    whole = {name: truth for name, truth in house.truths.items() if name in calls and not calls[name].quality}
    found = {(name, *differences(truth, calls[name])) for name, truth in whole.items()}
    return {each for each in found if len(each) > 1}


def exactly(house: House) -> None:
    """Every call once, as it happened, and none flagged."""
    calls = verdict(house)
    assert set(calls) == set(house.truths)
    assert {name: call.quality for name, call in calls.items() if call.quality} == {}
    assert wrong(house, calls) == set()


@pytest.mark.parametrize("seed", range(6))
def test_either_of_two_adapters_may_die_at_any_moment(seed: int) -> None:
    """One at a time, again and again: no call is lost, doubled, flagged or otherwise than it was."""
    chance = random.Random(seed)
    house = House(seed % 3 + 1)
    readers = [house.reader(name, chance.randrange(400_000)) for name in "ab"]
    for _ in range(4):
        house.play(5.5 + chance.uniform(0.1, 4))  # its heartbeat has told what it read while the other was away
        victim = chance.choice(readers)
        victim.kill()
        house.play(chance.uniform(0.1, 6))
        victim.connect()
    house.play(80)
    exactly(house)


@pytest.mark.parametrize("seed", range(6))
def test_kills_in_quick_succession_lose_and_double_nothing(seed: int) -> None:
    """One may die before it has told what it read while the other was away: then a flag stands, and all else is right."""
    chance = random.Random(seed)
    house = House(seed % 3 + 1)
    readers = [house.reader(name) for name in "ab"]
    for _ in range(6):
        house.play(chance.uniform(0.05, 4))
        victim = chance.choice(readers)
        victim.kill()
        house.play(chance.uniform(0.05, 6))
        victim.connect()
    house.play(80)
    calls = verdict(house)
    assert set(calls) == set(house.truths)
    assert {flag for call in calls.values() for flag in call.quality} <= GAP
    assert wrong(house, calls) == set()


@pytest.mark.parametrize("seed", range(6))
def test_a_single_adapter_that_dies_flags_what_it_missed(seed: int) -> None:
    """Who has no flag is exactly right; who is missing lived in the gap; no call that lives on becomes two."""
    chance = random.Random(seed)
    house = House(2)
    reader = house.reader("a")
    house.play(chance.uniform(1, 20))
    since = house.clock.now()
    reader.kill()
    house.play(chance.uniform(0.5, 20))
    until = house.clock.now()
    reader.connect()
    house.play(80)
    calls = verdict(house)
    for name, truth in house.truths.items():
        if not {name, *(f"main:{each}" for each in truth["linkedids"])} & set(calls):
            assert since - SAVED_US <= truth["started_at"]
            assert truth["ended_at"] <= until
        elif truth["ended_at"] < since - SAVED_US:
            assert calls[name].quality == ()
        elif truth["started_at"] < since < until < truth["ended_at"]:
            assert GAP & set(calls[name].quality)
    assert wrong(house, calls) == set()


@pytest.mark.parametrize(("readers", "seed"), [(readers, seed) for readers in (1, 2) for seed in range(3)])
def test_a_pbx_that_dies_leaves_no_call_open(readers: int, seed: int) -> None:
    """Killed hard and started again, read by one or two: what it cut off is closed, what came later is exact."""
    chance = random.Random(seed)
    house = House(3)
    both = [house.reader(name) for name in "ab"[:readers]]
    house.play(chance.uniform(3, 20))
    house.crash()
    died = house.clock.now()
    house.clock.advance(chance.uniform(0.5, 10))
    house.played.player.boot(house.clock.now() - house.played.player.exchange.opening)
    for reader in both:
        reader.connect()
        house.play(chance.uniform(0, 4))
    read = house.clock.now()
    house.play(80)
    calls = verdict(house)
    for name, truth in house.truths.items():
        if truth["ended_at"] < died - SAVED_US:
            assert calls[name].quality == ()
        elif truth["fate"] == "crash" and truth["started_at"] < died - SAVED_US:
            assert {"gap", "estimated"} <= set(calls[name].quality)
            assert (calls[name].ended_at or 0) <= died + SAVED_US
        elif truth["started_at"] > read:
            assert calls[name].quality == ()
    assert wrong(house, calls) == set()


def test_lost_ends_are_noticed_by_the_audits() -> None:
    """Each tenth Hangup never comes: two audits later nothing is open, and who was concerned says so."""
    house = House(1)
    ends = count()
    house.reader("a").losing = lambda wire: wire.startswith(b"Event: Hangup\r") and next(ends) % 10 == 0
    house.play(190)
    calls = verdict(house)
    assert set(calls) == set(house.truths)
    flagged = [name for name, call in calls.items() if call.quality]
    assert 0 < len(flagged) < len(calls) / 2
    assert wrong(house, calls) == set()


def test_what_one_adapter_lost_the_other_has() -> None:
    """Each loses every tenth frame, never the same one: nothing of it is seen."""
    house = House(1)
    for start, name in enumerate("ab"):
        frames = count(start)
        house.reader(name).losing = lambda _, frames=frames: next(frames) % 10 == 0  # type: ignore[misc]
    house.play(190)
    exactly(house)
