"""AMI events that a table row cannot say: where several blocks, several events or a judgement are needed."""

from collections.abc import Callable, Iterator, Mapping

from producers.pbx._asterisk import cdr, cel, old, people
from producers.pbx._asterisk.channels import Facts, Fields, Site, known, leg_of, new_channel, scoped
from streams.runtime.errors import Reject


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


def dtmf(site: Site, fields: Fields) -> Iterator[Facts]:
    """The digit itself only when asked for: callers type card numbers and PINs."""
    facts = leg_of(site, fields)
    if not facts:
        raise Reject("DTMFEnd names no channel: Uniqueid is missing")
    facts["data"].update(direction=fields.get("direction", ""), duration_ms=fields.get("durationms", ""))
    if site.config.dtmf_digits:
        facts["data"]["digit"] = fields.get("digit", "")
    yield {**facts, "type": "dtmf"}


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
    """Into voicemail; and into which queue, for a caller whom the queue does not let in has no other event that names it."""
    application = fields.get("application", "").lower()
    if application not in ("voicemail", "voicemailmain", "queue") or not (facts := leg_of(site, fields)):
        return
    if application == "queue":
        facts["data"].update(app="Queue", queue=fields.get("appdata", "").partition(",")[0])
        yield {**facts, "type": "leg.updated"}
    else:
        facts["data"].update(application=fields["application"], box=fields.get("appdata", ""))
        yield {**facts, "type": "voicemail.entered"}


_QUEUE_STATUS = {
    "TIMEOUT": ("timeout", ""),
    "JOINEMPTY": ("empty", "0"),
    "JOINUNAVAIL": ("empty", "0"),
    "LEAVEEMPTY": ("empty", ""),
    "LEAVEUNAVAIL": ("empty", ""),
    "FULL": ("full", "0"),
    "WITHDRAW": ("withdrawn", ""),
}
"""app_queue.c: why Queue() let the caller go on, and "0" when it never let him in."""


def variable(site: Site, fields: Fields) -> Iterator[Facts]:
    """Two variables tell what no event of their own does: why a queue was left, and which file is recorded to."""
    name, value = fields.get("variable", ""), fields.get("value", "")
    facts = leg_of(site, fields)
    if not facts or not value:
        return
    if name == "MIXMONITOR_FILENAME":
        facts["data"]["file"] = value
        yield {**facts, "type": "recording.started"}
    elif name == "QUEUESTATUS" and value in _QUEUE_STATUS:
        reason, joined = _QUEUE_STATUS[value]
        facts["data"].update({"reason": reason} | ({"joined": joined} if joined else {}))
        yield {**facts, "type": "queue.left", "agent": ""}


def logged(site: Site, fields: Fields) -> Iterator[Facts]:
    """CEL over AMI: records beside what was heard live, told apart by their source."""
    voicemail = fields.get("application", "").lower() == "voicemail"
    if site.config.cel or (voicemail and fields.get("eventname") in ("APP_START", "APP_END")):
        yield from cel.facts(site, fields)


def snapshot(site: Site, fields: Fields, told: Mapping[str, str]) -> Iterator[Facts]:
    """A row of a resync: a live channel, a caller who waits, a queue's member, a telephone.

    `told` is what the feed knows beside it.
    """
    name = fields.get("event", "")
    known_besides = {key: value for key, value in told.items() if key != "at"}
    if name in ("QueueMember", "DeviceStateChange"):
        for listed in people.listed(site, fields):
            yield {**listed, "data": listed["data"] | known_besides, "synthetic": True}
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
    "dtmfend": dtmf,
    "userevent": user_event,
    "newexten": new_exten,
    "varset": variable,
    "cel": logged,
    **people.HANDLERS,
    **old.HANDLERS,
}
