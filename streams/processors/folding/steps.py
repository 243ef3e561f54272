"""What each event type changes in an open call. A step answers whether a revision of the record may be due."""

from collections.abc import Callable, Mapping

from streams.processors.folding.calls import Fact, OpenCall, Row
from streams.processors.folding.legs import Leg, Stay

Step = Callable[[OpenCall, Leg | None, Row], bool]
HOLDING = frozenset({"parking", "holding_bridge", "holding"})
"""Bridges in which nobody talks."""


def talkative(data: Mapping[str, str]) -> bool:
    """Whether the bridge that an event names lets its members talk."""
    return data.get("bridge_type") not in HOLDING and data.get("technology") not in HOLDING


def describe(leg: Leg, row: Row) -> None:
    """Take in the snapshot of the leg that every event of its own carries."""
    if row["channel"] != leg.channel and row["channel"]:
        leg.rename(row["channel"])
    # The dialplan gives a telephone of the house another number to show outside: it is still that telephone. So it is
    # with a customer who has talked already and is put through to somebody outside.
    shown = leg.agent and leg.number and row["agent"] in {"", leg.agent}
    put_through = leg.stays and leg.direction == "inbound" and leg.number
    if row["caller_raw"] and not shown and not put_through:
        leg.number, leg.e164 = row["caller_raw"], row["caller_e164"]
    if row["caller_name"] and not put_through:
        leg.name = row["caller_name"]
    if row["customer_number"] and not (put_through and leg.customer):
        leg.customer = row["customer_number"]
    if row["agent"]:
        leg.agent = row["agent"]
    if row["data"].get("hidden") == "1":
        leg.hidden = True
    if row["data"].get("closed") == "1":
        leg.closed = True


def created(_call: OpenCall, leg: Leg | None, row: Row) -> bool:
    if leg is not None:
        describe(leg, row)
        leg.inferred = leg.live = False
        leg.direction, leg.did = row["direction"], row["did"]
        leg.created_at = min(leg.created_at, row["ts"])
        if row["direction"]:
            leg.dialled, leg.dialled_e164 = row["callee_raw"], row["callee_e164"]
    return False


def live(call: OpenCall, leg: Leg | None, row: Row) -> bool:
    """A snapshot shows the leg alive: it was missed while it came, or it goes on."""
    if leg is None:
        return False
    describe(leg, row)
    ts, data = row["ts"], row["data"]
    if leg.inferred:
        if leg.created_at == ts:  # nothing else was heard of it
            leg.inferred, leg.live = False, True
        leg.direction, leg.did = row["direction"], row["did"]
    if leg.ended_at is not None and leg.ended_at < ts:
        leg.ended_at, leg.estimated = None, False
        call.open_legs += 1
    if data.get("state") == "6" and leg.answered_at is None:
        leg.answered_at = ts
    elif data.get("state") == "5" and leg.ringing_at is None:
        leg.ringing_at = ts
    bridge = data.get("bridge", "")
    if (leg.stays and leg.stays[-1].joined and leg.stays[-1].bridge) != (bridge or False):
        leg.stays.append(Stay(ts, row["seq"], bridge, joined=bool(bridge) and talkative(data)))
    return _meet(call, leg, bridge, data)


def ringing(call: OpenCall, leg: Leg | None, row: Row) -> bool:
    if leg is None:
        return False
    describe(leg, row)
    if leg.ringing_at is None:
        leg.ringing_at = row["ts"]
    if call.rang or leg.local:
        return False
    call.rang = True
    return True


def answered(_call: OpenCall, leg: Leg | None, row: Row) -> bool:
    if leg is not None:
        describe(leg, row)
        if leg.answered_at is None or leg.live:
            leg.answered_at = min(row["ts"], leg.answered_at or row["ts"])
    return False


def updated(_call: OpenCall, leg: Leg | None, row: Row) -> bool:
    if leg is None:
        return False
    data = row["data"]
    if "originate" in data:
        if not leg.dialled:
            leg.dialled, leg.dialled_e164 = row["callee_raw"], row["callee_e164"]
        return False
    describe(leg, row)
    if "hangup" in data:
        if data["hangup"] == "requested" and leg.asked_at is None:
            leg.asked_at = row["ts"]
        elif data["hangup"] == "soft" and leg.dropped_at is None:
            leg.dropped_at = row["ts"]
    elif "moh" in data:
        leg.music.append((row["ts"], data["moh"] == "1"))
    elif "new_channel" in data:
        leg.rename(data["new_channel"])
    elif data.get("app") == "Queue":
        leg.queue = data.get("queue", "")
    return False


