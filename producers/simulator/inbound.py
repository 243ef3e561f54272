"""Calls that reach one telephone (or a group of them) straight from outside, and calls between two telephones."""

from producers.simulator.desk import Desk
from producers.simulator.roster import Agent
from producers.simulator.script import Ref
from producers.simulator.truth import Truth


def begin(desk: Desk, agent: Agent) -> str:
    """The customer dials the agent's own number and the dialplan goes to the extension. Returns the DID."""
    did = desk.staff.direct(agent)
    desk.arrive(did)
    desk.script.set("customer", context="internal", exten=agent.exten, application="Dial", data=f"{agent.device},15")
    return did


def offer(desk: Desk, agent: Agent, role: str = "agent", caller: str = "customer", after: float = 0.05) -> int:
    """Dial the agent's telephone from the caller's leg until it rings; returns the moment."""
    seen = desk.seen(caller)
    desk.script.dial(caller, role, device=agent.device, number=agent.exten, name=agent.name, seen=seen)
    return desk.script.ring(caller, role, agent.exten, after)


def finish(
    desk: Desk, bridge: str, by: str, *, caller: str = "customer", callee: str = "agent", complete: str = ""
) -> int:
    """One of two bridged legs hangs up; returns the moment the talk was over.

    `complete` names the queue talk's agent interface and member (`device|name|queue`) when there is one to complete.
    """
    script, other = desk.script, callee if by == caller else caller
    script.say("HangupRequest", by)
    if complete:
        device, name, queue = complete.split("|")
        reason = "caller" if by == caller else "agent"
        script.say("AgentComplete", caller, callee, Queue=queue, Interface=device, MemberName=name, Reason=reason)
    until = script.part(bridge, by, other)
    script.hang_up(callee, 16)
    if by == caller:
        script.say("SoftHangupRequest", caller, Cause="16")
    script.hang_up(caller, 16)
    return until


def record(
    desk: Desk, answered: int | None, disposition: str, *, leg: str = "customer", peer: str = "agent", **told: str
) -> None:
    """The record of a plain Dial: one row, from the first leg to the last moment."""
    first = desk.script.steps[0].at
    desk.script.record(
        leg,
        peer,
        answered=answered,
        ended=desk.script.now,
        disposition=disposition,
        started=str(first),
        src=Ref(leg, "number"),
        dst=Ref(leg, "exten"),
        context=Ref(leg, "context"),
        application=told.pop("application", "Dial"),
        data=Ref(leg, "data"),
        caller=Ref(leg, "clid"),
        **told,
    )


def talk(
    desk: Desk, seconds: float, *, holds: bool, bridge: str = "b1", caller: str = "customer", callee: str = "agent"
) -> int:
    """The two are bridged and talk for that long, perhaps with a hold; returns the moment it began."""
    since = desk.script.bridge(bridge, callee, caller)
    if holds:
        desk.script.wait(seconds * 0.3)
        desk.hold(callee, caller, seconds * 0.3)
        desk.script.wait(seconds * 0.4)
    else:
        desk.script.wait(seconds)
    return since


def answered(desk: Desk, kind: str = "direct_answered") -> Truth | None:
    """A customer rings an agent's own number and they talk."""
    ring, seconds = desk.pace.between(2, 10), desk.pace.talk()
    agent = desk.free(ring + seconds)
    if agent is None:
        return None
    did = begin(desk, agent)
    rang = offer(desk, agent)
    desk.script.wait(ring - 0.05)
    picked = desk.script.pick_up("customer", "agent")
    desk.offered(agent, "answered", rang)
    desk.script.say("Newstate", "customer", put={"state": "6"})
    since = talk(desk, seconds, holds=kind == "hold")
    by = desk.rng.choice(("customer", "agent"))
    desk.talk(since, finish(desk, "b1", by))
    record(desk, picked, "ANSWERED")
    return desk.truth(kind, "answered", did=did, hangup_by=by)


def held(desk: Desk) -> Truth | None:
    """As answered, and the agent puts the customer on hold once."""
    return answered(desk, "hold")


def refused(desk: Desk) -> Truth:
    """The agent's telephone is busy, or the agent presses reject."""
    alive = desk.free(2.0) if desk.rng.random() < 0.2 else None  # noqa: PLR2004
    busy, agent = alive is None, alive or desk.rng.choice(desk.staff.agents)
    script = desk.script
    did = begin(desk, agent)
    desk.script.dial(
        "customer", "agent", device=agent.device, number=agent.exten, name=agent.name, seen=desk.seen("customer")
    )
    since = script.say("DialBegin", "customer", "agent", DialString=agent.exten)
    script.wait(0.03)
    if not busy:
        since = script.say("Newstate", "agent", put={"state": "5"})
        script.wait(desk.pace.between(0.5, 2))
    cause = 17 if busy else 21
    script.say("DialEnd", "customer", "agent", DialStatus="BUSY")
    desk.offered(agent, "busy" if busy else "rejected", since)
    script.hang_up("agent", cause)
    script.hang_up("customer", cause)
    record(desk, None, "BUSY")
    return desk.truth("busy" if busy else "rejected", "busy" if busy else "rejected", did=did, hangup_by="system")


def missed(desk: Desk) -> Truth | None:
    """It rings and nobody takes it: the customer gives up, or the PBX does after its time-out."""
    gives_up = desk.rng.random() < 0.6  # noqa: PLR2004
    ring = desk.pace.between(3, 14) if gives_up else desk.pace.ring_out
    agent = desk.free(ring)
    if agent is None:
        return None
    script = desk.script
    did = begin(desk, agent)
    rang = offer(desk, agent)
    script.wait(ring - 0.05)
    if gives_up:
        script.say("DialEnd", "customer", "agent", DialStatus="CANCEL")
        desk.offered(agent, "cancelled", rang)
        script.hang_up("agent", 127)
        script.hang_up("customer", 127)
        record(desk, None, "NO ANSWER")
        return desk.truth("missed", "abandoned_ringing", did=did, hangup_by="customer")
    rung_out(desk, agent, rang)
    script.hang_up("customer", 19)
    record(desk, None, "NO ANSWER")
    return desk.truth("no_answer", "no_answer", did=did, hangup_by="system")


def rung_out(desk: Desk, agent: Agent, rang: int) -> None:
    desk.script.say("DialEnd", "customer", "agent", DialStatus="NOANSWER")
    desk.offered(agent, "no_answer", rang)
    desk.script.hang_up("agent", 0)


def leave_message(desk: Desk, box: str, count: int) -> None:
    """VoiceMail(): the greeting, the message, and only after the customer hangs up the sign that there is one."""
    script = desk.script
    script.set("customer", application="VoiceMail", data=f"{box}@default,u")
    script.wait(desk.pace.between(4, 20))
    script.say("HangupRequest", "customer")
    script.say("MessageWaiting", "customer", Mailbox=f"{box}@default", Waiting="1", New=str(count), Old="0")
    script.hang_up("customer", 16)


def voicemail(desk: Desk) -> Truth | None:
    """Nobody takes it, and the customer leaves a message."""
    agent = desk.free(desk.pace.ring_out)
    if agent is None:
        return None
    did = begin(desk, agent)
    rang = offer(desk, agent)
    desk.script.wait(desk.pace.ring_out - 0.05)
    rung_out(desk, agent, rang)
    up = desk.script.say("Newstate", "customer", put={"state": "6"})
    leave_message(desk, agent.exten, desk.rng.randint(1, 9))
    record(desk, up, "ANSWERED", application="VoiceMail")
    return desk.truth("voicemail", "voicemail", did=did)
