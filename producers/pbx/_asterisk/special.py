"""AMI events that a table row cannot say: where several blocks, several events or a judgement are needed."""

from collections.abc import Callable, Iterator, Mapping

from producers.pbx._asterisk import cdr
from producers.pbx._asterisk.channels import Facts, Fields, Site, agent_of, extension, known, leg_of, scoped, with_peer
from streams.runtime.errors import Reject

_DEVICE_STATES = {
    "NOT_INUSE": "available",
    "INUSE": "on_call",
    "BUSY": "on_call",
    "RINGING": "ringing",
    "RINGINUSE": "on_call",
    "ONHOLD": "hold",
    "UNAVAILABLE": "unavailable",
    "INVALID": "unavailable",
}
_MEMBER_STATES = {
    "1": "available",
    "2": "on_call",
    "3": "on_call",
    "4": "unavailable",
    "5": "unavailable",
    "6": "ringing",
    "7": "on_call",
    "8": "hold",
}


def new_channel(site: Site, fields: Fields) -> Iterator[Facts]:
    """leg.created, with direction and DID if it is the first channel of its call.

    Only there: a leg to the carrier has the trunk's context too, with Exten `s` (its Linkedid is another channel's).
    """
    facts = leg_of(site, fields)
    if not facts:
        raise Reject("Newchannel names no channel: Uniqueid is missing")
    exten, context = fields.get("exten", ""), fields.get("context", "")
    data = facts["data"]
    data.update(context=context, exten=exten, state=fields.get("channelstate", ""))
    if account := fields.get("accountcode"):
        data["account"] = account
    if facts["call_id"] == facts["leg_id"] and known(exten):
        _first_leg(site, facts, exten, context)
    yield {**facts, "type": "leg.created"}


def _first_leg(site: Site, facts: Facts, exten: str, context: str) -> None:
    numbers = site.numbers
    facts["callee_raw"] = exten
    facts["callee_name"] = ""
    if numbers.is_trunk(context) or numbers.is_did(exten):
        facts["direction"] = "inbound"
        facts["callee_e164"] = numbers.e164(exten)
        facts["agent"] = ""
        facts["customer_number"] = numbers.customer(facts["caller_raw"])
        if not facts["caller_raw"]:
            facts["data"]["hidden"] = "1"
        if numbers.is_did(exten) or (not numbers.dids and not numbers.is_extension(exten)):
            facts["did"] = facts["callee_e164"] or exten
        return
    outside = numbers.dialled(exten)
    facts["callee_e164"] = outside
    if facts["agent"] or numbers.is_extension(facts["caller_raw"]):
        facts["direction"] = "outbound" if outside else "internal"
        facts["customer_number"] = numbers.customer(outside) if outside else ""


def blind_transfer(site: Site, fields: Fields) -> Iterator[Facts]:
    facts = leg_of(site, fields, "transferee")
    by = leg_of(site, fields, "transferer")
    if not by:
        raise Reject("BlindTransfer names no transferer")
    facts = facts or {"call_id": by["call_id"], "customer_number": by["customer_number"], "data": {}}
    facts["data"].update(
        kind="blind",
        result=fields.get("result", ""),
        extension=fields.get("extension", ""),
        context=fields.get("context", ""),
        external=fields.get("isexternal", ""),
        by_leg=by["leg_id"],
        transferee_leg=facts.get("leg_id", ""),
        target_leg="",
        bridge=fields.get("bridgeuniqueid", ""),
    )
    facts["agent"] = by["agent"]
    yield {**facts, "peer_leg_id": by["leg_id"], "peer_call_id": by["call_id"], "type": _transfer(fields)}


def attended_transfer(site: Site, fields: Fields) -> Iterator[Facts]:
    """The two halves may have two linkedids: both are told, call_id is the transferee's."""
    by = leg_of(site, fields, "origtransferer")
    second = leg_of(site, fields, "secondtransferer")
    if not by or not second:
        raise Reject("AttendedTransfer names no transferer")
    transferee = leg_of(site, fields, "transferee")
    target = leg_of(site, fields, "transfertarget")
    facts = transferee or {"call_id": by["call_id"], "customer_number": by["customer_number"], "data": {}}
    facts["data"].update(
        kind="attended",
        result=fields.get("result", ""),
        external=fields.get("isexternal", ""),
        destination=fields.get("desttype", ""),
        by_leg=by["leg_id"],
        second_by_leg=second["leg_id"],
        transferee_leg=transferee.get("leg_id", ""),
        target_leg=target.get("leg_id", ""),
        bridge=fields.get("origbridgeuniqueid", ""),
        second_bridge=fields.get("secondbridgeuniqueid", ""),
        dest_bridge=fields.get("destbridgeuniqueid", ""),
    )
    half = target or second
    facts["agent"] = by["agent"]
    facts["customer_number"] = facts["customer_number"] or half["customer_number"]
    yield {
        **facts,
        "peer_leg_id": target.get("leg_id", ""),
        "peer_call_id": half["call_id"],
        "type": _transfer(fields),
    }


def _transfer(fields: Fields) -> str:
    return "transfer.completed" if fields.get("result", "").lower() == "success" else "transfer.failed"


