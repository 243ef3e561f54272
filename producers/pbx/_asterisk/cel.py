"""Channel event logging of Asterisk: one row, from the AMI event `CEL`, a line of cel_custom or a table, to our events.

Sources: main/cel.c, cel/*.c, include/asterisk/cel.h, res/res_musiconhold.c. Two dialects: since Asterisk 12 `Extra` is a
JSON object that names channels and bridges by their ids; before, it was a bare text and `Peer` the other channel's name,
a bridge had no id and only one of its two channels told of it.
"""

from collections.abc import Callable, Iterator, Mapping

from producers.pbx._asterisk import cel_row
from producers.pbx._asterisk.cel_row import Extra
from producers.pbx._asterisk.channels import Facts, Fields, Site, extension, known, leg_of, new_channel, number, scoped
from streams.runtime.errors import Reject

_ENDS = {
    "ParkedCallUnparked": "retrieved",
    "UnParkedCall": "retrieved",
    "ParkedCallTimeOut": "timeout",
    "ParkedCallGiveUp": "abandoned",
    "ParkedCallSwap": "swapped",
    "ParkedCallFailed": "failed",
}

Handler = Callable[[Site, Fields, Extra], Iterator[Facts]]


def facts(site: Site, fields: Fields) -> Iterator[Facts]:
    """The events of one row, none when it carries no fact. Raises Reject when it names no channel."""
    extra = cel_row.particulars(fields.get("extra", ""))
    handler = _HANDLERS.get(fields.get("eventname", ""), _user_defined)
    for found in handler(site, fields, extra):
        data = {key: value for key, value in found["data"].items() if value}
        yield {**found, "data": data | {"source": "cel"}, "synthetic": True}


def _leg(site: Site, fields: Fields) -> Facts:
    leg = leg_of(site, fields)
    if not leg:
        raise Reject(f"{fields.get('eventname', '')[:40] or 'a row'} names no channel: uniqueid is missing")
    leg["caller_name"] = known(fields.get("calleridname", ""))  # not escaped as in other events of AMI
    return leg


def _with(site: Site, fields: Fields, event_type: str, /, **data: str) -> Facts:
    leg = _leg(site, fields)
    return {**leg, "type": event_type, "data": leg["data"] | data}


def _created(site: Site, fields: Fields, _extra: Extra) -> Iterator[Facts]:
    for leg in new_channel(site, fields):
        yield leg | {"caller_name": known(fields.get("calleridname", ""))}


def _answered(site: Site, fields: Fields, _extra: Extra) -> Iterator[Facts]:
    yield _with(site, fields, "leg.answered", app=fields.get("application", ""))


