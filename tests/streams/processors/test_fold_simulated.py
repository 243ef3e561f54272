"""Calls of the simulated centre, through the adapter, against its truth: also when events double, overtake or are cut."""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest
from pydantic import SecretStr

from producers.adapter import Context, Frame, Ordinals
from producers.numbers import NumberPlan
from producers.pbx import asterisk_ami
from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from streams.runtime.pipeline import Output
from tests.producers.simulator.centre import build, play_all
from tests.streams.processors.folding.script import MICRO, Message, finals
from tests.support.conservation import differences

HOUSE = NumberPlan(country="FR", extensions=r"[1-9]\d{3}", trunk_contexts=("from-trunk",))
CALLS = 150
TICK_US = 200_000


@cache
def day(seed: int) -> tuple[Mapping[str, Mapping[str, Any]], Sequence[EnrichedCallEvent]]:
    """The truth of each call by its id, and the events of all calls in their order."""
    played = build(seed, calls=CALLS)
    frames = play_all(played)
    site = asterisk_ami.Config(host="pbx", username="trunkline", secret=SecretStr("-"))
    context = Context(tenant="t", pbx="main", numbers=HOUSE, config=site)
    ordinals = Ordinals()
    events = [
        EnrichedCallEvent(**codec.as_row(event))
        for seq, frame in enumerate(frames)
        for event in asterisk_ami.normalise(
            Frame(frame.wire[:-4], frame.at, seq, ordinals.of(frame.wire)),
            context,
        )
    ]
    return {f"main:{truth['uniqueid']}": truth for truth in played.closed.values()}, events


def folded(arrivals: Sequence[tuple[int, EnrichedCallEvent]]) -> list[Call]:
    """Every revision, when events arrive at those moments and timers run as they do in a worker."""
    task = Fold(config.Fold(short_abandon_seconds=0), 0)
    values: list[bytes] = []
    now = arrivals[0][0]
    for offset, (at, event) in enumerate(arrivals):
        while now < at - TICK_US:
            now += TICK_US
            values += [each.value or b"" for each in task.tick(now)]
        said = task.process([Message(codec.encode(event), offset)], at)
        values += [each.value or b"" for each in said if isinstance(each, Output)]
    for later in (1, 10):
        values += [each.value or b"" for each in task.tick(now + later * MICRO)]
    assert task.low_water() is None
    return [codec.decode(Call, value) for value in values]


def judge(seed: int, arrivals: Sequence[tuple[int, EnrichedCallEvent]]) -> None:
    """As many records as calls, each final, and each as it happened."""
    truths, _ = day(seed)
    calls = {name: call for name, call in finals(folded(arrivals)).items() if call.state != "merged"}
    assert set(calls) == set(truths)
    assert {call.state for call in calls.values()} == {"final"}
    wrong = {name: differences(truth, calls[name]) for name, truth in truths.items()}
    assert {(truths[name]["kind"], *each) for name, each in wrong.items() if each} == set()
    assert {flag for call in calls.values() for flag in call.quality} == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_record_is_what_happened(seed: int) -> None:
    """Every kind of call that the centre plays."""
    judge(seed, [(event.ts, event) for event in day(seed)[1]])


@pytest.mark.parametrize("seed", [1, 2])
def test_duplicated_and_overtaking_events_change_nothing(seed: int) -> None:
    """Two in a hundred come twice and two in a hundred come late, within the grace."""
    chance = random.Random(seed)
    arrivals = []
    for event in day(seed)[1]:
        late = chance.randrange(1_900_000) if chance.random() < 0.02 else 0
        arrivals.append((event.ts + late, event))
        if chance.random() < 0.02:
            arrivals.append((event.ts + chance.randrange(1_900_000), event))
    judge(seed, sorted(arrivals, key=lambda arrival: arrival[0]))


def test_lost_events_make_no_calls() -> None:
    """One frame in a hundred is lost: no call comes of it that never happened, and none is told as two."""
    chance = random.Random(3)
    truths, events = day(1)
    task = Fold(config.Fold(), 0)
    calls = set()
    for offset, event in enumerate(event for event in events if chance.random() >= 0.01):
        said = [*task.process([Message(codec.encode(event), offset)], event.ts), *task.tick(event.ts)]
        calls |= {
            call.call_id
            for each in said
            if isinstance(each, Output) and (call := codec.decode(Call, each.value or b"")).state != "merged"
        }
    merged = {f"main:{name}" for truth in truths.values() for name in truth["linkedids"]}
    assert calls <= merged
    assert len(calls & set(truths)) >= len(truths) - 2
