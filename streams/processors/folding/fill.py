"""What a better source did not see of a call, taken from the next: legs that it missed or lost, and the facts about them."""

from collections.abc import Iterable, Sequence
from copy import copy

from streams.processors.folding.calls import Fact, OpenCall
from streams.processors.folding.legs import Leg, Stay
from streams.processors.folding.times import Interval, talks

ALIKE_US = 2_000_000
"""Two sources that tell of one moment, one of them in whole seconds."""


def whole(leg: Leg, missed: Sequence[Interval]) -> bool:
    """Whether all of the leg was seen: its beginning, its end, and nobody was away in between."""
    if leg.inferred or leg.live or leg.estimated or leg.ended_at is None:
        return False
    return not any(start < leg.ended_at and leg.created_at < end for start, end in missed)


def fill(base: OpenCall, part: OpenCall, missed: Sequence[Interval], lacking: set[str]) -> set[str]:
    """Complete `base`, whose legs are copies, from `part`.

    `lacking`: its legs of which something is not known; returned are those that still are.
    """
    holes = [(start - ALIKE_US, end + ALIKE_US) for start, end in missed]
    nothing = not base.legs
    left, touched = lacking - {""}, set(lacking)
    for name, leg in part.legs.items():
        mine = base.legs.get(name)
        if mine is None and (nothing or lacking or _within(leg.created_at, holes)):
            base.legs[name] = added = copy(leg)
            added.stays = []
            touched.add(name)
        elif mine is not None and name in touched:
            _complete(mine, leg)
            if whole(mine, ()) and _saw(leg, mine, missed):
                left.discard(name)
    _meet(base, part, touched)
    for fact in part.facts:
        about = {fact.leg, fact.peer} & touched
        if (nothing or about or _within(fact.ts, holes)) and not _known(base.facts, fact):
            base.facts.append(fact)
    base.last_at = max([base.last_at, *(leg.last_at for leg in base.legs.values())])
    return left | {name for name, leg in base.legs.items() if not whole(leg, ())}


def _saw(leg: Leg, mine: Leg, missed: Sequence[Interval]) -> bool:
    """Whether this source had the leg in view wherever the better one was away."""
    end = leg.ended_at or leg.last_at
    for since, until in missed:
        start, stop = max(since, mine.created_at), min(until, mine.ended_at or until)
        if start < stop and (leg.created_at > start + ALIKE_US or end < stop - ALIKE_US):
            return False
    return True


def _complete(mine: Leg, other: Leg) -> None:
    if (mine.live or mine.inferred) and other.created_at <= mine.created_at and not other.inferred:
        mine.created_at, mine.live, mine.inferred = other.created_at, other.live, False
        mine.answered_at = other.answered_at if other.answered_at is not None else mine.answered_at
    if mine.answered_at is None:
        mine.answered_at = other.answered_at
    alive = mine.ended_at or mine.last_at  # a concluded end is where it was last known to be alive
    told = other.ended_at is not None and not other.estimated and other.ended_at >= alive - ALIKE_US
    if (mine.estimated or mine.ended_at is None) and told and other.ended_at is not None:
        mine.ended_at, mine.estimated = other.ended_at, False
        mine.last_at = max(mine.last_at, other.ended_at)
        mine.cause = other.cause if mine.cause is None else mine.cause
    if mine.asked_at is None:
        mine.asked_at = other.asked_at
    for name in ("direction", "did", "dialled", "dialled_e164", "number", "e164", "name", "agent", "customer"):
        if not getattr(mine, name):
            setattr(mine, name, getattr(other, name))


def _meet(base: OpenCall, part: OpenCall, touched: set[str]) -> None:
    """Add the stays of each bridge in which somebody was whom the better source did not see there."""
    until = max(leg.ended_at or leg.last_at for leg in (*base.legs.values(), *part.legs.values()))
    spans = talks(base.legs.values(), until)
    rooms: dict[str, dict[str, list[Stay]]] = {}
    for leg in part.legs.values():
        for stay in sorted(leg.stays):
            rooms.setdefault(stay.bridge, {}).setdefault(leg.id, []).append(stay)
    for inside in rooms.values():
        people = {name for name in inside if name in base.legs and not base.legs[name].local}
        since = max((stays[0].ts for stays in inside.values()), default=0)
        to = min((_left(part.legs[name], stays) for name, stays in inside.items()), default=0)
        seen = any(people <= span.legs and span.start < to and since < span.end for span in spans)
        if not inside.keys() & touched or (people and seen):
            continue
        for name, stays in inside.items():
            if name in base.legs:
                have = set(base.legs[name].stays)
                base.legs[name].stays = sorted({*have, *stays}, key=lambda stay: (stay.ts, stay.seq))


def _left(leg: Leg, stays: Sequence[Stay]) -> int:
    return stays[-1].ts if not stays[-1].joined else leg.ended_at or leg.last_at


def _within(ts: int, holes: Iterable[Interval]) -> bool:
    return any(start <= ts <= end for start, end in holes)


def _known(facts: Iterable[Fact], fact: Fact) -> bool:
    return any(
        one.type == fact.type
        and (one.leg, one.queue) == (fact.leg, fact.queue)
        and fact.peer in {one.peer, ""}
        and abs(one.ts - fact.ts) <= ALIKE_US
        for one in facts
    )