def bridge_merge(_site: Site, fields: Fields) -> Iterator[Facts]:
    data = {"bridge_from": fields.get("frombridgeuniqueid", ""), "bridge_to": fields.get("tobridgeuniqueid", "")}
    yield {"type": "linkage.merged", "data": data}


def originate_response(site: Site, fields: Fields) -> Iterator[Facts]:
    """Success says that the first leg (the agent) answered, no more; it carries no linkedid."""
    number = known(fields.get("calleridnum", ""))
    exten = known(fields.get("exten", ""))
    data = {key: fields[key] for key in ("reason", "context", "exten", "application") if fields.get(key)}
    data["originate"] = fields.get("response", "")
    if action_id := fields.get("actionid"):
        data["action_id"] = action_id
    yield {
        "type": "leg.updated",
        "leg_id": scoped(site, fields.get("uniqueid", "")),
        "channel": fields.get("channel", ""),
        "caller_raw": number,
        "callee_raw": exten,
        "callee_e164": site.numbers.dialled(exten),
        "customer_number": site.numbers.customer(site.numbers.dialled(exten)),
        "data": data,
    }


def call_record(site: Site, fields: Fields) -> Iterator[Facts]:
    yield cdr.facts(site, cdr.from_event(fields))


def member(site: Site, fields: Fields) -> Iterator[Facts]:
    """Queue membership and availability; `Location` and `Name` are the older words."""
    interface = fields.get("interface") or fields.get("location", "")
    name = fields.get("membername") or fields.get("name", "")
    state = _MEMBER_STATES.get(fields.get("status", ""), "unknown")
    if fields.get("paused") == "1":
        state = "paused"
    if fields["event"].lower() == "queuememberremoved":
        state = "logged_out"
    data = {
        "source": fields["event"],
        "state": state,
        "interface": interface,
        "member": name,
        "status": fields.get("status", ""),
        "paused": fields.get("paused", ""),
        "reason": fields.get("pausedreason") or fields.get("reason", ""),
        "penalty": fields.get("penalty", ""),
        "wrapup_s": fields.get("wrapuptime", ""),
    }
    yield {
        "type": "agent.state",
        "agent": agent_of(site, interface, name),
        "queue": fields.get("queue", ""),
        "data": {key: value for key, value in data.items() if value},
    }


def device_state(site: Site, fields: Fields) -> Iterator[Facts]:
    """The telephone of an extension; trunks, queues and Local devices have states too, which say nothing of a person."""
    name = fields.get("device", "")
    if agent := extension(site, name):
        native = fields.get("state", "")
        data = {"source": "DeviceStateChange", "interface": name, "status": native}
        data["state"] = _DEVICE_STATES.get(native, "unknown")
        yield {"type": "agent.state", "agent": agent, "data": data}


def agent_session(site: Site, fields: Fields) -> Iterator[Facts]:
    """Agentlogin and Agentlogoff of app_agent_pool."""
    on = fields["event"].lower() == "agentlogin"
    data = {"source": fields["event"], "state": "available" if on else "logged_out"}
    yield {**leg_of(site, fields), "type": "agent.state", "agent": fields.get("agent", ""), "data": data}


def dtmf(site: Site, fields: Fields) -> Iterator[Facts]:
    """The digit itself only when asked for: callers type card numbers and PINs."""
    facts = leg_of(site, fields)
    if not facts:
        raise Reject("DTMFEnd names no channel: Uniqueid is missing")
    facts["data"].update(direction=fields.get("direction", ""), duration_ms=fields.get("durationms", ""))
    if site.config.dtmf_digits:
        facts["data"]["digit"] = fields.get("digit", "")
    yield {**facts, "type": "dtmf"}


_VOICEMAIL = {"APP_START": "voicemail.entered", "APP_END": "voicemail.left"}
_SNAPSHOT = frozenset(
    {
        *("event", "privilege", "timestamp", "systemname", "sequencenumber", "file", "line", "func", "chanvariable"),
        *("channel", "channelstate", "channelstatedesc", "calleridnum", "calleridname", "connectedlinenum"),
        *("connectedlinename", "language", "accountcode", "context", "exten", "priority", "uniqueid", "linkedid"),
        "tenantid",
    }
)
"""What every event of a channel has, and the envelope."""


def user_event(site: Site, fields: Fields) -> Iterator[Facts]:
    """The dialplan's own words: configuration says which of them are IVR choices or notes."""
    name = fields.get("userevent", "")
    kind = "leg.updated"
    if name in site.config.ivr_events:
        kind = "ivr.entered"
    elif name in site.config.note_events:
        kind = "note"
    own = {key: value for key, value in fields.items() if key not in _SNAPSHOT}
    yield {**leg_of(site, fields), "type": kind, "data": own}


def new_exten(site: Site, fields: Fields) -> Iterator[Facts]:
    if fields.get("application", "").lower() in ("voicemail", "voicemailmain") and (facts := leg_of(site, fields)):
        facts["data"].update(application=fields["application"], box=fields.get("appdata", ""))
        yield {**facts, "type": "voicemail.entered"}


