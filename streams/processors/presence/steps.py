"""What each event changes in what is known of an agent.

A fact is taken when it is not older than the one that it replaces, so a copy or a straggler changes nothing; but it may
date a fact that only a snapshot had shown. Channels
that are seen tell of calls more exactly than the telephone's own state, which follows them by some milliseconds: it counts
where no channel is seen (a call that the filters hide, a PBX that tells no channels).
"""

from collections.abc import Callable
from dataclasses import replace

from schemas.events import AgentLeg, Membership, Phone
from streams.processors.folding.steps import talkative
from streams.processors.presence.person import MICRO, Person, Row
from streams.processors.presence.states import CALLS

SETTLE = MICRO
"""Time in which a telephone's own state may still speak of a call whose channel was seen to end."""
RECORDS = frozenset({"cel", "cdr", "queue_log"})
"""data.source of events that were made from records."""
_HOLDS = {"hold.started": "hold", "hold.ended": "on_call", "bridge.joined": "on_call"}
"""A transfer by feature code holds the customer and never takes it back: the agent talks to somebody else then."""
_OFF_HOOK = frozenset({"3", "4", "6"})
_LIVE = {"3": "on_call", "4": "on_call", "5": "ringing", "6": "on_call"}
"""ChannelState of a leg.live."""

_TOLD = frozenset({"logged_out", "paused", "available"})
"""What an event may say of a membership, where it does not tell `paused`."""

Wrapup = Callable[[str, Membership | None], float]
"""Seconds of wrap-up after a call of a queue, for its account of the agent."""


def apply(person: Person, row: Row, wrapup: Wrapup) -> None:
    """Take in one event of the agent."""
    kind = row["type"]
    if kind == "agent.state":
        _told(person, row)
    elif kind == "agent.connected":
        _connected(person, row)
    elif kind == "agent.completed":
        _completed(person, row, wrapup)
    elif kind in _HOLDS:
        leg = person.legs.get(row["leg_id"])
        late = person.late("hold", row["leg_id"], row["ts"], leg.at if leg is not None else 0)
        if not late and leg is not None and leg.state in ("on_call", "hold") and talkative(row["data"]):
            _leg(person, row, _HOLDS[kind])
    elif kind == "leg.ended":
        end(person, row["leg_id"], _interface(row["channel"]), row["ts"])
    elif state := _of_leg(row):
        _leg(person, row, state)


def end(person: Person, leg_id: str, interface: str, ts: int, *, shown: bool = False) -> None:
    """A channel is gone, as it tells or as a snapshot shows, and its telephone is free unless it has another."""
    leg, phone = person.legs.get(leg_id), person.phones.get(interface)
    person.heard.pop(("hold", leg_id), None)
    if not shown and leg is None and phone is not None and phone.freed_at == phone.at:
        at = person.dated("phone", interface, ts, phone.at, same=phone.state == "available")
        person.phones[interface] = phone = replace(phone, freed_at=at, at=at)
    if (leg is not None and ts < leg.at) or (leg is None and (phone is None or ts <= (phone.freed_at or 0))):
        return
    person.legs.pop(leg_id, None)
    if interface:
        before = Phone(interface=interface, state="unknown", at=ts) if phone is None else phone
        busy = leg is None or any(each.interface == interface for each in person.legs.values())
        state, freed_at = before.state if busy else "available", max(ts, before.freed_at or ts)
        if leg is not None:
            person.changed("phone", interface, ts, leg.at, shown=shown)
        person.phones[interface] = replace(before, state=state, freed_at=freed_at, at=max(ts, before.at))


def leave(person: Person, queue: str, ts: int) -> None:
    """The agent is no member of the queue any more, as a snapshot shows."""
    old = person.memberships[queue]
    person.changed("queue", queue, ts, person.last("queue", queue, old.at), shown=True)
    person.memberships[queue] = replace(old, active=False, paused=False, reason="", at=ts)


