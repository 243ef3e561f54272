"""Interval sets, and who talked with whom when. Intervals are (start, end) in µs, sets are sorted and disjoint."""

from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from streams.processors.folding.legs import Leg

Interval = tuple[int, int]
MICRO = 1_000_000
_FOR_EVER = 1 << 62


class Span(NamedTuple):
    """These legs, two or more of them, heard each other."""

    start: int
    end: int
    legs: frozenset[str]


def merged(intervals: Iterable[Interval], gap: int = 0) -> list[Interval]:
    """The set of all moments that are in any of them, or in a gap between two that is not longer than this."""
    done: list[Interval] = []
    for start, end in sorted(intervals):
        if done and start <= done[-1][1] + gap:
            done[-1] = (done[-1][0], max(done[-1][1], end))
        elif end > start:
            done.append((start, end))
    return done


def common(one: Sequence[Interval], two: Sequence[Interval]) -> list[Interval]:
    """The moments that are in both sets."""
    return [(max(a, c), min(b, d)) for a, b in one for c, d in two if max(a, c) < min(b, d)]


def without(one: Sequence[Interval], two: Sequence[Interval]) -> list[Interval]:
    """The moments of the first set that are not in the second."""
    left = list(one)
    for a, b in two:
        left = [part for c, d in left for part in ((c, min(d, a)), (max(c, b), d)) if part[0] < part[1]]
    return left


def seconds(intervals: Iterable[Interval]) -> float:
    return sum(end - start for start, end in intervals) / MICRO


def lasted(start: int | None, end: int | None) -> float | None:
    """Seconds between two moments; None when one is not known. Clocks that went back a little give 0."""
    return None if start is None or end is None else max(0, end - start) / MICRO


def stays(leg: Leg, until: int) -> list[Interval]:
    """When the leg was in a talk bridge, alone or not."""
    inside: list[Interval] = []
    since: int | None = None
    for stay in sorted(leg.stays):  # as it was, not as it arrived
        if stay.joined and since is None:
            since = stay.ts
        elif not stay.joined and since is not None:
            inside.append((since, stay.ts))
            since = None
    if since is not None:
        inside.append((since, until if leg.ended_at is None else leg.ended_at))
    return merged(inside)


def held(leg: Leg, until: int) -> list[Interval]:
    """When the leg held or was held: its own hold and the music it was given, while in a talk bridge.

    `*2` tells a Hold and no Unhold, and a telephone's hold is told of its own leg only: the music on the other side
    is the surer sign of the end. Music that began before the talk is the queue's.
    """
    if not leg.holds and not leg.music:
        return []
    inside = stays(leg, until)
    music = [pair for pair in paired(leg.music) if any(start <= pair[0] < end for start, end in inside)]
    told = merged((start, until if end is None else end) for start, end in (*paired(leg.holds), *music))
    return common(told, inside)


def paired(switches: Iterable[tuple[int, bool]]) -> list[tuple[int, int | None]]:
    """On and off as intervals; an off that no on preceded means nothing, an on without its off goes on."""
    intervals: list[tuple[int, int | None]] = []
    since: int | None = None
    for at, on in sorted(switches):  # as it was, not as it arrived
        if since is not None:
            intervals.append((since, at))
        since = at if on else None
    if since is not None:
        intervals.append((since, None))
    return intervals


def talks(legs: Collection[Leg], until: int) -> list[Span]:
    """Who heard whom: legs in one talk bridge, also through Local channels that connect two bridges.

    Only legs with a person behind them are named. What is still going on ends at `until`.
    """
    met = [leg for leg in legs if leg.stays]
    if not met:
        return []
    moves = [
        (stay.ts, stay.seq, leg.id, stay.bridge if stay.joined else "", stay.bridge)
        for leg in met
        for stay in leg.stays
    ]
    moves += [(leg.ended_at, _FOR_EVER, leg.id, "", "") for leg in met if leg.ended_at is not None]
    moves.sort(key=itemgetter(0, 1))
    spans: list[Span] = []
    where: dict[str, str] = {}
    local = {leg.id: leg.local for leg in met if leg.local}
    since, groups = 0, list[frozenset[str]]()
    for ts, _, leg, into, of in moves:
        if not into and of not in ("", where.get(leg)):
            continue  # it left a bridge that it had already left for another
        if ts > since:
            _extend(spans, since, ts, groups)
            since = ts
        if into:
            where[leg] = into
        else:
            where.pop(leg, None)
        groups = _groups(where, local)
    _extend(spans, since, until, groups)
    return spans


def _extend(spans: list[Span], start: int, end: int, groups: Iterable[frozenset[str]]) -> None:
    if end <= start:
        return
    for group in groups:
        for i in range(len(spans) - 1, max(-1, len(spans) - 4), -1):
            if spans[i].end == start and spans[i].legs == group:
                spans[i] = Span(spans[i].start, end, group)
                break
        else:
            spans.append(Span(start, end, group))


def _groups(where: dict[str, str], local: dict[str, str]) -> list[frozenset[str]]:
    if len(where) < 2:  # noqa: PLR2004 - nobody talks alone
        return []
    rooms: dict[str, set[str]] = {}
    for leg, bridge in where.items():
        rooms.setdefault(bridge, set()).add(leg)
    if not local:
        return [frozenset(inside) for inside in rooms.values() if len(inside) > 1]
    halves: dict[str, str] = {}
    for leg, bridge in where.items():
        stem = local.get(leg)
        if stem is None:
            continue
        other = halves.setdefault(stem, bridge)
        if rooms[other] is not rooms[bridge]:
            joined = rooms[other] | rooms[bridge]
            rooms = {name: joined if inside is rooms[other] or inside is rooms[bridge] else inside
                     for name, inside in rooms.items()}  # fmt: skip
    people = {frozenset(leg for leg in inside if leg not in local) for inside in map(frozenset, rooms.values())}
    return sorted((group for group in people if len(group) > 1), key=sorted)