def cel(site: Site, fields: Fields) -> Iterator[Facts]:
    """Where CEL comes over AMI, it is the only sure sign of voicemail."""
    kind = fields.get("eventname", "")
    if fields.get("application", "").lower() != "voicemail" or kind not in _VOICEMAIL:
        return
    facts = leg_of(site, fields)
    if facts:
        facts["data"]["box"] = fields.get("appdata", "")
        yield {**facts, "type": _VOICEMAIL[kind]}


def old_dial(site: Site, fields: Fields) -> Iterator[Facts]:
    """`Dial` of AMI 1.x: Begin has both channels, End only the caller's."""
    begin = fields.get("subevent", "").lower() == "begin"
    facts = leg_of(site, fields)
    peer = scoped(site, fields.get("destuniqueid", ""))
    data = {"dial_string": fields.get("dialstring", ""), "status": fields.get("dialstatus", "")}
    facts = {**facts, "type": "dial.started" if begin else "dial.ended", "peer_leg_id": peer, "peer_call_id": peer}
    yield {**facts, "data": {key: value for key, value in data.items() if value}}


def old_bridge(site: Site, fields: Fields) -> Iterator[Facts]:
    """`Bridge` of AMI 1.x pairs two channels: both join or leave a bridge that is named after the pair."""
    kind = "bridge.joined" if fields.get("bridgestate", "").lower() == "link" else "bridge.left"
    one, two = fields.get("uniqueid1", ""), fields.get("uniqueid2", "")
    if not one or not two:
        raise Reject("Bridge names no two channels")
    for mine, other, side in ((one, two, "1"), (two, one, "2")):
        number = known(fields.get(f"callerid{side}", ""))
        yield {
            "type": kind,
            "leg_id": scoped(site, mine),
            "call_id": scoped(site, mine),
            "peer_leg_id": scoped(site, other),
            "channel": fields.get(f"channel{side}", ""),
            "customer_number": site.numbers.customer(number),
            "data": {"bridge": f"{one}+{two}", "bridge_type": "basic", "technology": fields.get("bridgetype", "")},
        }


def local_bridge(site: Site, fields: Fields) -> Iterator[Facts]:
    """The two halves of a Local channel; AMI 1.x numbers them."""
    facts = with_peer(site, leg_of(site, fields, "localone"), fields, "localtwo")
    if not facts:
        one, two = scoped(site, fields.get("uniqueid1", "")), scoped(site, fields.get("uniqueid2", ""))
        if not one or not two:
            raise Reject("LocalBridge names no two channels")
        facts = {"leg_id": one, "call_id": one, "peer_leg_id": two, "peer_call_id": two}
    yield {**facts, "type": "linkage.merged", "data": {"local": "1"}}


def snapshot(site: Site, fields: Fields, told: Mapping[str, str]) -> Iterator[Facts]:
    """A row of a resync: a live channel, or a caller who waits. `told` is what the feed knows beside it."""
    name = fields.get("event", "")
    known_besides = {key: value for key, value in told.items() if key != "at"}
    if name == "CoreShowChannel":
        facts = leg_of(site, fields)
        if not facts:
            raise Reject("CoreShowChannel without Uniqueid")
        data = {
            "state": fields.get("channelstate", ""),
            "bridge": fields.get("bridgeid") or fields.get("bridgeduniqueid", ""),
            "application": fields.get("application", ""),
            "context": fields.get("context", ""),
            "exten": fields.get("exten") or fields.get("extension", ""),
            "duration": fields.get("duration", ""),
            **known_besides,
        }
        facts["data"].update({key: value for key, value in data.items() if value})
        yield {**facts, "type": "leg.live", "synthetic": True}
    elif name == "QueueEntry":
        number = known(fields.get("calleridnum", ""))
        yield {
            "type": "queue.position",
            "leg_id": scoped(site, fields.get("uniqueid", "")),
            "channel": fields.get("channel", ""),
            "queue": fields.get("queue", ""),
            "caller_raw": number,
            "caller_e164": site.numbers.e164(number),
            "customer_number": site.numbers.customer(number),
            "synthetic": True,
            "data": {"position": fields.get("position", ""), "wait_s": fields.get("wait", ""), **known_besides},
        }


HANDLERS: dict[str, Callable[[Site, Fields], Iterator[Facts]]] = {
    "newchannel": new_channel,
    "blindtransfer": blind_transfer,
    "attendedtransfer": attended_transfer,
    "bridgemerge": bridge_merge,
    "originateresponse": originate_response,
    "cdr": call_record,
    "devicestatechange": device_state,
    "agentlogin": agent_session,
    "agentlogoff": agent_session,
    "dtmfend": dtmf,
    "userevent": user_event,
    "newexten": new_exten,
    "cel": cel,
    "localbridge": local_bridge,
    "dial": old_dial,
    "bridge": old_bridge,
    **dict.fromkeys(
        (
            "queuememberstatus",
            "queuememberadded",
            "queuememberremoved",
            "queuememberpause",
            "queuememberpaused",
            "queuememberpenalty",
            "queuememberringinuse",
        ),
        member,
    ),
}
