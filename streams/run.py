"""Run one stream stage as a worker: `trunkline run stream NAME`."""

import gc
import threading
from collections.abc import Callable

from streams.processors import agents, enrich, fold
from streams.runtime import slots
from streams.runtime.clock import Clock
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal
from streams.runtime.kafka_session import KafkaSession
from streams.runtime.pipeline import Stage, Worker

FEW_COLLECTIONS = 100_000
"""Objects between two garbage collections. A batch is tens of thousands of objects that die together, none in a cycle;
looking for cycles among them every 700 objects takes a quarter of the time."""

STAGES: dict[str, Callable[[Settings, Clock], Stage]] = {
    "enrich": enrich.open_stage,
    "fold": fold.open_stage,
    "agents": agents.open_stage,
}


def run(name: str, settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Work until `stop` is set; raises Fatal. As many workers as the topic has partitions share the load."""
    if name not in STAGES:
        raise Fatal(f"there is no stream {name!r}: the streams are {', '.join(STAGES)}")
    gc.set_threshold(FEW_COLLECTIONS)
    stage = STAGES[name](settings, clock)
    slot = slots.claim(settings.data_dir / "slots", name)
    Worker(stage, clock, stop).run(lambda: KafkaSession(stage, settings.kafka, slot, clock, stop))
