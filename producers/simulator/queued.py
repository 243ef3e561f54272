"""Calls through a queue: the centre answers with an announcement, the caller waits, members are rung one by one."""

from producers.simulator.desk import Desk, Serving
from producers.simulator.inbound import leave_message
from producers.simulator.roster import Agent
from producers.simulator.script import MICRO, Ref, Value
from producers.simulator.truth import Truth

RETRY_S = 1.0
"""app_queue's pause before it tries the next member."""
EVEN = 0.5
DECLINES = 0.3


def enter(desk: Desk, queue: str = "") -> Serving:
    """In from outside, an announcement, into that queue (or any)."""
    did, queue = desk.rng.choice([each for each in desk.staff.dids if queue in {"", each[1]}])
    script = desk.script
    desk.arrive(did)
    script.set("customer", context="queues", exten=queue, priority="4")
    script.set("customer", application="Queue", data=f"{queue},tT,,,45")
    up = script.say("Newstate", "customer", put={"state": "6"})
    script.wait(desk.pace.between(0.5, 3))
    joined = script.say("QueueCallerJoin", "customer", Queue=queue)
    script.say("MusicOnHoldStart", "customer", Class="default")
    return Serving(did=did, queue=queue, up=up, joined=joined)


def call(desk: Desk, serving: Serving, agent: Agent, role: str) -> int:
    """Ring a member's telephone; returns the moment it rang.

    DialBegin shows the member's leg as it was before AgentCalled: a snapshot taken earlier.
    """
    script = desk.script
    put: dict[str, Value] = {"device": agent.device, "number": agent.exten, "name": agent.name}
    script.say("Newchannel", role, put={**put, "linkedid": Ref("customer", "linkedid")})
    script.meet("customer", role)
    script.set(role, application="AppQueue", data="(Outgoing Line)")
    script.say("AgentCalled", "customer", role, told=serving.member(agent))
    script.set(role, connected_number="", connected_name="", exten="s")
    script.say("DialBegin", "customer", role, DialString=agent.device)
    script.set("customer", connected_number=agent.exten, connected_name=agent.name)
    script.say("NewConnectedLine", "customer")
    script.meet("customer", role)
    script.wait(0.003)
    rang = script.say("Newstate", role, put={"state": "5"})
    script.say("NewConnectedLine", role)
    script.say("DialState", "customer", role, DialStatus="RINGING")
    return rang


def pass_over(desk: Desk, serving: Serving, agent: Agent, role: str, seconds: float, *, declines: bool = False) -> None:
    """The member lets it ring out or declines: RingTime is milliseconds in name and whole seconds in truth."""
    script = desk.script
    begun = script.now
    rang = call(desk, serving, agent, role)
    script.wait(seconds)
    if declines:
        script.say("HangupRequest", role)
        script.say("DialEnd", "customer", role, DialStatus="NOANSWER")
    ring_ms = str(max(1, round(seconds)) * 1000)
    script.say("AgentRingNoAnswer", "customer", role, told=serving.member(agent), RingTime=ring_ms)
    if not declines:
        script.say("DialEnd", "customer", role, DialStatus="NOANSWER")
        script.say("DialEnd", "customer", role, DialStatus="CANCEL")
    desk.offered(agent, "rejected" if declines else "no_answer", rang)
    ended = script.hang_up(role, 21 if declines else 0)
    desk.owe(role, started=begun, ended=ended, answered=begun, disposition="NO ANSWER")


