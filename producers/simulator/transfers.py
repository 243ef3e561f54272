"""Calls that an agent passes on, and calls that ring several telephones at once."""

from producers.simulator.desk import Desk
from producers.simulator.inbound import begin, finish, offer, record
from producers.simulator.queued import call, enter, take
from producers.simulator.roster import Agent
from producers.simulator.script import Ref
from producers.simulator.truth import Move, Truth


def _answered_first(desk: Desk, agent: Agent, ring: float) -> tuple[str, str, int, int]:
    """The first agent answers, from a queue in two of three calls. Returns DID, queue, answer and talk moments."""
    if desk.rng.random() < 0.34 or not agent.queues:  # noqa: PLR2004
        did, queue = begin(desk, agent), ""
        rang = offer(desk, agent)
        desk.script.wait(ring)
        up = desk.script.pick_up("customer", "agent")
        desk.offered(agent, "answered", rang)
        desk.script.say("Newstate", "customer", put={"state": "6"})
    else:
        did, queue, up, joined = enter(desk, agent.queues[0])
        rang = call(desk, queue, agent, "agent")
        desk.script.wait(ring)
        take(desk, queue, agent, "agent", rang=rang, joined=joined)
    return did, queue, up, desk.script.bridge("b1", "agent", "customer")


def _complete(desk: Desk, agent: Agent, queue: str) -> None:
    """A transfer ends the queue's statistic although the customer goes on talking."""
    if queue:
        desk.script.say(
            "AgentComplete",
            "customer",
            "agent",
            Queue=queue,
            Interface=agent.device,
            MemberName=agent.name,
            Reason="transfer",
        )


def blind(desk: Desk) -> Truth | None:
    """REFER: an Unhold that no Hold preceded, the agent is gone before the new telephone is even created."""
    ring, before, after = desk.pace.between(1, 6), desk.pace.talk() / 2, desk.pace.talk() / 2
    agent, target = desk.free(2 * ring + before + 4), desk.free(2 * ring + before + after + 6)
    if agent is None or target is None:
        return None
    script = desk.script
    did, queue, up, since = _answered_first(desk, agent, ring)
    script.wait(before)
    script.say("Unhold", "agent")
    at = script.say(
        "BlindTransfer",
        "agent",
        "customer",
        "b1",
        Result="Success",
        IsExternal="Yes",
        Context="internal",
        Extension=target.exten,
    )
    desk.moves.append(Move(kind="blind", by=agent.exten, to=target.exten, at=at))
    _complete(desk, agent, queue)
    desk.talk(since, script.part("b1", "agent", "customer"))
    script.hang_up("agent", 16)
    record(desk, up, "ANSWERED", application="Queue" if queue else "Dial")
    script.wait(1.5 / desk.pace.speed)
    script.set("customer", context="internal", exten=target.exten, application="Dial", data=f"{target.device},15")
    rang = offer(desk, target, "target")
    script.wait(ring)
    picked = script.pick_up("customer", "target")
    desk.offered(target, "answered", rang)
    since = script.bridge("b2", "target", "customer")
    script.wait(after)
    by = desk.rng.choice(("customer", "target"))
    desk.talk(since, finish(desk, "b2", by, callee="target"))
    record(desk, picked, "ANSWERED", peer="target")
    return desk.truth("blind_transfer", "answered", did=did, queue=queue, hangup_by=by)


