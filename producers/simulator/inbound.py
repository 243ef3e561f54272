"""Calls that reach one telephone, or several at once, straight from outside."""

from producers.simulator.desk import Desk
from producers.simulator.roster import Agent
from producers.simulator.script import Value
from producers.simulator.truth import Truth

GIVES_UP = 0.6
REJECTS = 0.2
TWO = 2


def begin(desk: Desk, agent: Agent) -> str:
    """The customer dials the agent's own number and the dialplan goes to the extension. Returns the DID."""
    did = desk.staff.direct(agent)
    desk.arrive(did)
    desk.script.set("customer", context="internal", exten=agent.exten, priority="3")
    desk.script.set("customer", application="Dial", data=f"{agent.device},15")
    return did


def offer(desk: Desk, agent: Agent, role: str = "agent", caller: str = "customer") -> int:
    """Dial the agent's telephone from the caller's leg until it rings; returns the moment."""
    desk.script.call_phone(caller, role, device=agent.device, exten=agent.exten, name=agent.name)
    return desk.script.rings(caller, role, 0.003)


def accept(desk: Desk, agent: Agent, rang: int, role: str = "agent", caller: str = "customer") -> int:
    """The agent answers a Dial, and the caller's leg is answered with it; returns the moment."""
    up = desk.script.pick_up(caller, role)
    desk.offered(agent, "answered", rang)
    desk.script.say("Newstate", caller, put={"state": "6"})
    return up


def answered(desk: Desk, kind: str = "direct_answered") -> Truth | None:
    """A customer rings an agent's own number and they talk."""
    ring, seconds = desk.pace.between(2, 10), desk.pace.talk()
    agent = desk.free(ring + seconds)
    if agent is None:
        return None
    did = begin(desk, agent)
    rang = offer(desk, agent)
    desk.script.wait(ring)
    up = accept(desk, agent, rang)
    desk.converse(seconds, holds=kind == "hold")
    by = desk.part_from()
    desk.record(up, "ANSWERED")
    return desk.truth(kind, "answered", did=did, hangup_by=by)


def held(desk: Desk) -> Truth | None:
    """As answered, and the agent puts the customer on hold once."""
    return answered(desk, "hold")


def refused(desk: Desk) -> Truth:
    """The agent's telephone is busy, or it rings and the agent presses reject."""
    alive = desk.free(desk.pace.of(3)) if desk.rng.random() < REJECTS else None
    agent, kind, cause = (alive, "rejected", 21) if alive else (desk.rng.choice(desk.staff.agents), "busy", 17)
    script = desk.script
    did = begin(desk, agent)
    script.call_phone("customer", "agent", device=agent.device, exten=agent.exten, name=agent.name)
    since = script.now
    if alive:
        since = script.rings("customer", "agent", 0.003)
        script.wait(desk.pace.between(0.5, 2))
    script.say("HangupRequest", "agent")
    status = "NOANSWER" if alive else "BUSY"
    script.say("DialEnd", "customer", "agent", DialStatus=status)
    desk.offered(agent, kind, since)
    script.say("SoftHangupRequest", "customer", Cause="16")
    script.hang_up("agent", cause)
    script.hang_up("customer", cause)
    desk.record(None, "NO ANSWER" if alive else "BUSY")
    return desk.truth(kind, kind, did=did, hangup_by="system")


def missed(desk: Desk) -> Truth | None:
    """It rings and nobody takes it: the customer gives up, or the PBX does after its time-out."""
    gives_up = desk.rng.random() < GIVES_UP
    ring = desk.pace.between(3, 14) if gives_up else desk.pace.ring_out
    agent = desk.free(ring)
    if agent is None:
        return None
    script = desk.script
    did = begin(desk, agent)
    rang = offer(desk, agent)
    script.wait(ring)
    if gives_up:
        script.say("HangupRequest", "customer", Cause="127")
        script.say("DialEnd", "customer", "agent", DialStatus="CANCEL")
        desk.offered(agent, "cancelled", rang)
        script.say("SoftHangupRequest", "customer", Cause="16")
        script.hang_up("agent", 127)
        script.hang_up("customer", 127)
        desk.record(None, "NO ANSWER")
        return desk.truth("missed", "abandoned_ringing", did=did)
    script.say("DialEnd", "customer", "agent", DialStatus="NOANSWER")
    desk.offered(agent, "no_answer", rang)
    script.say("SoftHangupRequest", "customer", Cause="16")
    script.hang_up("agent", 0)
    script.hang_up("customer", 16)
    desk.record(None, "NO ANSWER")
    return desk.truth("no_answer", "no_answer", did=did, hangup_by="system")


