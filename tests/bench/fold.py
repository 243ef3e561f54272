"""What the fold costs per event: its `process` alone, with decoding its input and encoding what it says."""

import gc
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

from schemas import codec
from schemas.events import EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from tests.streams.processors.folding.script import MICRO, Message, Script

CALLS = 4000
OVERLAP = 200
"""So many calls are open at once."""
BATCH = 500


def queue_call(n: int, start: int) -> list[EnrichedCallEvent]:
    """A known customer waits, is answered by a member and talks: the commonest long call."""
    call = Script(now=start, sequence=10 * n)
    bridge = f"{n:08x}-1b60-4d5e-9c59-7f6e8b1c2d3a"
    call.arrive()
    call.up("C")
    call.queue("C", "support")
    call.say("leg.updated", "C", data={"moh": "1"})
    call.offer("C", "A", queue="support", agent="201")
    call.say("leg.updated", "A", data={"state": "5"})
    call.wait(3)
    call.say("leg.updated", "C", data={"moh": "0"})
    call.take("C", "A", queue="support", agent="201", bridge=bridge)
    call.say("leg.updated", "C", data={"state": "6"})
    call.wait(60)
    call.member("agent.completed", "C", "A", queue="support", agent="201", by="caller")
    call.hang_up("C", "A", bridge)
    call.known_as(match="matched", crm="sandbox", contact_id="C00001", contact_name="Ana García", owner="anna")
    return [replace(event, event_id=n.to_bytes(4) + event.event_id[4:]) for event in call.events]


def stream() -> list[Message]:
    """The calls' events in the order of time, as records."""
    start = 1_700_000_000 * MICRO
    events = [event for n in range(CALLS) for event in queue_call(n, start + n * 70 * MICRO // OVERLAP)]
    events.sort(key=lambda event: event.ts)
    return [Message(codec.encode(event), offset) for offset, event in enumerate(events)]


def run(task: Fold, messages: Sequence[Message]) -> int:
    said = 0
    for at in range(0, len(messages), BATCH):
        batch = messages[at : at + BATCH]
        now = 1_700_000_000 * MICRO + at * 70 * MICRO // OVERLAP // 25
        said += len(list(task.process(batch, now))) + len(list(task.tick(now)))
    return said


def bytes_per_call() -> float:
    """Memory of one open call that has all its events but the last ones."""
    calls = [queue_call(n, (1_700_000_000 + n) * MICRO)[:-4] for n in range(500)]
    values = [codec.encode(event) for call in calls for event in call]
    task = Fold(config.Fold(), 0)
    gc.collect()
    tracemalloc.start()
    for offset, value in enumerate(values):
        list(task.process([Message(value, offset)], 1_700_000_000 * MICRO))
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(calls)


def bench() -> dict[str, float]:
    """fold_events_per_s, fold_cpu_us_per_event, fold_revisions_per_call, fold_bytes_per_open_call."""
    messages = stream()
    best = float("inf")
    said = 0
    for _ in range(3):
        task = Fold(config.Fold(), 0)
        before = time.process_time()
        said = run(task, messages)
        best = min(best, time.process_time() - before)
    return {
        "fold_events_per_s": len(messages) / best,
        "fold_cpu_us_per_event": best / len(messages) * 1e6,
        "fold_events_per_call": len(messages) / CALLS,
        "fold_revisions_per_call": said / CALLS,
        "fold_bytes_per_open_call": bytes_per_call(),
    }
