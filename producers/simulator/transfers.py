"""Calls that an agent passes on to another: blind, attended by REFER, attended by the feature code `*2`."""

from dataclasses import dataclass

from producers.simulator.desk import Desk, Serving
from producers.simulator.inbound import accept, begin, offer
from producers.simulator.queued import enter, take
from producers.simulator.roster import Agent
from producers.simulator.script import ALLOWED, Ref, Value
from producers.simulator.truth import Move, Truth

DIRECT = 0.34
"""The part of transferred calls that came to the agent's own number, not through a queue."""
EARLY = 0.5
OPTIMISED_S = 0.45
"""How long a Local pair lives on after the transfer, before it is optimised away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Who passes the call on to whom, and how long things take (seconds)."""

    agent: Agent
    target: Agent
    ring: float
    before: float
    consult: float
    after: float


def _hands(desk: Desk) -> Hands | None:
    ring, consult = desk.pace.between(1, 5), desk.pace.between(3, 10)
    before, after = desk.pace.talk() / 2, desk.pace.talk() / 2
    until_over = desk.pace.of(8) + 2 * ring + before + consult
    agent = desk.free(until_over)
    target = desk.free(until_over + after)
    if agent is None or target is None:
        return None
    return Hands(agent=agent, target=target, ring=ring, before=before, consult=consult, after=after)


def _answer(desk: Desk, hands: Hands) -> Serving:
    """The first agent answers, from a queue in two of three calls, and the two talk for a while."""
    if desk.rng.random() < DIRECT:
        serving = Serving(did=begin(desk, hands.agent))
        serving.dialled = desk.script.now
        rang = offer(desk, hands.agent)
        desk.script.wait(hands.ring)
        serving.up = accept(desk, hands.agent, rang)
    else:
        serving = enter(desk, hands.agent.queues[0])
        take(desk, serving, hands.agent, hands.ring)
        serving.up = serving.dialled
    desk.begin_talk(desk.script.bridge("b1", "agent", "customer"))
    desk.script.wait(hands.before)
    return serving


def _truth(desk: Desk, hands: Hands, serving: Serving, kind: str, *, at: int, by: str) -> Truth:
    way = {"blind_transfer": "blind", "attended_transfer": "attended"}.get(kind, "attended_feature")
    desk.moves.append(Move(kind=way, by=hands.agent.exten, to=hands.target.exten, at=at))
    return desk.truth(kind, "answered", did=serving.did, queue=serving.queue, hangup_by=by)


def blind(desk: Desk) -> Truth | None:
    """REFER: an Unhold that no Hold preceded, and the agent is gone before the new telephone is even created."""
    hands = _hands(desk)
    if hands is None:
        return None
    script, target = desk.script, hands.target
    serving = _answer(desk, hands)
    script.say("Unhold", "agent")
    told: dict[str, Value] = {
        "Result": "Success",
        "IsExternal": "Yes",
        "Context": "internal",
        "Extension": target.exten,
    }
    at = script.say("BlindTransfer", "agent", "customer", "b1", told=told)
    desk.complete(serving, "transfer")
    desk.end_talk(script.say("BridgeLeave", "b1", "agent"))
    script.set("customer", context="internal", exten=target.exten, priority="1")
    script.say("BridgeLeave", "b1", "customer")
    gone = script.hang_up("agent", 16)
    script.say("BridgeDestroy", "b1")
    was: dict[str, Value] = {"application": serving.application, "data": serving.data(hands.agent)}
    desk.owe("agent", started=serving.dialled, answered=serving.up, ended=gone, was=was)
    script.wait(desk.pace.between(0, 1.5))
    script.set("customer", application="Dial", data=f"{target.device},15")
    dialled = script.now
    rang = offer(desk, target, "target")
    script.wait(hands.ring)
    script.pick_up("customer", "target")
    desk.offered(target, "answered", rang)
    desk.begin_talk(script.bridge("b2", "target", "customer"))
    script.wait(hands.after)
    by = desk.part_from(bridge="b2", callee="target")
    desk.record(dialled, "ANSWERED", peer="target", started=dialled)
    return _truth(desk, hands, serving, "blind_transfer", at=at, by=by)