def _ended(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
    """The source of the hang-up is a channel's name, or `dialplan/<application>`; before 12: cause,source,dialstatus."""
    cause, source, status = (*extra.get("", "").split(","), "", "")[:3]
    by, status = extra.get("hangupsource", source), extra.get("dialstatus", status)
    leg = _with(site, fields, "leg.ended", by_channel=by, dialstatus=status)
    yield leg | {"cause": number(extra.get("hangupcause", cause))}


def _gone(site: Site, fields: Fields, _extra: Extra) -> Iterator[Facts]:
    """CHAN_END stands beside HANGUP, unless cel.conf asks for only one of them."""
    yield _with(site, fields, "leg.updated", chan_end="1")


def _bridge(kind: str) -> Handler:
    def handler(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
        app, peer = fields.get("application", ""), fields.get("peer", "")
        conference = app.lower() == "confbridge"
        bridge = extra.get("bridge_id", "")
        leg = _with(
            site,
            fields,
            f"bridge.{kind}",
            bridge=bridge or f"{fields.get('uniqueid', '')}+{peer}",
            technology=extra.get("bridge_technology", ""),
            creator="ConfBridge" if conference else "",
            app=app,
            peer_channel=peer,
        )
        yield leg
        if conference:
            room = fields.get("appdata", "").partition(",")[0]
            yield leg | {"type": f"conference.{kind}", "data": leg["data"] | {"conference": room}}
        if app.lower() == "queue":  # of two queues in a row CEL may tell the first one's beginning only
            queue = fields.get("appdata", "").partition(",")[0]
            yield leg | {"type": "leg.updated", "data": leg["data"] | {"queue": queue}}
        if not bridge and peer:  # the old dialect says it of one channel only
            yield {
                "type": f"bridge.{kind}",
                "call_id": leg["call_id"],
                "channel": peer,
                "agent": extension(site, peer),
                "data": {"bridge": leg["data"]["bridge"], "peer_channel": leg["channel"]},
            }

    return handler


def _blind_transfer(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
    """Told of the transferer; only successful ones are logged."""
    by = _leg(site, fields)
    transferee = scoped(site, _named(extra, "transferee_channel_uniqueid"))
    channel = _named(extra, "transferee_channel_name") or fields.get("peer", "")
    yield {
        "type": "transfer.completed",
        "call_id": by["call_id"],
        "leg_id": transferee,
        "peer_leg_id": by["leg_id"],
        "peer_call_id": by["call_id"],
        "channel": channel,
        "agent": by["agent"],
        "data": {
            "kind": "blind",
            "result": "Success",
            "extension": extra.get("extension") or extra.get("", ""),
            "context": extra.get("context", ""),
            "by_leg": by["leg_id"],
            "by_channel": by["channel"],
            "transferee_leg": transferee,
            "bridge": extra.get("bridge_id", ""),
        },
    }


def _attended_transfer(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
    """Told of the transferer since 12; before, of one of the two who are joined, `Peer` is the other."""
    own = _leg(site, fields)
    new = "channel2_uniqueid" in extra
    transferee = scoped(site, _named(extra, "transferee_channel_uniqueid")) if new else own["leg_id"]
    target = scoped(site, _named(extra, "transfer_target_channel_uniqueid"))
    yield {
        "type": "transfer.completed",
        "call_id": own["call_id"],
        "leg_id": transferee,
        "peer_leg_id": target,
        "channel": _named(extra, "transferee_channel_name") if new else own["channel"],
        "agent": own["agent"] if new else "",
        "data": {
            "kind": "attended",
            "result": "Success",
            "destination": "App" if "app" in extra else "",
            "by_leg": own["leg_id"] if new else "",
            "by_channel": own["channel"] if new else "",
            "second_by_leg": scoped(site, _named(extra, "channel2_uniqueid")),
            "transferee_leg": transferee,
            "target_leg": target,
            "target_channel": _named(extra, "transfer_target_channel_name") or fields.get("peer", ""),
            "bridge": extra.get("bridge1_id", ""),
            "second_bridge": extra.get("bridge2_id", ""),
        },
    }


def _named(extra: Extra, key: str) -> str:
    found = extra.get(key, "")
    return "" if found == "N/A" else found


def _parked(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
    lot = extra.get("parking_lot", extra.get("", ""))
    parker = extra.get("parker_dial_string") or fields.get("peer", "")
    yield _with(site, fields, "park.started", lot=lot, parker=parker)


def _unparked(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
    told = extra.get("reason", extra.get("", ""))
    by = extra.get("retriever") or fields.get("peer", "")
    yield _with(site, fields, "park.ended", reason=_ENDS.get(told, told), retriever_channel=by)


def _picked_up(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
    """Told of the telephone that rang; the one that took the call is named by it."""
    target = _leg(site, fields)
    channel = extra.get("pickup_channel") or fields.get("peer", "")
    yield {
        "type": "pickup",
        "call_id": target["call_id"],
        "leg_id": scoped(site, extra.get("pickup_channel_uniqueid", "")),
        "peer_leg_id": target["leg_id"],
        "peer_call_id": target["call_id"],
        "channel": channel,
        "agent": extension(site, channel),
        "data": {"target_channel": target["channel"]},
    }


def _forwarded(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
    """Told of the calling leg. The new destination may be a number, number@context or a channel to dial."""
    told = extra.get("forward") or extra.get("", "")
    to = told.partition("@")[0].rpartition("/")[2]
    leg = _with(site, fields, "forward", forward=told)
    yield leg | {"callee_raw": to, "callee_e164": site.numbers.dialled(to), "callee_name": ""}


def _optimized(phase: str) -> Handler:
    def handler(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
        one = _with(site, fields, "linkage.merged", local="1", phase=phase)
        yield one | {"peer_leg_id": scoped(site, extra.get("local_two_uniqueid", "")), "peer_call_id": one["call_id"]}

    return handler


def _application(begin: str) -> Handler:
    def handler(site: Site, fields: Fields, _extra: Extra) -> Iterator[Facts]:
        app, told = fields.get("application", ""), fields.get("appdata", "")
        match app.lower():
            case "queue":
                kind = "queue.entered" if begin else "queue.left"
                yield _with(site, fields, kind, app=app) | {"queue": told.partition(",")[0], "agent": ""}
            case "voicemail":
                yield _with(site, fields, "voicemail.entered" if begin else "voicemail.left", box=told)
            case _:
                outside = site.numbers.outside(told.partition(",")[0]) if begin and app.lower() == "dial" else ""
                named = {"app" if begin else "app_end": app, "appdata": told, "outside": outside}
                yield _with(site, fields, "leg.updated", **named)

    return handler


def _stream(on: str) -> Handler:
    """Music on hold, since Asterisk 20; sound files are streams too. Of the end only the column userdeftype tells which.

    AMI has no such field, and events of its own: a beginning without an end would be a hold until the hang-up.
    """

    def handler(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
        if fields.get("userdeftype", "").startswith("MOH_"):
            yield _with(site, fields, "leg.updated", moh=on, music=extra.get("class", ""))

    return handler


def _retired(site: Site, fields: Fields, _extra: Extra) -> Iterator[Facts]:
    """No channel has this linkedid any more: perhaps in mid-call, after two calls became one."""
    yield _with(site, fields, "linkage.merged", linkedid_end="1")


def _user_defined(site: Site, fields: Fields, extra: Extra) -> Iterator[Facts]:
    """CELGenUserEvent: the dialplan's own words. Its name may stand in the place of the event's."""
    name = fields.get("userdeftype") or fields.get("eventname", "")
    kind = "leg.updated"
    if name in site.config.ivr_events:
        kind = "ivr.entered"
    elif name in site.config.note_events:
        kind = "note"
    own = {key: value for key, value in extra.items() if key}
    yield _with(site, fields, kind, **{**own, "text": extra.get("extra", extra.get("", "")), "event": name})


def _nothing(_site: Site, _fields: Fields, _extra: Extra) -> Iterator[Facts]:
    """Digits may be card numbers and PINs; the pieces of a bridge that changed its mind are told anew."""
    return iter(())


_HANDLERS: Mapping[str, Handler] = {
    "CHAN_START": _created,
    "CHAN_END": _gone,
    "ANSWER": _answered,
    "HANGUP": _ended,
    "APP_START": _application("1"),
    "APP_END": _application(""),
    "BRIDGE_ENTER": _bridge("joined"),
    "BRIDGE_EXIT": _bridge("left"),
    "BRIDGE_START": _bridge("joined"),
    "BRIDGE_END": _bridge("left"),
    "BLINDTRANSFER": _blind_transfer,
    "ATTENDEDTRANSFER": _attended_transfer,
    "PARK_START": _parked,
    "PARK_END": _unparked,
    "PICKUP": _picked_up,
    "FORWARD": _forwarded,
    "LOCAL_OPTIMIZE": _optimized("end"),
    "LOCAL_OPTIMIZE_BEGIN": _optimized("begin"),
    "STREAM_BEGIN": _stream("1"),
    "STREAM_END": _stream("0"),
    "LINKEDID_END": _retired,
    "USER_DEFINED": _user_defined,
    **dict.fromkeys(("DTMF", "BRIDGE_UPDATE", "TRANSFER", "HOOKFLASH", "3WAY_START", "3WAY_END"), _nothing),
}
