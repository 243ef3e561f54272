"""Calls that agents make: to customers over the carrier, by hand or click-to-call, and to each other."""

from producers.simulator.desk import Desk
from producers.simulator.inbound import finish, offer, record, talk
from producers.simulator.roster import Agent
from producers.simulator.script import Ref, Value
from producers.simulator.truth import Truth


def begin(desk: Desk, agent: Agent) -> None:
    """The agent lifts and dials; the dialplan puts the centre's own number in the place of the agent's."""
    script = desk.script
    script.say(
        "Newchannel",
        "agent",
        put={
            "device": agent.device,
            "state": "4",
            "context": "internal",
            "exten": desk.line.write(desk.party.e164),
            "number": agent.exten,
            "name": agent.name,
        },
    )
    present(desk)


def present(desk: Desk) -> None:
    desk.script.set("agent", number=desk.line.write(desk.staff.dids[0][0]), application="Dial")
    desk.script.set(
        "agent", data=f"PJSIP/{desk.line.write(desk.party.e164)}@{desk.line.device.removeprefix('PJSIP/')},60"
    )
    desk.script.say("NewCallerid", "agent", CID_CallingPres="0 (Presentation Allowed, Not Screened)")


def carrier(desk: Desk) -> int:
    """The leg to the carrier: it is born in the context of calls from the trunk, with no number. Returns the ring."""
    dialled = desk.line.write(desk.party.e164)
    desk.script.dial(
        "agent",
        "customer",
        device=desk.line.device,
        number=dialled,
        name="",
        seen=desk.seen("agent"),
        context="from-trunk",
    )
    return desk.script.ring(
        "agent", "customer", f"{dialled}@{desk.line.device.removeprefix('PJSIP/')}", 0.3 / desk.pace.speed
    )


def unreached(desk: Desk, *, kind: str, outcome: str, cause: int, status: str, disposition: str) -> Truth:
    script = desk.script
    gave_up = status == "CANCEL"
    if gave_up:
        script.say("HangupRequest", "agent")
    script.say("DialEnd", "agent", "customer", DialStatus=status)
    script.hang_up("customer", cause)
    script.hang_up("agent", cause)
    record(desk, None, disposition, leg="agent", peer="customer")
    return desk.truth(kind, outcome, direction="outbound", hangup_by="agent" if gave_up else "system")


def reach(desk: Desk, agent: Agent, kind: str, seconds: float) -> Truth:
    """The customer answers and they talk."""
    picked = desk.script.pick_up("agent", "customer")
    if kind != "click_to_call":
        desk.script.say("Newstate", "agent", put={"state": "6"})
    since = talk(desk, seconds, holds=False, caller="agent", callee="customer")
    by = desk.rng.choice(("customer", "agent"))
    desk.talk(since, finish(desk, "b1", by, caller="agent", callee="customer"))
    record(desk, picked, "ANSWERED", leg="agent", peer="customer")
    return desk.truth(kind, "answered", direction="outbound", hangup_by=by, answered_by=agent.exten, agent=agent.exten)


def called(desk: Desk) -> Truth | None:
    """An agent calls a customer: answered, busy, or not taken."""
    ring, seconds, luck = desk.pace.between(3, 12), desk.pace.talk(), desk.rng.random()
    agent = desk.free(ring + seconds)
    if agent is None:
        return None
    begin(desk, agent)
    carrier(desk)
    return decide(desk, agent, ring=ring, seconds=seconds, luck=luck)


def decide(desk: Desk, agent: Agent, *, ring: float, seconds: float, luck: float, kind: str = "") -> Truth:
    if luck < 0.2:  # noqa: PLR2004
        desk.script.wait(min(ring, 1.0 / desk.pace.speed))
        return unreached(
            desk, kind=kind or "outbound_busy", outcome="busy", cause=17, status="BUSY", disposition="BUSY"
        )
    desk.script.wait(ring)
    if luck < 0.45:  # noqa: PLR2004
        return unreached(
            desk,
            kind=kind or "outbound_no_answer",
            outcome="no_answer",
            cause=127,
            status="CANCEL",
            disposition="NO ANSWER",
        )
    return reach(desk, agent, kind or "outbound", seconds)


def click(desk: Desk, agent: Agent, *, number: str, context: str, action: str, channel_id: str) -> Truth:
    """An Originate: the agent's telephone rings first (no caller leg yet), then the customer is dialled.

    `number` is dialled as given. The answer to the action says Success as soon as the *agent* has answered.
    """
    script = desk.script
    echo: dict[str, Value] = {"ActionID": action} if action else {}
    ring, seconds, luck = desk.pace.between(3, 12), desk.pace.talk(), desk.rng.random()
    put = {"device": agent.device, "number": agent.exten, "name": agent.name, "uniqueid": channel_id}
    script.say("Newchannel", "agent", put=put)
    script.say("DialBegin", "", "agent", DialString=agent.exten)
    script.wait(0.05)
    script.say("Newstate", "agent", put={"state": "5"})
    script.wait(desk.pace.between(1, 3))
    script.say("Newstate", "agent", put={"state": "6"})
    script.say("DialEnd", "", "agent", DialStatus="ANSWER")
    script.say(
        "OriginateResponse",
        put=None,
        **echo,
        Response="Success",
        Channel=Ref("agent", "channel"),
        Context=context,
        Exten=number,
        Reason="4",
        Uniqueid=Ref("agent", "uniqueid"),
        CallerIDNum=agent.exten,
        CallerIDName="<unknown>",
    )
    script.set("agent", context=context, exten=number)
    present(desk)
    carrier(desk)
    return decide(desk, agent, ring=ring, seconds=seconds, luck=luck, kind="click_to_call")


def internal(desk: Desk) -> Truth | None:
    """One agent calls another."""
    ring, seconds = desk.pace.between(1, 6), desk.pace.talk()
    first = desk.free(ring + seconds)
    second = desk.free(ring + seconds)
    if first is None or second is None:
        return None
    script = desk.script
    put = {"device": first.device, "state": "4", "exten": second.exten, "number": first.exten, "name": first.name}
    script.say("Newchannel", "caller", put=put)
    script.set("caller", application="Dial", data=f"{second.device},15")
    rang = offer(desk, second, caller="caller")
    script.wait(ring)
    if desk.rng.random() < 0.25:  # noqa: PLR2004
        script.say("DialEnd", "caller", "agent", DialStatus="CANCEL")
        desk.offered(second, "cancelled", rang)
        script.hang_up("agent", 127)
        script.hang_up("caller", 127)
        record(desk, None, "NO ANSWER", leg="caller")
        return desk.truth("internal_missed", "abandoned_ringing", direction="internal", hangup_by="agent")
    picked = script.pick_up("caller", "agent")
    desk.offered(second, "answered", rang)
    script.say("Newstate", "caller", put={"state": "6"})
    since = talk(desk, seconds, holds=False, caller="caller")
    by = desk.rng.choice(("caller", "agent"))
    desk.talk(since, finish(desk, "b1", by, caller="caller"))
    record(desk, picked, "ANSWERED", leg="caller")
    return desk.truth("internal", "answered", direction="internal", hangup_by="agent")