def forget_records(person: Person, row: Row) -> None:
    """The talk that only records had told of is over."""
    for leg in list(person.legs.values()):
        if leg.queue == row["queue"] and not leg.interface and leg.at <= row["ts"]:
            del person.legs[leg.leg_id]


def _told(person: Person, row: Row) -> None:
    """What a queue, a telephone or a log-in says of the agent.

    An adapter tells in `data`: state (what this event alone makes of him); phone (what the telephone does, whatever the
    pause); interface, or state_interface where another device has the telephone's state; member (his name); paused as 1
    or 0; reason; wrapup_s. With a queue it is that queue's word; with a leg and no queue, a log-in by that channel; with
    neither and no phone, it is about all queues.
    """
    data, queue, state = row["data"], row["queue"], row["data"].get("state", "")
    interface = data.get("state_interface") or data.get("interface", "")
    person.interface, person.name = interface or person.interface, data.get("member") or person.name
    if phone := data.get("phone"):
        _phone(person, row, interface, phone)
    if queue:
        _member(person, row, queue)
    elif row["leg_id"] and state in ("available", "logged_out"):
        _member(person, row, "")
        if state == "available":  # the channel of the log-in stays up for the whole shift, and is no call
            where = _interface(row["channel"])
            leg = AgentLeg(leg_id=row["leg_id"], call_id=row["call_id"], interface=where, state="login", at=row["ts"])
            person.legs[leg.leg_id] = leg
    elif not phone:  # all queues at once
        for each in [name for name, known in person.memberships.items() if known.active or row["ts"] < known.at]:
            _member(person, row, each)


def _member(person: Person, row: Row, queue: str) -> None:
    data, ts, old = row["data"], row["ts"], person.memberships.get(queue)
    before = person.last("queue", queue, old.at if old is not None else 0)
    new = _membership(old, row, queue)
    if person.late("queue", queue, ts, before):
        if old is not None and not _shown(row) and ("paused" in data or data.get("state") in _TOLD):
            same = (new.active, new.paused, new.reason) == (old.active, old.paused, old.reason)
            person.memberships[queue] = replace(old, at=person.dated("queue", queue, ts, old.at, same=same))
    elif old is None or replace(new, at=old.at) != old:
        person.changed("queue", queue, ts, before, shown=_shown(row))
        person.memberships[queue] = new


def _membership(old: Membership | None, row: Row, queue: str) -> Membership:
    """What a queue's word makes of the agent's membership."""
    data, state = row["data"], row["data"].get("state", "")
    active = state != "logged_out"
    paused = old is not None and old.paused
    if "paused" in data:
        paused = data["paused"] == "1"
    elif state in ("paused", "available"):
        paused = state == "paused"
    paused = paused and active
    # Only the events of the pause itself must say why; what is told after them and does not is no other pause.
    reason = data.get("reason", old.reason if old is not None and old.paused else "") if paused else ""
    own = _seconds(data.get("wrapup_s", ""))
    wrapup_s = own or (old.wrapup_s if old is not None and "wrapup_s" not in data else None)
    return Membership(queue=queue, active=active, paused=paused, reason=reason, wrapup_s=wrapup_s, at=row["ts"])


def _phone(person: Person, row: Row, interface: str, state: str) -> None:
    ts, old = row["ts"], person.phones.get(interface)
    before = person.last("phone", interface, old.at if old is not None else 0)
    if not interface or person.late("phone", interface, ts, before):
        seen = any(leg.interface == interface for leg in person.legs.values())
        if old is not None and not _shown(row) and not seen:
            at = person.dated("phone", interface, ts, old.at, same=state == old.state)
            person.phones[interface] = replace(old, at=at)
        return
    if not row["queue"] and state in ("available", "unavailable"):
        for leg in list(person.legs.values()):  # nothing is alive on a telephone that is not in use: its end was lost
            if leg.interface == interface and leg.state != "login" and ts - leg.at > SETTLE:
                end(person, leg.leg_id, interface, ts, shown=_shown(row))
    if any(leg.interface == interface for leg in person.legs.values()):
        return
    old = person.phones.get(interface)
    if old is not None and state in CALLS and old.freed_at is not None and ts - old.freed_at < SETTLE:
        return
    if old is None or old.state != state:
        freed_at = None if old is None else old.freed_at
        person.changed("phone", interface, ts, before, shown=_shown(row))
        person.phones[interface] = Phone(interface=interface, state=state, freed_at=freed_at, at=ts)


