"""Calls in flight: order per call, width, offsets, failures."""

import asyncio
import random
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.crm.lanes import Lanes, Record
from streams.runtime.errors import Fatal


def record(offset: int, key: str, partition: int = 0) -> Record:
    return Record(partition=partition, offset=offset, key=key.encode(), value=None)


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(1, 8), st.integers())
def test_each_call_in_order_and_no_more_at_once_than_allowed(keys: list[str], width: int, seed: int) -> None:
    """Whatever takes how long: the records of a call never overlap and never overtake each other."""
    rng, at_work = random.Random(seed), 0
    seen: dict[bytes, list[int]] = defaultdict(list)

    async def work(one: Record) -> None:
        nonlocal at_work
        at_work += 1
        assert at_work <= width
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        seen[one.key].append(one.offset)
        at_work -= 1

    async def run() -> None:
        lanes = Lanes(work, width=width)
        for offset, key in enumerate(keys):
            lanes.put(record(offset, key))
        await lanes.drain(None, within=30)
        lanes.check()
        assert lanes.settled() == ({0: len(keys)} if keys else {})

    asyncio.run(run())
    assert all(offsets == sorted(offsets) for offsets in seen.values())
    assert sum(map(len, seen.values())) == len(keys)


def test_an_offset_is_settled_when_everything_before_it_is_done() -> None:
    """A slow call in front holds the commit of its partition, and of no other."""

    async def run() -> None:
        gates = {offset: asyncio.Event() for offset in range(3)}
        lanes = Lanes(lambda one: _wait(gates[one.offset]), width=8)
        for offset in range(3):
            lanes.put(record(offset, str(offset)))
        lanes.put(Record(partition=1, offset=0, key=b"x", value=None))
        gates[1].set()
        await asyncio.sleep(0.01)
        assert lanes.settled() == {0: 0, 1: 0}
        gates[0].set()
        await asyncio.sleep(0.01)
        assert lanes.settled() == {0: 2, 1: 1}
        gates[2].set()
        await lanes.drain(None, within=5)
        assert lanes.settled() == {0: 3, 1: 1}

    asyncio.run(run())


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()


def test_nothing_behind_a_failure_is_settled() -> None:
    """The failure is raised, and its record and the same call's later ones will be read again."""

    async def work(one: Record) -> None:
        await asyncio.sleep(0)
        if one.offset == 1:
            raise Fatal("the token is refused")

    async def run() -> None:
        lanes = Lanes(work, width=8)
        for offset, key in enumerate("abbc"):
            lanes.put(record(offset, key))
        await lanes.drain(None, within=5)
        assert lanes.settled() == {0: 1}
        with pytest.raises(Fatal):
            lanes.check()

    asyncio.run(run())


def test_a_partition_that_is_given_up_is_drained_and_then_dropped() -> None:
    """What does not end in time is cancelled; nothing of it can be committed any more."""

    async def run() -> None:
        never = asyncio.Event()
        lanes = Lanes(lambda _: _wait(never), width=8)
        lanes.put(record(5, "a", partition=0))
        lanes.put(record(7, "b", partition=1))
        await lanes.drain({0}, within=0.01)
        lanes.forget([0])
        lanes.check()
        assert lanes.settled() == {1: 7}
        never.set()
        await lanes.drain(None, within=5)
        assert lanes.settled() == {1: 8}

    asyncio.run(run())


def test_it_is_full_for_a_while_and_then_has_room() -> None:
    """Reading pauses while four times the width waits."""

    async def run() -> None:
        gate = asyncio.Event()
        lanes = Lanes(lambda _: _wait(gate), width=2)
        for offset in range(8):
            lanes.put(record(offset, str(offset)))
        await lanes.room(within=0.01)
        full = [lanes.full]
        gate.set()
        await lanes.room(within=5)
        assert [*full, lanes.full] == [True, False]
        await lanes.drain(None, within=5)

    asyncio.run(run())