def leave_message(desk: Desk, box: str) -> None:
    """VoiceMail(): greeting and message, and only after the customer hangs up the sign that there is one."""
    script = desk.script
    script.set("customer", application="VoiceMail", data=f"{box}@default,u")
    script.wait(desk.pace.between(4, 20))
    script.say("HangupRequest", "customer")
    new = str(desk.rng.randint(1, 9))
    script.say("MessageWaiting", "customer", Mailbox=f"{box}@default", Waiting="1", New=new, Old="0")
    script.say("SoftHangupRequest", "customer", Cause="16")
    script.hang_up("customer", 16)


def voicemail(desk: Desk) -> Truth | None:
    """Nobody takes it, and the customer leaves a message."""
    agent = desk.free(desk.pace.ring_out)
    if agent is None:
        return None
    did = begin(desk, agent)
    rang = offer(desk, agent)
    desk.script.wait(desk.pace.ring_out)
    desk.script.say("DialEnd", "customer", "agent", DialStatus="NOANSWER")
    desk.offered(agent, "no_answer", rang)
    was: dict[str, Value] = {"application": "Dial", "data": f"{agent.device},15"}
    desk.owe(
        "agent", started=desk.script.steps[0].at, answered=None, ended=desk.script.now, disposition="NO ANSWER", was=was
    )
    since = desk.script.now
    up = desk.script.say("Newstate", "customer", put={"state": "6"})
    desk.script.hang_up("agent", 0)
    leave_message(desk, agent.exten)
    desk.record(up, "ANSWERED", peer="", started=since)
    return desk.truth("voicemail", "voicemail", did=did)


def group(desk: Desk) -> Truth | None:
    """Three telephones ring at once; the losers end with cause 26, answered elsewhere."""
    ring, seconds = desk.pace.between(1, 8), desk.pace.talk()
    agents = [agent for agent in (desk.free(ring + seconds) for _ in range(3)) if agent is not None]
    if len(agents) < TWO:
        return None
    script, did = desk.script, desk.staff.dids[0][0]
    desk.arrive(did)
    script.set("customer", context="groups", exten="600", priority="3")
    script.set("customer", application="Dial", data="&".join(agent.device for agent in agents))
    roles = ["agent", *(f"loser{i}" for i in range(1, len(agents)))]
    for agent, role in zip(agents, roles, strict=True):
        script.prepare("customer", role, device=agent.device, exten=agent.exten, name=agent.name)
    for agent, role in zip(agents, roles, strict=True):
        script.say("DialBegin", "customer", role, DialString=agent.exten)
    rang = [script.rings("customer", role, 0.002) for role in roles]
    script.wait(ring)
    up = _first_takes_it(desk, agents, roles, rang)
    desk.converse(seconds)
    by = desk.part_from()
    for role in roles[1:]:
        desk.owe(role, started=desk.script.steps[0].at, answered=None, ended=up, disposition="NO ANSWER")
    desk.record(up, "ANSWERED")
    return desk.truth("ring_group", "answered", did=did, hangup_by=by)


def _first_takes_it(desk: Desk, agents: list[Agent], roles: list[str], rang: list[int]) -> int:
    script = desk.script
    up = script.say("Newstate", "agent", put={"state": "6"})
    script.set("customer", connected_number=agents[0].exten, connected_name=agents[0].name)
    script.say("NewConnectedLine", "customer")
    for agent, role, since in list(zip(agents, roles, rang, strict=True))[1:]:
        script.say("DialEnd", "customer", role, DialStatus="CANCEL")
        desk.offered(agent, "cancelled", since)
    script.set("agent", exten="")
    script.say("DialEnd", "customer", "agent", DialStatus="ANSWER")
    desk.offered(agents[0], "answered", rang[0])
    script.say("Newstate", "customer", put={"state": "6"})
    for role in roles[1:]:
        script.hang_up(role, 26)
    return up
