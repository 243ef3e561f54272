"""What was missed while nobody listened: legs that ended in a gap, in a restart of the PBX, or without a word."""

from collections.abc import Collection, Iterator

from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.legs import Leg
from streams.processors.folding.scope import Scope


def resolve(scope: Scope, row: Row) -> Iterator[OpenCall]:
    """`gap.resolved`: a snapshot says who is alive. Yields the calls that are over because of it."""
    data = row["data"]
    since, until = _moment(data.get("from_us"), row["ts"]), _moment(data.get("to_us"), row["ts"])
    live = {f"{row['pbx']}:{native}" for native in data.get("live", "").split()}
    restarted = data.get("restarted") == "1"
    for call in list(scope.calls.values()):
        if since < until and any(_spans(leg, since, until) for leg in call.legs.values()):
            call.flags.add("gap")
            call.changed = True
        gone = [leg for leg in call.legs.values() if _missed(leg, until, live, restarted=restarted)]
        if _close(call, gone, since, "gap"):
            yield call


def restart(scope: Scope, row: Row) -> Iterator[OpenCall]:
    """`source.up` of a PBX that was started anew: nothing from before is alive."""
    if row["data"].get("restarted") == "1":
        for call in list(scope.calls.values()):
            gone = [leg for leg in call.legs.values() if leg.ended_at is None and leg.last_at < row["ts"]]
            if _close(call, gone, call.last_at, "gap"):
                yield call


def sweep(scope: Scope, now: int, silence: int) -> Iterator[OpenCall]:
    """Close calls of which nothing was heard for `silence` µs, by our clock or by the PBX's own."""
    for call in list(scope.calls.values()):
        if call.over or (now - call.touched < silence and scope.latest - call.last_at < silence):
            continue
        if _close(call, [leg for leg in call.legs.values() if leg.ended_at is None], call.last_at, ""):
            yield call


def _spans(leg: Leg, since: int, until: int) -> bool:
    return leg.created_at < until and (leg.ended_at is None or leg.ended_at > since)


def _missed(leg: Leg, until: int, live: Collection[str], *, restarted: bool) -> bool:
    """Not in the snapshot, older than it, and (unless the PBX was restarted) not heard of since."""
    if leg.ended_at is not None or leg.id in live or leg.created_at >= until:
        return False
    return restarted or leg.last_at <= until


def _close(call: OpenCall, legs: Collection[Leg], alive_at: int, flag: str) -> bool:
    """End them just behind the moment when they were last known to be alive: a talk that had begun then was one.

    Tells whether the call is over with them.
    """
    for leg in legs:
        leg.ended_at, leg.estimated = max(leg.last_at, alive_at) + 1, True
        call.open_legs -= 1
        call.last_at = max(call.last_at, leg.ended_at)
        call.changed = True
        if flag:
            call.flags.add(flag)
    return bool(legs) and call.over


def _moment(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else otherwise
