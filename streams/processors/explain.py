"""explain: the life of one call, by the fold itself: what each event changed in its record, and what was said then.

No rule of the fold is written twice: its Task runs over the events of the call, and the record is compared before and
after each of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from schemas.events import EnrichedCallEvent
from streams.processors.explaining.watch import Told, Watch
from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.legs import Leg
from streams.processors.folding.times import Span, talks
from streams.runtime import config
from streams.runtime.errors import Reject
from streams.runtime.pipeline import TICK_US

MICRO = 1_000_000
SOURCE = frozenset({"source.up", "source.down", "gap.detected", "gap.resolved"})
"""What is told of the PBX or of who reads it, and so of every call of that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event, or the passing of time when `event` is None, and what came of it."""

    number: int
    """Its place in the order of arrival."""
    at: int
    """µs, by the PBX's clock; of a mere passing of time by ours."""
    late_s: float = 0.0
    """By how much it arrived behind an event that is younger."""
    event: EnrichedCallEvent | None
    again: bool = False
    """It had come before: it changes nothing."""
    concluded: Sequence[str]
    revisions: Sequence[Row]
    """The records that the fold emitted because of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A call from its first event to the last that is known."""

    record: Row
    """As it was emitted last, or as it is now while the call is open."""
    steps: Sequence[Step]
    """In the order of the events' own time."""
    legs: Sequence[Leg]
    """In the order of their beginning; halves of Local channels, behind which is nobody, last."""
    talks: Sequence[Span]
    until: int


def explain(call: str, events: Iterable[EnrichedCallEvent], rules: config.Fold) -> Life:
    """The life of the call with that id, native id or leg, from events in the order of their arrival.

    Events of other calls may be among them; that costs time. Raises Reject when none of the events is of the call.
    """
    watch = Watch(rules)
    steps = list(_run(watch, events, rules))
    name = watch.named(call)
    if name is None:
        raise Reject(f"none of these events is of a call {call}")
    found, legs = watch.calls[name], watch.legs[name]
    own = [step for each, told in steps if (step := _own(each, told, watch, found)) is not None]
    ends = [leg.ended_at for leg in legs if leg.ended_at is not None]
    until = max(found.last_at + 1, *ends) if ends else found.last_at + 1
    return Life(
        record=watch.rows[name],
        steps=sorted(own, key=lambda step: step.at),
        legs=sorted(legs, key=lambda leg: (leg.local != "", leg.created_at, leg.id)),
        talks=talks(legs, until),
        until=until,
    )


def natives(call: str, events: Iterable[EnrichedCallEvent], rules: config.Fold) -> frozenset[str]:
    """Every native id of the call with that id, native id or leg, as the fold joins them; empty when there is no such call."""
    watch = Watch(rules)
    now = ticked = 0
    for offset, event in enumerate(events):
        now = max(now, event.received_at)
        if now - ticked >= TICK_US:
            watch.pass_time(now)
            ticked = now
        watch.pass_by(event, offset, now)
    watch.tick(now + round((rules.grace_seconds + rules.records_grace_seconds) * MICRO))
    name = watch.named(call)
    return frozenset() if name is None else frozenset(watch.rows[name]["native_ids"])


def _run(watch: Watch, events: Iterable[EnrichedCallEvent], rules: config.Fold) -> Iterator[tuple[Step, Told]]:
    """Every event, with what time alone did before it."""
    grace, longer = round(rules.grace_seconds * MICRO), round(rules.records_grace_seconds * MICRO)
    waits = (grace, grace + longer)
    now = latest = 0
    seen: set[bytes] = set()
    for offset, event in enumerate(events):
        if event.received_at > now:
            yield from _passing(watch, offset, [now + wait for wait in waits if now], event.received_at)
            now = event.received_at
        revisions, told = watch.feed(event, offset, now)
        yield (
            Step(
                number=offset,
                at=event.ts,
                late_s=max(0, latest - event.ts) / MICRO,
                event=event,
                again=event.event_id in seen,
                concluded=(),
                revisions=revisions,
            ),
            told,
        )
        seen.add(event.event_id)
        latest = max(latest, event.ts)
    yield from _passing(watch, len(seen), [now + wait for wait in waits], now + sum(waits))


def _passing(watch: Watch, number: int, moments: Sequence[int], until: int) -> Iterator[tuple[Step, Told]]:
    """What time alone does at these moments and just before the next event; `number` is that of the next event."""
    for now in [*(moment for moment in moments if moment < until), until - 1]:
        revisions, told = watch.tick(now)
        if revisions:
            yield Step(number=number, at=now, event=None, concluded=(), revisions=revisions), told


def _own(step: Step, told: Told, watch: Watch, found: OpenCall) -> Step | None:
    """The step as far as it is about this call; None when it is not."""
    event = step.event
    revisions = [row for row in step.revisions if watch.survivor(row["call_id"]) == found.id]
    concluded = [line for name, lines in told.items() if watch.survivor(name) == found.id for line in lines]
    if event is None or event.type in SOURCE:
        about = bool(revisions or concluded) or (event is not None and _in_gap(event, found, watch.legs[found.id]))
    else:
        about = event.event_id in found.seen or bool({event.leg_id, event.call_id} & set(found.tokens))
    if not about:
        return None
    return replace(step, concluded=concluded, revisions=revisions)


def _in_gap(event: EnrichedCallEvent, call: OpenCall, legs: Sequence[Leg]) -> bool:
    """Whether nobody listened for a while of the call, whatever that meant for it."""
    if not event.type.startswith("gap."):
        return False
    since = event.data.get("from_us", "")
    began = min((leg.created_at for leg in legs), default=call.last_at)
    return began <= event.ts and (int(since) if since.isdecimal() else event.ts) <= call.last_at