def take(desk: Desk, serving: Serving, agent: Agent, ring: float) -> None:
    """A member is rung and answers: the caller leaves the queue before the talk is connected."""
    script = desk.script
    serving.dialled = script.now
    rang = call(desk, serving, agent, "agent")
    script.wait(ring)
    script.say("Newstate", "agent", put={"state": "6"})
    script.say("DialEnd", "customer", "agent", DialStatus="ANSWER")
    desk.offered(agent, "answered", rang)
    script.say("MusicOnHoldStop", "customer")
    desk.queued += script.say("QueueCallerLeave", "customer", Queue=serving.queue) - serving.joined
    ring_s = str((script.now - rang) // MICRO)
    script.say("AgentConnect", "customer", "agent", told=serving.member(agent), RingTime=ring_s)
    serving.agent = agent


def leave(desk: Desk, serving: Serving, *, quiet: bool = False) -> None:
    """Out of the queue without a talk: a time-out says *abandon* too. `quiet`: the music ends only here."""
    desk.script.say("QueueCallerAbandon", "customer", Queue=serving.queue)
    if quiet:
        desk.script.say("MusicOnHoldStop", "customer")
    desk.queued += desk.script.say("QueueCallerLeave", "customer", Queue=serving.queue) - serving.joined


def give_up(desk: Desk, serving: Serving, kind: str) -> Truth:
    """The caller hangs up while waiting, with no telephone ringing."""
    script = desk.script
    script.say("HangupRequest", "customer")
    script.say("MusicOnHoldStop", "customer")
    leave(desk, serving)
    script.say("SoftHangupRequest", "customer", Cause="16")
    script.hang_up("customer", 16)
    desk.record(serving.up, "ANSWERED", peer="", alone=True)
    return desk.truth(kind, "abandoned", did=serving.did, queue=serving.queue)


def answered(desk: Desk, kind: str = "queue_answered", passes: int = 0) -> Truth | None:
    """A member takes the call, after `passes` others let it ring out. Nobody free in time: the caller abandons."""
    serving = enter(desk)
    members = desk.staff.members(serving.queue)
    for turn in range(passes):
        declines = desk.rng.random() < DECLINES
        ring = desk.pace.between(0.3, 5) if declines else desk.pace.ring_out
        found = desk.within(ring, desk.pace.between(10, 40), members)
        if found is None:
            break
        desk.until(found[0])
        pass_over(desk, serving, found[1], f"passed{turn}", ring, declines=declines)
        if not declines:
            desk.script.wait(desk.pace.of(RETRY_S))
        members = tuple(agent for agent in members if agent != found[1]) or members
    ring, seconds = desk.pace.between(1, 8), desk.pace.talk()
    patience = desk.pace.between(10, 40)
    found = desk.within(ring + seconds, patience, members)
    if found is None:
        desk.script.wait(patience)
        return give_up(desk, serving, "queue_abandoned")
    desk.until(found[0])
    take(desk, serving, found[1], ring)
    desk.converse(seconds, holds=kind == "queue_hold")
    by = desk.part_from(serving=serving)
    desk.record(serving.dialled, "ANSWERED", started=serving.dialled)
    return desk.truth(kind, "answered", did=serving.did, queue=serving.queue, hangup_by=by)


def second(desk: Desk) -> Truth | None:
    """The first member lets it ring out, or declines, and the second takes it."""
    return answered(desk, "queue_second_agent", passes=1)


def held(desk: Desk) -> Truth | None:
    """As answered, and the member puts the customer on hold once."""
    return answered(desk, "queue_hold")


def abandoned(desk: Desk) -> Truth | None:
    """The caller gives up in the queue: while a telephone rings, after one rang out, or with nobody there."""
    serving = enter(desk)
    members = desk.staff.members(serving.queue)
    way = desk.rng.random()
    if way < EVEN:
        ring = desk.pace.between(6, 12)
        found = desk.within(ring, desk.pace.between(5, 20), members)
        if found is not None:
            desk.until(found[0])
            return _while_ringing(desk, serving, found[1], ring)
    elif desk.rng.random() < EVEN:
        found = desk.within(desk.pace.ring_out, desk.pace.between(5, 20), members)
        if found is not None:
            desk.until(found[0])
            pass_over(desk, serving, found[1], "passed0", desk.pace.ring_out)
            desk.script.wait(desk.pace.between(0, 1))
            return give_up(desk, serving, "queue_abandoned_after_ring")
    desk.script.wait(desk.pace.between(6, 20))
    return give_up(desk, serving, "queue_abandoned")


def _while_ringing(desk: Desk, serving: Serving, agent: Agent, ring: float) -> Truth:
    script = desk.script
    begun = script.now
    rang = call(desk, serving, agent, "agent")
    script.wait(ring)
    script.say("HangupRequest", "customer")
    script.say("MusicOnHoldStop", "customer")
    script.say("DialEnd", "customer", "agent", DialStatus="CANCEL")
    script.say("DialEnd", "customer", "agent", DialStatus="CANCEL")
    desk.offered(agent, "cancelled", rang)
    leave(desk, serving)
    script.say("SoftHangupRequest", "customer", Cause="16")
    script.hang_up("customer", 16)
    script.hang_up("agent", 0)
    desk.record(begun, "NO ANSWER", started=begun)
    return desk.truth("queue_abandoned_ringing", "abandoned", did=serving.did, queue=serving.queue)


def timed_out(desk: Desk) -> Truth | None:
    """Nobody in time: telephones ring out until the queue gives up, and voicemail takes over."""
    serving = enter(desk)
    script, members = desk.script, desk.staff.members(serving.queue)
    end = serving.joined + round(desk.pace.queue_timeout * MICRO)
    for turn in range(4):
        left = (end - script.now) / MICRO
        seconds = min(desk.pace.ring_out, left)
        found = desk.within(seconds, left - seconds, members) if left > desk.pace.of(RETRY_S) else None
        if found is None:
            break
        desk.until(found[0])
        pass_over(desk, serving, found[1], f"passed{turn}", seconds)
        script.wait(min(desk.pace.of(RETRY_S), max(0.0, (end - script.now) / MICRO)))
    desk.until(end)
    leave(desk, serving, quiet=True)
    since = script.now
    if desk.rng.random() < EVEN:
        leave_message(desk, f"9{desk.staff.queues.index(serving.queue):02d}")
        outcome = "voicemail"
    else:
        script.wait(desk.pace.between(1, 3))
        script.say("HangupRequest", "customer")
        script.say("SoftHangupRequest", "customer", Cause="16")
        script.hang_up("customer", 16)
        outcome = "queue_timeout"
    desk.record(since, "ANSWERED", peer="", started=since)
    return desk.truth("queue_timeout", outcome, did=serving.did, queue=serving.queue)
