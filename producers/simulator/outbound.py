"""Calls that agents make: to customers over the carrier, by hand or click-to-call, and to each other."""

from producers.simulator.desk import Desk
from producers.simulator.inbound import accept, offer
from producers.simulator.roster import Agent
from producers.simulator.script import ALLOWED, Ref, Value
from producers.simulator.truth import Truth

BUSY, NO_ANSWER, GIVES_UP = 0.2, 0.35, 0.45
"""Up to here luck has it that the customer is busy, that it rings out, that the agent gives up."""
UNANSWERED_INSIDE = 0.25


def begin(desk: Desk, agent: Agent) -> None:
    """The agent lifts and dials."""
    put: dict[str, Value] = {"device": agent.device, "state": "4", "number": agent.exten, "name": agent.name}
    desk.script.say("Newchannel", "agent", put={**put, "exten": desk.line.write(desk.party.e164)})
    dial_out(desk)


def dial_out(desk: Desk) -> None:
    """The dialplan puts the centre's own number in the place of the agent's, and dials over the carrier."""
    dialled = desk.line.write(desk.party.e164)
    desk.script.set("agent", number=desk.line.write(desk.staff.dids[0][0]), name="", priority="2")
    desk.script.set("agent", application="Dial", data=f"PJSIP/{dialled}@{desk.line.device.removeprefix('PJSIP/')},60")
    desk.script.say("NewCallerid", "agent", CID_CallingPres=ALLOWED)
    desk.script.call_carrier("agent", "customer", device=desk.line.device, dialled=dialled)
    desk.script.rings("agent", "customer", desk.pace.of(0.3))


def called(desk: Desk) -> Truth | None:
    """An agent calls a customer: answered, busy, or not taken."""
    ring, seconds = desk.pace.between(3, 12), desk.pace.talk()
    agent = desk.free(desk.pace.of(0.3) + ring + seconds)
    if agent is None:
        return None
    begin(desk, agent)
    return _outcome(desk, agent, ring=ring, seconds=seconds)


def _outcome(desk: Desk, agent: Agent, *, ring: float, seconds: float, click: bool = False) -> Truth:
    luck, kind = desk.rng.random(), "click_to_call" if click else "outbound"
    script = desk.script
    if luck < BUSY:
        script.wait(min(ring, desk.pace.of(1)))
        return _unreached(desk, kind, "busy", 17, "BUSY")
    script.wait(ring)
    if luck < NO_ANSWER:
        return _unreached(desk, kind, "no_answer", 19, "NO ANSWER")
    if luck < GIVES_UP:
        return _given_up(desk, kind)
    up = script.pick_up("agent", "customer")
    if not click:
        script.say("Newstate", "agent", put={"state": "6"})
    desk.converse(seconds, caller="agent", callee="customer")
    by = desk.part_from(caller="agent", callee="customer")
    desk.record(up, "ANSWERED", leg="agent", peer="customer")
    me = agent.exten
    return desk.truth(kind, "answered", direction="outbound", hangup_by=by, answered_by=me, agent=me)


def _unreached(desk: Desk, kind: str, outcome: str, cause: int, disposition: str) -> Truth:
    """The far end refuses or lets it ring out: the carrier ends its leg, and the dialplan the agent's."""
    script = desk.script
    script.say("HangupRequest", "customer")
    script.say("DialEnd", "agent", "customer", DialStatus=disposition.replace(" ", ""))
    script.say("SoftHangupRequest", "agent", Cause="16")
    desk.record(None, disposition, leg="agent", peer="customer")
    script.hang_up("customer", cause)
    script.hang_up("agent", cause)
    return desk.truth(kind, outcome, direction="outbound", hangup_by="system")


def _given_up(desk: Desk, kind: str) -> Truth:
    script = desk.script
    script.say("HangupRequest", "agent", Cause="127")
    script.say("DialEnd", "agent", "customer", DialStatus="CANCEL")
    script.say("SoftHangupRequest", "agent", Cause="16")
    script.hang_up("customer", 127)
    script.hang_up("agent", 127)
    desk.record(None, "NO ANSWER", leg="agent", peer="customer")
    return desk.truth(kind, "no_answer", direction="outbound", hangup_by="agent")


def click(desk: Desk, agent: Agent, *, number: str, context: str, action: str, channel_id: str) -> Truth:
    """An Originate: the agent's telephone rings first (no caller leg yet), then the customer is dialled.

    `number` is dialled as given. The answer to the action says Success as soon as the *agent* has answered.
    """
    script = desk.script
    ring, seconds = desk.pace.between(3, 12), desk.pace.talk()
    put: dict[str, Value] = {"device": agent.device, "number": agent.exten, "name": agent.name}
    script.say("Newchannel", "agent", put={**put, "uniqueid": channel_id})
    script.say("DialBegin", "", "agent", DialString=agent.exten)
    script.wait(0.003)
    script.say("Newstate", "agent", put={"state": "5"})
    script.wait(desk.pace.between(1, 3))
    script.say("Newstate", "agent", put={"state": "6"})
    script.say("DialEnd", "", "agent", DialStatus="ANSWER")
    told: dict[str, Value] = {"ActionID": action} if action else {}
    told |= {"Response": "Success", "Channel": Ref("agent", "channel"), "Context": context, "Exten": number}
    told |= {
        "Reason": "4",
        "Uniqueid": Ref("agent", "uniqueid"),
        "CallerIDNum": agent.exten,
        "CallerIDName": "<unknown>",
    }
    script.say("OriginateResponse", told=told)
    script.set("agent", context=context, exten=number)
    dial_out(desk)
    return _outcome(desk, agent, ring=ring, seconds=seconds, click=True)


def internal(desk: Desk) -> Truth | None:
    """One agent calls another."""
    ring, seconds = desk.pace.between(1, 6), desk.pace.talk()
    first = desk.free(ring + seconds)
    second = desk.free(ring + seconds)
    if first is None or second is None:
        return None
    script = desk.script
    put: dict[str, Value] = {"device": first.device, "state": "4", "exten": second.exten, "number": first.exten}
    script.say("Newchannel", "caller", put={**put, "name": first.name})
    script.set("caller", application="Dial", data=f"{second.device},15")
    rang = offer(desk, second, caller="caller")
    script.wait(ring)
    if desk.rng.random() < UNANSWERED_INSIDE:
        script.say("HangupRequest", "caller", Cause="127")
        script.say("DialEnd", "caller", "agent", DialStatus="CANCEL")
        desk.offered(second, "cancelled", rang)
        script.say("SoftHangupRequest", "caller", Cause="16")
        script.hang_up("agent", 127)
        script.hang_up("caller", 127)
        desk.record(None, "NO ANSWER", leg="caller")
        return desk.truth("internal_missed", "abandoned_ringing", direction="internal", hangup_by="caller")
    up = accept(desk, second, rang, caller="caller")
    desk.converse(seconds, caller="caller")
    by = desk.part_from(caller="caller")
    desk.record(up, "ANSWERED", leg="caller")
    return desk.truth("internal", "answered", direction="internal", hangup_by=by)
