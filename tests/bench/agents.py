"""What agents' states cost per event: the stage's `process` alone, with decoding its input and encoding what it says.

The events are those of a simulated centre of 300 agents with breaks, through the adapter.
"""

import gc
import time

from pydantic import SecretStr

from producers.adapter import Context, Frame, Ordinals
from producers.numbers import NumberPlan
from producers.pbx import asterisk_ami
from schemas import codec
from schemas.events import EnrichedCallEvent
from streams.processors.agents import Agents
from streams.run import FEW_COLLECTIONS
from streams.runtime import config
from tests.producers.simulator.centre import build, play_all
from tests.streams.processors.folding.script import Message

CALLS = 1_500
BATCH = 500


def stream() -> list[EnrichedCallEvent]:
    """All events of the centre's day."""
    played = build(1, calls=CALLS, rate=20.0, agents=300, breaks=30.0)
    site = asterisk_ami.Config(host="pbx", username="trunkline", secret=SecretStr("-"))
    numbers = NumberPlan(country="FR", extensions=r"[1-9]\d{3}")
    context = Context(tenant="t", pbx="main", numbers=numbers, config=site)
    ordinals = Ordinals()
    return [
        EnrichedCallEvent(**codec.as_row(event))
        for seq, frame in enumerate(play_all(played))
        for event in asterisk_ami.normalise(Frame(frame.wire[:-4], frame.at, seq, ordinals.of(frame.wire)), context)
    ]


def bench() -> dict[str, float]:
    """Per second and per event in CPU time of this process, best of three."""
    told = stream()
    messages = [Message(codec.encode(event), offset) for offset, event in enumerate(told)]
    best, said, states = float("inf"), 0, 0
    usual = gc.get_threshold()
    gc.set_threshold(FEW_COLLECTIONS)  # as the worker does
    for _ in range(3):
        task = Agents(config.Agents(wrapup_seconds=5))
        gc.collect()
        before = time.process_time()
        said = 0
        for at in range(0, len(messages), BATCH):
            now = told[min(at + BATCH, len(told)) - 1].ts
            said += len(list(task.process(messages[at : at + BATCH], now))) + len(list(task.tick(now)))
        best = min(best, time.process_time() - before)
        states = sum(person.said.number for person in task.people.values() if person.said is not None)
    gc.set_threshold(*usual)
    return {
        "agents_events_per_s": len(messages) / best,
        "agents_cpu_us_per_event": best / len(messages) * 1e6,
        "agents_states_per_call": states / CALLS,
        "agents_records_per_state": said / states,
    }