def attended(desk: Desk) -> Truth | None:
    """REFER with Replaces: the agent's second call has a linkedid of its own until the two are joined."""
    hands = _hands(desk)
    if hands is None:
        return None
    script, agent, target = desk.script, hands.agent, hands.target
    serving = _answer(desk, hands)
    held = script.say("Hold", "agent", MusicClass="default")
    script.say("MusicOnHoldStart", "customer", Class="default")
    second = script.now
    put: dict[str, Value] = {"device": agent.device, "state": "4", "exten": target.exten, "number": agent.exten}
    script.say("Newchannel", "agent2", put={**put, "name": agent.name})
    script.set("agent2", application="Dial", data=f"{target.device},15")
    up = accept(desk, target, _rung(desk, target, hands.ring), "target", "agent2")
    script.bridge("b2", "target", "agent2")
    script.wait(hands.consult)
    at = _join(desk, held)
    desk.complete(serving, "transfer")
    gone = script.hang_up("agent", 16)
    script.hang_up("agent2", 16)
    desk.owe("target", leg="agent2", started=second, answered=up, ended=gone)
    desk.owe("agent", started=serving.dialled, answered=serving.up, ended=gone)
    script.wait(hands.after)
    by = desk.part_from(callee="target")
    desk.record(gone, "ANSWERED", peer="target", started=gone)
    return _truth(desk, hands, serving, "attended_transfer", at=at, by=by)


def _rung(desk: Desk, target: Agent, ring: float) -> int:
    rang = offer(desk, target, "target", "agent2")
    desk.script.wait(ring)
    return rang


def _join(desk: Desk, held: int) -> int:
    """The target takes the agent's place in the first bridge; its linkedid changes without an event of its own.

    AttendedTransfer still shows the old one: a snapshot taken earlier.
    """
    script = desk.script
    desk.held += script.say("Unhold", "agent") - held
    script.say("MusicOnHoldStop", "customer")
    script.say("Unhold", "agent2")
    script.say("BridgeLeave", "b2", "target")
    script.set("target", linkedid=Ref("customer", "linkedid"))
    script.set("target", connected_number=Ref("customer", "number"), connected_name=Ref("customer", "name"))
    script.say("BridgeEnter", "b1", "target", SwapUniqueid=Ref("agent", "uniqueid"))
    script.say("BridgeLeave", "b1", "agent")
    script.set("target", linkedid=Ref("agent2", "linkedid"))
    told: dict[str, Value] = {"Result": "Success", "IsExternal": "Yes", "DestType": "Bridge"}
    told["DestBridgeUniqueid"] = Ref("b1", "uniqueid")
    legs = ("agent", "b1", "agent2", "b2", "customer", "target")
    at = script.say("AttendedTransfer", *legs, told=told)
    script.set("target", linkedid=Ref("customer", "linkedid"))
    script.say("BridgeLeave", "b2", "agent2")
    script.say("BridgeDestroy", "b2")
    return at


def feature(desk: Desk) -> Truth | None:
    """`*2`: one linkedid, but a Local pair; the customer waits alone in the first bridge with music."""
    hands = _hands(desk)
    if hands is None:
        return None
    script = desk.script
    serving = _answer(desk, hands)
    for digit in "*2":
        script.say("DTMFBegin", "agent", Digit=digit, Direction="Received")
        script.say("DTMFEnd", "agent", Digit=digit, DurationMs="160", Direction="Received")
    second = script.say("Hold", "agent")
    desk.end_talk(second)
    script.say("MusicOnHoldStart", "customer", Class="default")
    rang = _consult(desk, hands)
    script.wait(hands.ring)
    _taken(desk, hands.target, rang)
    script.wait(hands.consult)
    at = _merge(desk, serving)
    desk.apart = at - second
    gone = script.hang_up("agent", 16)
    _optimise(desk)
    script.wait(max(0.0, hands.after - desk.pace.of(OPTIMISED_S)))
    by = desk.part_from(bridge="b3", callee="target")
    desk.owe("agent", started=serving.dialled, answered=serving.up, ended=gone)
    desk.owe("one", started=second, answered=second, ended=gone)
    desk.record(gone, "ANSWERED", peer="target", started=gone)
    return _truth(desk, hands, serving, "feature_transfer", at=at, by=by)