def _shown(row: Row) -> bool:
    """Whether a snapshot shows it: the PBX does not tell since when."""
    return bool(row["synthetic"]) and row["data"].get("source") not in RECORDS


def _of_leg(row: Row) -> str:
    """The state that a leg's event gives it; "" when it rings nobody and talks to nobody."""
    kind, native = row["type"], row["data"].get("state", "")
    if kind == "leg.created":
        return "on_call" if native in _OFF_HOOK else ""
    if kind == "leg.live":
        return _LIVE.get(native, "")
    return {"leg.ringing": "ringing", "leg.answered": "on_call"}.get(kind, "")


def _leg(person: Person, row: Row, state: str) -> None:
    ts, leg_id, interface = row["ts"], row["leg_id"], _interface(row["channel"])
    old = person.legs.get(leg_id)
    if old is None:
        phone = person.phones.get(interface)
        if phone is not None and phone.freed_at is not None and ts <= phone.freed_at:
            return  # a straggler: the telephone is known to have been freed since
        person.legs[leg_id] = AgentLeg(leg_id=leg_id, call_id=row["call_id"], interface=interface, state=state, at=ts)
        return
    up = old.state != "ringing"
    if ts < old.at or old.state in ("login", state) or (up and row["type"] not in _HOLDS):
        return
    person.legs[leg_id] = replace(old, call_id=row["call_id"] or old.call_id, state=state, at=ts)


def _connected(person: Person, row: Row) -> None:
    """A queue gave the agent the call. In records it is all that tells of the talk."""
    leg = person.legs.get(row["peer_leg_id"]) or next(
        (each for each in person.legs.values() if each.state != "ringing" and each.call_id == row["call_id"]), None
    )
    if leg is not None:
        if leg.state != "login":
            person.legs[leg.leg_id] = replace(leg, queue=row["queue"])
    elif row["data"].get("source") in RECORDS and not _freed_since(person, row["ts"] + MICRO):
        leg_id = row["peer_leg_id"] or row["leg_id"]
        person.legs[leg_id] = AgentLeg(
            leg_id=leg_id,
            call_id=row["call_id"] or row["leg_id"],
            interface="",
            state="on_call",
            queue=row["queue"],
            at=row["ts"],
        )


def _freed_since(person: Person, ts: int) -> bool:
    return any(phone.freed_at is not None and phone.freed_at >= ts for phone in person.phones.values())


def _completed(person: Person, row: Row, wrapup: Wrapup) -> None:
    """The queue closes its account of the talk, some milliseconds before the channel ends."""
    ts, queue = row["ts"], row["queue"]
    forget_records(person, row)
    seconds = wrapup(queue, person.memberships.get(queue))
    if seconds > 0 and (person.said is None or ts >= person.said.since):  # else it is about a talk before that
        person.wrapup = ts, ts + round(seconds * MICRO)


def _interface(channel: str) -> str:
    """PJSIP/1001 of PJSIP/1001-0000002a."""
    return channel.rpartition("-")[0] or channel


def _seconds(text: str) -> float | None:
    """A duration as a PBX writes it; None when it says none of its own (0, or nothing)."""
    return float(text) or None if text.isascii() and text.isdigit() and len(text) < 9 else None  # noqa: PLR2004
