"""What the fold costs per event: its `process` alone, with decoding its input and encoding what it says.

The calls are those that a real Asterisk made (tests/producers/pbx/asterisk_ami), over and over under new ids: their mix
of events is a PBX's own, telephone and member states and all.
"""

import gc
import re
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from schemas import codec
from schemas.events import EnrichedCallEvent
from streams.processors.fold import Fold
from streams.run import FEW_COLLECTIONS
from streams.runtime import config
from tests.streams.processors.folding.script import MICRO, Message
from tests.streams.processors.test_fold_recordings import CASES, events

EVENTS = 50_000
STEP_US = 100_000
"""From one call to the next: some hundred are open at once."""
BATCH = 500
START = 1_700_000_000 * MICRO
KNOWN: dict[str, Any] = {
    "match": "matched",
    "crm": "sandbox",
    "contact_id": "C00001",
    "contact_name": "Ana García",
    "owner": "anna",
}
_EPOCH = re.compile(r"\b(\d{10})\.(\d+)\b")
_BRIDGE = re.compile(r"^[0-9a-f]{8}(?=-[0-9a-f]{4}-)")
_SERIAL = re.compile(r"-[0-9a-f]{8}(?=$|;)")


def again(event: EnrichedCallEvent, n: int, since: int) -> EnrichedCallEvent:
    """The same event in the `n`th call."""

    def moved(text: str) -> str:
        text = _EPOCH.sub(lambda found: f"{int(found[1]) + n * 1000}.{found[2]}", text)
        return _BRIDGE.sub(f"{n:08x}", text)

    at = event.ts - since + START + n * STEP_US
    return replace(
        event,
        event_id=n.to_bytes(4) + event.event_id[4:],
        ts=at,
        received_at=at,
        leg_id=moved(event.leg_id),
        call_id=moved(event.call_id),
        peer_leg_id=moved(event.peer_leg_id),
        peer_call_id=moved(event.peer_call_id),
        channel=_SERIAL.sub(f"-{n:08x}", event.channel),
        data={key: moved(value) for key, value in event.data.items()},
        **(KNOWN if event.customer_number else {}),
    )


def stream(most: int) -> Sequence[EnrichedCallEvent]:
    """All recordings at once, then again, in the order of time."""
    recorded = [list(events(case)) for case in CASES]
    told: list[EnrichedCallEvent] = []
    n = 0
    while len(told) < most:
        for case in recorded:
            told += map(partial(again, n=n, since=case[0].ts), case)
            n += 1
    return sorted(told, key=lambda event: event.ts)


def records(told: Sequence[EnrichedCallEvent]) -> Iterator[Message]:
    for offset, event in enumerate(told):
        yield Message(codec.encode(event), offset)


def run(task: Fold, messages: Sequence[Message], times: Sequence[int]) -> int:
    """Everything through the task; returns how many revisions it gave."""
    said = 0
    for at in range(0, len(messages), BATCH):
        batch = messages[at : at + BATCH]
        now = times[min(at + BATCH, len(times)) - 1]
        said += len(list(task.process(batch, now))) + len(list(task.tick(now)))
    return said


def bytes_per_open_call() -> float:
    """Memory of an open call that was told nearly all."""
    told = [event for event in stream(20_000) if event.type != "leg.ended"]
    messages = list(records(told))
    task = Fold(config.Fold(), 0)
    gc.collect()
    tracemalloc.start()
    for message in messages:
        list(task.process([message], told[0].ts))
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / sum(len(scope.calls) for scope in task.scopes.values())


def bench() -> dict[str, float]:
    """Per second and per event in CPU time of this process, best of three."""
    told = stream(EVENTS)
    messages, times = list(records(told)), [event.ts for event in told]
    best, said, calls = float("inf"), 0, 0
    usual = gc.get_threshold()
    gc.set_threshold(FEW_COLLECTIONS)  # as the worker does
    for _ in range(3):
        task = Fold(config.Fold(), 0)
        gc.collect()
        before = time.process_time()
        said = run(task, messages, times)
        best = min(best, time.process_time() - before)
        calls = len(task.past) + sum(len(scope.calls) for scope in task.scopes.values())
    gc.set_threshold(*usual)
    return {
        "fold_events_per_s": len(messages) / best,
        "fold_cpu_us_per_event": best / len(messages) * 1e6,
        "fold_events_per_call": len(messages) / calls,
        "fold_revisions_per_call": said / calls,
        "fold_bytes_per_open_call": bytes_per_open_call(),
    }