def attended(desk: Desk) -> Truth | None:
    """REFER with Replaces: the agent's second call has a linkedid of its own until the two are joined."""
    ring, before, after = desk.pace.between(1, 5), desk.pace.talk() / 2, desk.pace.talk() / 2
    consult = desk.pace.between(3, 10)
    agent, target = desk.free(2 * ring + before + consult + 5), desk.free(2 * ring + before + consult + after + 6)
    if agent is None or target is None:
        return None
    script = desk.script
    did, queue, up, since = _answered_first(desk, agent, ring)
    script.wait(before)
    held = script.say("Hold", "agent", MusicClass="default")
    script.say("MusicOnHoldStart", "customer", Class="default")
    put = {"device": agent.device, "state": "4", "exten": target.exten, "number": agent.exten, "name": agent.name}
    script.say("Newchannel", "agent2", put=put)
    script.set("agent2", application="Dial", data=f"{target.device},15")
    rang = offer(desk, target, "target", "agent2")
    script.wait(ring)
    script.pick_up("agent2", "target")
    desk.offered(target, "answered", rang)
    script.say("Newstate", "agent2", put={"state": "6"})
    script.bridge("b2", "target", "agent2")
    script.wait(consult)
    at = _join(desk, held)
    _complete(desk, agent, queue)
    script.hang_up("agent", 16)
    script.hang_up("agent2", 16)
    script.wait(after)
    by = desk.rng.choice(("customer", "target"))
    desk.talk(since, finish(desk, "b1", by, callee="target"))
    desk.moves.append(Move(kind="attended", by=agent.exten, to=target.exten, at=at))
    record(desk, up, "ANSWERED", application="Queue" if queue else "Dial")
    return desk.truth("attended_transfer", "answered", did=did, queue=queue, hangup_by=by)


def _join(desk: Desk, held: int) -> int:
    """The target takes the agent's place in the first bridge; its linkedid changes without an event of its own."""
    script = desk.script
    desk.held += script.say("Unhold", "agent") - held
    script.say("MusicOnHoldStop", "customer")
    script.say("Unhold", "agent2")
    script.say("BridgeLeave", "b2", "target")
    script.set("target", linkedid=Ref("customer", "linkedid"))
    script.say("BridgeEnter", "b1", "target", SwapUniqueid=Ref("agent", "uniqueid"))
    script.say("BridgeLeave", "b1", "agent")
    script.set("target", linkedid=Ref("agent2", "linkedid"))
    at = script.say(
        "AttendedTransfer",
        "agent",
        "b1",
        "agent2",
        "b2",
        "customer",
        "target",
        Result="Success",
        IsExternal="Yes",
        DestType="Bridge",
        DestBridgeUniqueid=Ref("b1", "uniqueid"),
    )
    script.set("target", linkedid=Ref("customer", "linkedid"))
    script.say("BridgeLeave", "b2", "agent2")
    script.say("BridgeDestroy", "b2")
    return at


def group(desk: Desk) -> Truth | None:
    """Three telephones ring at once; the losers end with cause 26, answered elsewhere."""
    ring, seconds = desk.pace.between(1, 8), desk.pace.talk()
    agents = [agent for agent in (desk.free(ring + seconds) for _ in range(3)) if agent is not None]
    if len(agents) < 2:  # noqa: PLR2004
        return None
    script, did = desk.script, desk.staff.dids[0][0]
    desk.arrive(did)
    script.set("customer", context="groups", exten="600", application="Dial", data="&".join(a.device for a in agents))
    roles = ["agent", *(f"loser{i}" for i in range(1, len(agents)))]
    rang = [offer(desk, agent, role) for agent, role in zip(agents, roles, strict=True)]
    script.wait(ring)
    script.say("Newstate", "agent", put={"state": "6"})
    for agent, role, since in list(zip(agents, roles, rang, strict=True))[1:]:
        script.say("DialEnd", "customer", role, DialStatus="CANCEL")
        desk.offered(agent, "cancelled", since)
    picked = script.say("DialEnd", "customer", "agent", DialStatus="ANSWER")
    desk.offered(agents[0], "answered", rang[0])
    for role in roles[1:]:
        script.hang_up(role, 26)
    script.say("Newstate", "customer", put={"state": "6"})
    since = script.bridge("b1", "agent", "customer")
    script.wait(seconds)
    by = desk.rng.choice(("customer", "agent"))
    desk.talk(since, finish(desk, "b1", by))
    record(desk, picked, "ANSWERED")
    return desk.truth("ring_group", "answered", did=did, hangup_by=by)
