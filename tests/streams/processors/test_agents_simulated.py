"""Agents of the simulated centre, through the adapter, against its truth: breaks and ringing to the microsecond."""

import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import orjson
import pytest
from pydantic import SecretStr

from producers.adapter import Context, Frame, Ordinals
from producers.numbers import NumberPlan
from producers.pbx import asterisk_ami
from schemas import codec
from schemas.events import AgentState, EnrichedCallEvent
from tests.producers.simulator.centre import Played, build, play_all
from tests.streams.processors.folding.script import MICRO
from tests.streams.processors.presence.shift import feed, task, whole

HOUSE = NumberPlan(country="FR", extensions=r"[1-9]\d{3}", trunk_contexts=("from-trunk",))


@cache
def day(seed: int) -> tuple[Played, Sequence[EnrichedCallEvent]]:
    played = build(seed, calls=100, breaks=30.0)
    site = asterisk_ami.Config(host="pbx", username="trunkline", secret=SecretStr("-"))
    context = Context(tenant="t", pbx="main", numbers=HOUSE, config=site)
    ordinals = Ordinals()
    events = [
        EnrichedCallEvent(**codec.as_row(event))
        for seq, frame in enumerate(play_all(played))
        for event in asterisk_ami.normalise(Frame(frame.wire[:-4], frame.at, seq, ordinals.of(frame.wire)), context)
    ]
    return played, events


def judge(played: Played, said: Sequence[AgentState]) -> None:
    """Every break is told as it was, nothing else is, and whoever rang was ringing from then on."""
    whole(said)
    breaks = [orjson.loads(line) for line in played.breaks]
    gone = {
        (each["agent"], each["state"], each["reason"], each["at"]) for each in breaks if each["state"] != "available"
    }
    back = {(each["agent"], each["at"]) for each in breaks if each["state"] == "available"}
    told = [one for one in said if one.rev == 1]
    away = [one for one in told if one.state in ("paused", "logged_out")]
    assert {(one.agent_id, one.state, one.reason, one.since) for one in away} == gone
    assert len(away) == len(gone)
    assert back <= {(one.agent_id, one.since) for one in told if one.state == "available"}
    offers = [offer for truth in played.closed.values() for offer in truth["offers"]]
    rang = {(offer["agent"], offer["offered_at"]) for offer in offers if offer["result"] != "busy"}
    assert rang == {(one.agent_id, one.since) for one in told if one.state == "ringing"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_change_is_told_as_it_happened(seed: int) -> None:
    """Pauses with their reasons, log-outs, ringing; and in the end everybody is available."""
    played, events = day(seed)
    said = feed(task(), events)
    judge(played, said)
    assert {one.estimated for one in said} == {False}
    assert {one.state for one in {one.agent_id: one for one in said}.values()} <= {"available"}


def test_an_agent_in_a_call_is_on_a_call_for_as_long_as_it_lasts() -> None:
    """Talk and hold of every answered queue call stand in its agent's states, and name the call."""
    played, events = day(1)
    said = [one for one in feed(task(), events) if one.rev == 1]
    spent: dict[str, float] = defaultdict(float)
    for agent in {one.agent_id for one in said}:
        mine = [one for one in said if one.agent_id == agent]
        for one, after in pairwise(mine):
            if one.state in ("on_call", "hold"):
                spent[one.call_id] += after.previous_s or 0
    simple = [t for t in played.closed.values() if t["kind"] in ("queue_answered", "queue_hold") and t["talk_s"]]
    assert len(simple) > 10
    for truth in simple:
        assert spent[f"main:{truth['uniqueid']}"] == pytest.approx(truth["talk_s"] + truth["hold_s"], abs=0.1)


def test_the_sum_of_all_states_is_the_time_that_was_observed() -> None:
    """Conservation, for every agent of the centre."""
    said = feed(task(), day(1)[1])
    for agent in {one.agent_id for one in said}:
        mine = [one for one in said if one.agent_id == agent]
        spent = sum(one.previous_s or 0 for one in mine if one.rev == 1)
        assert spent == pytest.approx((mine[-1].since - mine[0].since) / MICRO, abs=1e-6)


def test_copies_and_a_second_adapter_change_nothing() -> None:
    """Each event again, up to a second and a half later."""
    played, events = day(2)
    chance = random.Random(2)
    late, last = [], 0
    for event in events:
        last = max(last, event.ts + chance.randrange(1_500_000))
        late.append((last, event))
    mixed = sorted([*((event.ts, event) for event in events), *late], key=lambda each: each[0])
    judge(played, feed(task(), [event for _, event in mixed]))
