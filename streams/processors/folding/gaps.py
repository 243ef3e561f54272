"""What was missed while nobody listened: legs that ended in a gap, in a restart of the PBX, or without a word."""

from collections.abc import Collection, Iterator, Mapping

from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.coverage import Snapshot, moment
from streams.processors.folding.legs import Leg
from streams.processors.folding.scope import Scope
from streams.processors.folding.times import MICRO, Interval

KEPT = 60 * MICRO
APART = 10 * MICRO
"""Two adapters may take stock at nearly the same moment: that counts once."""


def uncovered(scope: Scope, call: OpenCall) -> list[Interval]:
    """When nobody read the PBX while the call was, or may have been, alive: whole intervals (from, to), µs.

    As it is known now: what another session read may still be told.
    """
    holes = scope.coverage.holes()
    return [hole for hole in holes if any(_spans(leg, *hole) for leg in call.legs.values())] if holes else []


def hear(scope: Scope, row: Row, now: int) -> Iterator[OpenCall]:
    """An event about the source itself. Yields the calls that are over because of it."""
    data, pbx = row["data"], row["pbx"]
    since, until = moment(data.get("from_us"), row["ts"]), moment(data.get("to_us"), row["ts"])
    if row["type"] == "gap.detected" and "session" in data:  # without one it is a file of records that was cut
        scope.coverage.miss(since, until)
    elif row["type"] == "gap.resolved":
        scope.coverage.miss(since, until)
        live = _live(pbx, data)
        restarted = data.get("restarted") == "1"
        scope.snapshots.append(Snapshot(since, until, live, restarted, data.get("reader", "")))
    elif row["type"] in ("source.up", "source.down"):
        scope.coverage.tell(row, now)
        if data.get("restarted") == "1":
            yield from _restart(scope, row)
        if "audit_us" in data:
            yield from _audit(scope, moment(data["audit_us"], row["ts"]), _live(pbx, data), now)
    else:
        return
    if scope.coverage.gaps:
        for call in scope.calls.values():
            call.changed = True
    yield from settle(scope, now)


def settle(scope: Scope, now: int) -> Iterator[OpenCall]:
    """Close what was not alive in a snapshot, once every other adapter that lives has told all it read before."""
    for snapshot in list(scope.snapshots):
        if not scope.coverage.awaited(snapshot.until, snapshot.reader, now):
            scope.snapshots.remove(snapshot)
            yield from _bury(scope, snapshot)


def waits(scope: Scope, call: OpenCall, now: int) -> bool:
    """Whether another adapter may still tell that it read what is missing of the call."""
    return any(scope.coverage.awaited(hole[1], "", now) for hole in uncovered(scope, call))


def sweep(scope: Scope, now: int, silence: int) -> Iterator[OpenCall]:
    """Close calls of which nothing was heard for `silence` µs, by our clock or by the PBX's own."""
    for call in list(scope.calls.values()):
        shown = max((leg.alive_at for leg in call.legs.values()), default=0)
        if call.over or (now - call.touched < silence and scope.latest - max(call.latest_at, shown) < silence):
            continue
        if call.told is not None:
            call.told.given_up = True
            if not call.open_legs:
                yield call
        if _close(call, [leg for leg in call.legs.values() if leg.ended_at is None], call.last_at):
            yield call


def trim(scope: Scope) -> None:
    """Forget what lies before every open call; a minute more, for events that are late."""
    begun = (leg.created_at for call in scope.calls.values() for leg in call.legs.values())
    scope.coverage.trim(min(scope.latest, min(begun, default=scope.latest)) - KEPT)


def _bury(scope: Scope, snapshot: Snapshot) -> Iterator[OpenCall]:
    """A leg was last known to be alive where the hole begins that reaches up to the snapshot, or at what was heard after."""
    hole = [start for start, end in scope.coverage.holes() if start < snapshot.until <= end]
    for call in list(scope.calls.values()):
        gone = [leg for leg in call.legs.values() if _missed(leg, snapshot)]
        if gone and _close(call, gone, max([snapshot.since, *hole, *_heard(call, snapshot.until)])):
            yield call


def _heard(call: OpenCall, before: int) -> Iterator[int]:
    """When the call's legs were heard of: an adapter that died had read more than it could write down."""
    for leg in call.legs.values():
        yield from (at for at in (leg.last_at, *(stay.ts for stay in leg.stays)) if at < before)


def _audit(scope: Scope, at: int, live: Collection[str], now: int) -> Iterator[OpenCall]:
    """Who was alive at that moment. A leg that two audits do not know, and no event since the first, is over."""
    for call in list(scope.calls.values()):
        gone: list[Leg] = []
        for leg in call.legs.values():
            if leg.ended_at is not None or leg.last_at >= at or leg.created_at >= at:
                continue
            if leg.id in live:
                leg.alive_at, call.touched = max(leg.alive_at, at), now
            elif leg.missed_at <= max(leg.last_at, leg.alive_at):
                leg.missed_at = at
            elif at - leg.missed_at >= APART:
                gone.append(leg)
        if _close(call, gone, 0):
            yield call


def _live(pbx: str, data: Mapping[str, str]) -> frozenset[str]:
    """The leg ids of a list; a blank within one is told as %20."""
    return frozenset(f"{pbx}:{native.replace('%20', ' ')}" for native in data.get("live", "").split())


def _restart(scope: Scope, row: Row) -> Iterator[OpenCall]:
    """`source.up` of a PBX that was started anew: nothing from before is alive."""
    for call in list(scope.calls.values()):
        gone = [leg for leg in call.legs.values() if leg.ended_at is None and leg.last_at < row["ts"]]
        if gone:
            call.flags.add("gap")
        if _close(call, gone, call.last_at):
            yield call


def _spans(leg: Leg, since: int, until: int) -> bool:
    return leg.created_at < until and (leg.ended_at is None or leg.ended_at > since)


def _missed(leg: Leg, snapshot: Snapshot) -> bool:
    """Not in the snapshot, older than it, and (unless the PBX was restarted) not heard of since."""
    if leg.ended_at is not None or leg.id in snapshot.live or leg.created_at >= snapshot.until:
        return False
    return snapshot.restarted or leg.last_at <= snapshot.until


def _close(call: OpenCall, legs: Collection[Leg], alive_at: int) -> bool:
    """End them just behind the moment when they were last known to be alive: a talk that had begun then was one.

    Tells whether the call is over with them.
    """
    for leg in legs:
        leg.ended_at, leg.estimated = max(leg.last_at, leg.alive_at, alive_at) + 1, True
        call.open_legs -= 1
        call.last_at = max(call.last_at, leg.ended_at)
        call.changed = True
    return bool(legs) and call.over
