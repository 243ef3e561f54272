"""Calls through a queue: the centre answers with an announcement, the caller waits, members are rung one by one."""

from producers.simulator.desk import Desk
from producers.simulator.inbound import finish, leave_message, record, talk
from producers.simulator.roster import Agent
from producers.simulator.script import MICRO
from producers.simulator.truth import Truth


def enter(desk: Desk, queue: str = "") -> tuple[str, str, int, int]:
    """In from outside, an announcement, into that queue (or any). Returns DID, queue, answer and join moments."""
    did, queue = desk.rng.choice([each for each in desk.staff.dids if queue in {"", each[1]}])
    script = desk.script
    desk.arrive(did)
    script.set("customer", context="queues", exten=queue, application="Queue", data=f"{queue},,,,45")
    up = script.say("Newstate", "customer", put={"state": "6"})
    script.wait(desk.pace.between(0.5, 3))
    joined = script.say("QueueCallerJoin", "customer", Queue=queue)
    script.say("MusicOnHoldStart", "customer", Class="default")
    return did, queue, up, joined


def call(desk: Desk, queue: str, agent: Agent, role: str) -> int:
    """Ring a member's telephone; returns the moment it rang."""
    script = desk.script
    script.dial("customer", role, device=agent.device, number=queue, name="", seen=desk.seen("customer"))
    script.say("AgentCalled", "customer", role, Queue=queue, Interface=agent.device, MemberName=agent.name)
    return script.ring("customer", role, agent.exten, 0.05)


def pass_over(desk: Desk, queue: str, agent: Agent, role: str, *, rang: int, seconds: float) -> None:
    """The member does not take it: RingTime is milliseconds in name and whole seconds in truth."""
    script = desk.script
    script.wait(seconds - 0.05)
    ring_ms = str(max(1, round(seconds)) * 1000)
    script.say(
        "AgentRingNoAnswer",
        "customer",
        role,
        Queue=queue,
        Interface=agent.device,
        MemberName=agent.name,
        RingTime=ring_ms,
    )
    script.say("DialEnd", "customer", role, DialStatus="NOANSWER")
    desk.offered(agent, "no_answer", rang)
    script.hang_up(role, 0)


def take(desk: Desk, queue: str, agent: Agent, role: str, *, rang: int, joined: int) -> None:
    """The member answers: the caller leaves the queue before the talk is connected."""
    script = desk.script
    script.pick_up("customer", role)
    desk.offered(agent, "answered", rang)
    script.say("MusicOnHoldStop", "customer")
    desk.queued += script.say("QueueCallerLeave", "customer", Queue=queue) - joined
    ring_s = str((script.now - rang) // MICRO)
    script.say(
        "AgentConnect", "customer", role, Queue=queue, Interface=agent.device, MemberName=agent.name, RingTime=ring_s
    )


def abandon(desk: Desk, queue: str, joined: int) -> None:
    """The caller hangs up while waiting: abandon before leave."""
    script = desk.script
    script.say("HangupRequest", "customer")
    script.say("QueueCallerAbandon", "customer", Queue=queue)
    desk.queued += script.say("QueueCallerLeave", "customer", Queue=queue) - joined
    script.say("MusicOnHoldStop", "customer")
    script.hang_up("customer", 16)


def answered(desk: Desk, kind: str = "queue_answered", passes: int = 0) -> Truth | None:
    """A member takes the call, after `passes` others let it ring out. Nobody free in time: the caller abandons."""
    did, queue, up, joined = enter(desk)
    members = desk.staff.members(queue)
    for turn in range(passes):
        found = desk.within(desk.pace.ring_out, desk.pace.between(10, 40), members)
        if found is None:
            break
        desk.until(found[0])
        rang = call(desk, queue, found[1], f"passed{turn}")
        pass_over(desk, queue, found[1], f"passed{turn}", rang=rang, seconds=desk.pace.ring_out)
        members = tuple(agent for agent in members if agent != found[1]) or members
    ring, seconds = desk.pace.between(1, 8), desk.pace.talk()
    patience = desk.pace.between(10, 40)
    found = desk.within(ring + seconds, patience, members)
    if found is None:
        desk.script.wait(patience)
        abandon(desk, queue, joined)
        record(desk, up, "ANSWERED", peer="", application="Queue")
        return desk.truth("queue_abandoned", "abandoned", did=did, queue=queue)
    desk.until(found[0])
    agent = found[1]
    rang = call(desk, queue, agent, "agent")
    desk.script.wait(ring - 0.05)
    take(desk, queue, agent, "agent", rang=rang, joined=joined)
    since = talk(desk, seconds, holds=kind == "queue_hold")
    by = desk.rng.choice(("customer", "agent"))
    desk.talk(since, finish(desk, "b1", by, complete=f"{agent.device}|{agent.name}|{queue}"))
    record(desk, up, "ANSWERED", application="Queue")
    return desk.truth(kind, "answered", did=did, queue=queue, hangup_by=by)


def second(desk: Desk) -> Truth | None:
    """The first member lets it ring out, the second takes it."""
    return answered(desk, "queue_second_agent", passes=1)


def held(desk: Desk) -> Truth | None:
    return answered(desk, "queue_hold")


def abandoned(desk: Desk) -> Truth | None:
    """The caller gives up in the queue, sometimes after a member has let it ring out."""
    did, queue, up, joined = enter(desk)
    found = None
    if desk.rng.random() < 0.5:  # noqa: PLR2004
        found = desk.within(desk.pace.ring_out, desk.pace.between(5, 20), desk.staff.members(queue))
    if found is not None:
        desk.until(found[0])
        rang = call(desk, queue, found[1], "passed0")
        pass_over(desk, queue, found[1], "passed0", rang=rang, seconds=desk.pace.ring_out)
    desk.script.wait(desk.pace.between(1, 20))
    abandon(desk, queue, joined)
    record(desk, up, "ANSWERED", peer="", application="Queue")
    kind = "queue_abandoned_after_ring" if found else "queue_abandoned"
    return desk.truth(kind, "abandoned", did=did, queue=queue)


def timed_out(desk: Desk) -> Truth | None:
    """Nobody in time: the queue says *abandon* although the caller stays, and voicemail takes over."""
    did, queue, up, joined = enter(desk)
    script, message = desk.script, desk.rng.random() < 0.6  # noqa: PLR2004
    script.wait(desk.pace.queue_timeout)
    script.say("QueueCallerAbandon", "customer", Queue=queue)
    desk.queued += script.say("QueueCallerLeave", "customer", Queue=queue) - joined
    script.say("MusicOnHoldStop", "customer")
    if message:
        leave_message(desk, f"9{desk.staff.queues.index(queue):02d}", desk.rng.randint(1, 9))
    else:
        script.wait(desk.pace.between(1, 3))
        script.say("HangupRequest", "customer")
        script.hang_up("customer", 16)
    record(desk, up, "ANSWERED", peer="", application="VoiceMail")
    return desk.truth("queue_timeout", "voicemail" if message else "queue_timeout", did=did, queue=queue)