def ended(call: OpenCall, leg: Leg | None, row: Row) -> bool:
    if leg is None or (leg.ended_at is not None and not leg.estimated):
        return False
    describe(leg, row)
    if leg.ended_at is None:
        call.open_legs -= 1
    leg.ended_at, leg.cause, leg.estimated = row["ts"], row["cause"], False
    leg.code = row["data"].get("tech_cause", "")
    return call.over


def joined(call: OpenCall, leg: Leg | None, row: Row) -> bool:
    if leg is None:
        return False
    describe(leg, row)
    data = row["data"]
    bridge = data.get("bridge", "")
    leg.stays.append(Stay(row["ts"], row["seq"], bridge, joined=talkative(data)))
    return _meet(call, leg, bridge, data)


def _meet(call: OpenCall, leg: Leg, bridge: str, data: Mapping[str, str]) -> bool:
    """Whether somebody was there already."""
    if not bridge or not talkative(data):
        return False
    inside = call.bridges.setdefault(bridge, set())
    inside.add(leg.id)
    return len(inside) > 1


def left(call: OpenCall, leg: Leg | None, row: Row) -> bool:
    if leg is not None:
        bridge = row["data"].get("bridge", "")
        leg.stays.append(Stay(row["ts"], row["seq"], bridge, joined=False))
        call.bridges.get(bridge, set()).discard(leg.id)
    return False


def held(_call: OpenCall, leg: Leg | None, row: Row) -> bool:
    if leg is not None:
        leg.holds.append((row["ts"], row["type"] == "hold.started"))
    return False


def fact(call: OpenCall, _leg: Leg | None, row: Row) -> bool:
    """Keep it: what it means is decided together with the others, in the order of their time."""
    call.facts.append(
        Fact(
            row["ts"],
            row["seq"],
            row["type"],
            row["leg_id"],
            row["peer_leg_id"],
            row["queue"],
            row["agent"],
            row["by"],
            row["data"],
        )
    )
    return False


def queued(call: OpenCall, leg: Leg | None, row: Row) -> bool:
    fact(call, leg, row)
    return True


def linked(_call: OpenCall, _leg: Leg | None, _row: Row) -> bool:
    """Nothing but that it came, and what it connects."""
    return False


STEPS: Mapping[str, Step] = {
    "leg.created": created,
    "leg.live": live,
    "leg.ringing": ringing,
    "leg.answered": answered,
    "leg.updated": updated,
    "leg.ended": ended,
    "bridge.joined": joined,
    "bridge.left": left,
    "hold.started": held,
    "hold.ended": held,
    "queue.entered": queued,
    "linkage.merged": linked,
    "cdr.final": linked,
    **dict.fromkeys(
        (
            *("dial.started", "dial.ended", "queue.position", "queue.left"),
            *("agent.offered", "agent.ring_no_answer", "agent.declined", "agent.cancelled"),
            *("agent.connected", "agent.completed", "transfer.completed", "transfer.failed"),
            *("forward", "pickup", "park.started", "park.ended", "conference.joined", "conference.left", "ivr.entered"),
            *("voicemail.entered", "voicemail.left", "voicemail.message"),
            *("recording.started", "recording.stopped", "recording.available", "note"),
        ),
        fact,
    ),
}
"""Types that are not named here (agent.state, source.*, dtmf, …) are not about a call's record."""

BEGIN = frozenset({"leg.created", "leg.live", "leg.ringing", "leg.answered", "bridge.joined", "queue.entered"})
"""What proves a person's leg: only these make a call that was not known."""
OWN = BEGIN | {"leg.updated", "leg.ended", "bridge.left", "hold.started", "hold.ended"}
"""A leg's own events: any of them makes the leg in its call, for the one that should have come first can be late."""


def born(row: Row) -> Leg:
    """The leg of an event that is the first to name it."""
    leg = Leg(id=row["leg_id"], created_at=row["ts"], last_at=row["ts"])
    leg.rename(row["channel"])
    return leg