def _consult(desk: Desk, hands: Hands) -> int:
    """The Local pair is made, and through it the target is dialled; the agent moves to a bridge with its first half."""
    script, agent, target = desk.script, hands.agent, hands.target
    local: dict[str, Value] = {"device": f"Local/{target.exten}@internal", "exten": target.exten}
    linked = Ref("customer", "linkedid")
    script.say("Newchannel", "one", put={**local, "half": ";1", "linkedid": linked})
    script.say("Newchannel", "two", put={**local, "half": ";2", "state": "4", "linkedid": linked})
    script.say("BridgeCreate", "b2")
    script.set("two", number=agent.exten, name=agent.name, application="Dial", data=f"{target.device},15")
    script.say("NewCallerid", "two", CID_CallingPres=ALLOWED)
    script.say("LocalBridge", "one", "two", Context="internal", Exten=target.exten, LocalOptimization="Yes")
    script.set("one", connected_number=agent.exten, connected_name=agent.name)
    script.say("NewConnectedLine", "one")
    script.say("BridgeEnter", "b2", "one")
    script.call_phone("two", "target", device=target.device, exten=target.exten, name=target.name)
    script.say("BridgeLeave", "b1", "agent")
    script.say("BridgeEnter", "b2", "agent")
    script.set("one", number=target.exten, name=target.name)
    script.say("NewCallerid", "one", CID_CallingPres=ALLOWED)
    script.set("agent", connected_number=target.exten, connected_name=target.name)
    script.say("NewConnectedLine", "agent")
    rang = script.rings("two", "target", 0.003)
    script.say("Newstate", "one", put={"state": "5"})
    script.say("DialState", "", "one", DialStatus="RINGING")
    return rang


def _taken(desk: Desk, target: Agent, rang: int) -> None:
    script = desk.script
    script.pick_up("two", "target")
    desk.offered(target, "answered", rang)
    script.say("Newstate", "two", put={"state": "6"})
    script.say("Newstate", "one", put={"state": "6"})
    script.say("DialEnd", "", "one", DialStatus="ANSWER")
    script.bridge("b3", "target", "two")


def _merge(desk: Desk, serving: Serving) -> int:
    """The agent hangs up: the first half of the pair joins the customer. Both transferers are the same channel.

    It is a race whether the agent's leg leaves before or after; when it does before, no target is named.
    """
    script, early = desk.script, desk.rng.random() < EARLY
    script.say("HangupRequest", "agent")
    if early:
        script.say("BridgeLeave", "b2", "agent")
    script.say("BridgeMerge", "b1", "b2")
    script.say("BridgeLeave", "b2", "one")
    desk.begin_talk(script.say("BridgeEnter", "b1", "one"))
    script.say("MusicOnHoldStop", "customer")
    told: dict[str, Value] = {"Result": "Success", "IsExternal": "No", "DestType": "Bridge"}
    told["DestBridgeUniqueid"] = Ref("b1", "uniqueid")
    target = "" if early else "one"
    at = script.say("AttendedTransfer", "agent", "b1", "agent", "b2", "customer", target, told=told)
    desk.complete(serving, "transfer")
    script.set("customer", connected_number=Ref("target", "number"), connected_name=Ref("target", "name"))
    script.say("NewConnectedLine", "customer")
    if not early:
        script.say("BridgeLeave", "b2", "agent")
    script.say("BridgeDestroy", "b2")
    return at


def _optimise(desk: Desk) -> None:
    """The Local pair vanishes: the customer takes the place of its second half beside the target."""
    script = desk.script
    script.wait(desk.pace.of(OPTIMISED_S))
    script.say("LocalOptimizationBegin", "one", "two", "customer", DestUniqueId=Ref("two", "uniqueid"), Id="0")
    gap = script.say("BridgeLeave", "b1", "customer")
    script.say("BridgeLeave", "b3", "two")
    entered = script.say("BridgeEnter", "b3", "customer", SwapUniqueid=Ref("two", "uniqueid"))
    script.say("LocalOptimizationEnd", "one", "two", Success="No", Id="0")
    script.say("BridgeLeave", "b1", "one")
    script.say("BridgeDestroy", "b1")
    script.say("HangupRequest", "two", Cause="16")
    script.hang_up("one", 16)
    script.say("SoftHangupRequest", "two", Cause="16")
    script.hang_up("two", 16)
    desk.end_talk(gap)
    desk.begin_talk(entered)
