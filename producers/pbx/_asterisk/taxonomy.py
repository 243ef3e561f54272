"""From AMI events to the taxonomy: most are a row of a table, the rest has a function in `special`.

Sources: apps/app_queue.c, main/manager_channels.c, main/manager_bridges.c, main/stasis_bridges.c, main/pickup.c,
main/core_local.c, res/parking/parking_manager.c, apps/confbridge/confbridge_manager.c, apps/app_mixmonitor.c.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from producers.pbx._asterisk import special
from producers.pbx._asterisk.channels import Facts, Fields, Site, agent_of, leg_of, number, with_peer
from streams.runtime.errors import Reject

Handler = Callable[[Site, Fields], Iterator[Facts]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How one AMI event reads: its type, which blocks are leg and peer, which fields go to `data`."""

    type: str
    leg: str = ""
    peer: str | None = None
    needs_leg: bool = True
    """A frame without the leg's block is refused; AgentComplete may come without any."""
    data: dict[str, str] = field(default_factory=dict)
    """Key in `data` -> field of the event; empty fields are left out."""
    always: dict[str, str] = field(default_factory=dict)
    """Key in `data` -> this very text."""


_BRIDGE = {
    "bridge": "bridgeuniqueid",
    "bridge_type": "bridgetype",
    "technology": "bridgetechnology",
    "creator": "bridgecreator",
    "legs": "bridgenumchannels",
}
_QUEUE = {"position": "position", "count": "count", "original_position": "originalposition", "hold_s": "holdtime"}
_MEMBER = {"interface": "interface", "member": "membername"}
_PARK = {"lot": "parkinglot", "space": "parkingspace", "timeout": "parkingtimeout", "parked_s": "parkingduration"}
_DIAL = {"dial_string": "dialstring", "status": "dialstatus", "forward": "forward"}
_STATE = {"state": "channelstate"}


def _park(kind: str, reason: str = "") -> Row:
    return Row(
        type=kind,
        leg="parkee",
        peer="retriever",
        data={**_PARK, "parker": "parkerdialstring"},
        always={"reason": reason} if reason else {},
    )


ROWS: dict[str, Row] = {
    "newstate": Row(type="leg.updated", data=_STATE),
    "newcallerid": Row(type="leg.updated", data={**_STATE, "presentation": "cid-callingpres"}),
    "newconnectedline": Row(type="leg.updated", data=_STATE),
    "newaccountcode": Row(type="leg.updated", data={"account": "accountcode"}),
    "rename": Row(type="leg.updated", data={"new_channel": "newname"}),
    "hanguprequest": Row(type="leg.updated", always={"hangup": "requested"}),
    "softhanguprequest": Row(type="leg.updated", always={"hangup": "soft"}),
    "hangup": Row(type="leg.ended", data={"cause_text": "cause-txt", "tech_cause": "techcause"}),
    "dialbegin": Row(type="dial.started", peer="dest", needs_leg=False, data=_DIAL),
    "dialstate": Row(type="leg.updated", leg="dest", data=_DIAL),
    "dialend": Row(type="dial.ended", peer="dest", needs_leg=False, data=_DIAL),
    "bridgeenter": Row(type="bridge.joined", data=_BRIDGE),
    "bridgeleave": Row(type="bridge.left", data=_BRIDGE),
    "hold": Row(type="hold.started", data={"music": "musicclass"}),
    "unhold": Row(type="hold.ended"),
    "musiconholdstart": Row(type="leg.updated", data={"music": "class"}, always={"moh": "1"}),
    "musiconholdstop": Row(type="leg.updated", always={"moh": "0"}),
    "queuecallerjoin": Row(type="queue.entered", data=_QUEUE),
    "queuecallerleave": Row(type="queue.left", data=_QUEUE),
    "queuecallerabandon": Row(type="queue.left", data=_QUEUE, always={"reason": "abandoned"}),
    "join": Row(type="queue.entered", data=_QUEUE),
    "leave": Row(type="queue.left", data=_QUEUE),
    "agentcalled": Row(type="agent.offered", peer="dest", needs_leg=False, data=_MEMBER),
    "agentconnect": Row(
        type="agent.connected",
        peer="dest",
        needs_leg=False,
        data={**_MEMBER, "hold_s": "holdtime", "ring_s": "ringtime"},
    ),
    "agentcomplete": Row(
        type="agent.completed",
        peer="dest",
        needs_leg=False,
        data={**_MEMBER, "talk_s": "talktime", "hold_s": "holdtime", "reason": "reason"},
    ),
    "agentringnoanswer": Row(
        type="agent.ring_no_answer", peer="dest", needs_leg=False, data={**_MEMBER, "ring_ms": "ringtime"}
    ),
    "agentdump": Row(type="agent.declined", peer="dest", needs_leg=False, data=_MEMBER),
    "pickup": Row(type="pickup", peer="target"),
    "parkedcall": _park("park.started"),
    "unparkedcall": _park("park.ended", "retrieved"),
    "parkedcalltimeout": _park("park.ended", "timeout"),
    "parkedcallgiveup": _park("park.ended", "abandoned"),
    "parkedcallswap": _park("park.ended", "swapped"),
    "confbridgejoin": Row(type="conference.joined", data={**_BRIDGE, "conference": "conference"}),
    "confbridgeleave": Row(type="conference.left", data={**_BRIDGE, "conference": "conference"}),
    "messagewaiting": Row(
        type="voicemail.message",
        needs_leg=False,
        data={"mailbox": "mailbox", "waiting": "waiting", "new": "new", "old": "old"},
    ),
    "mixmonitorstart": Row(type="recording.started", data={"file": "filename"}),
    "mixmonitorstop": Row(type="recording.stopped", data={"file": "filename"}),
    "chanspystart": Row(type="leg.updated", leg="spyer", peer="spyee", always={"spy": "1"}),
    "chanspystop": Row(type="leg.updated", leg="spyer", peer="spyee", always={"spy": "0"}),
    "localoptimizationbegin": Row(
        type="linkage.merged",
        leg="localone",
        peer="localtwo",
        data={"optimization": "id"},
        always={"local": "1", "phase": "begin"},
    ),
    "localoptimizationend": Row(
        type="linkage.merged",
        leg="localone",
        peer="localtwo",
        data={"optimization": "id", "success": "success"},
        always={"local": "1", "phase": "end"},
    ),
}

_STATES = {"5": "leg.ringing", "6": "leg.answered"}
_BY = {"caller": "caller", "agent": "agent", "transfer": "transfer"}


def _apply(site: Site, fields: Fields, row: Row) -> Facts:
    facts = leg_of(site, fields, row.leg)
    if not facts and row.needs_leg:
        raise Reject(f"{fields['event'][:40]} names no channel: {row.leg}Uniqueid is missing")
    if row.peer is not None:
        facts = with_peer(site, facts, fields, row.peer)
    data = facts.setdefault("data", {})
    for key, name in row.data.items():
        value = fields.get(name)
        if value and value != "<unknown>":
            data[key] = value
    if row.always:
        data.update(row.always)
    facts["type"] = row.type
    return facts


def read(site: Site, fields: Fields) -> Iterator[Facts]:
    """The events of one AMI event, by the table or by its own function; nothing when it carries no fact."""
    name = fields["event"].lower()
    row = ROWS.get(name)
    if row is None:
        handler = special.HANDLERS.get(name)
        if handler is not None:
            yield from handler(site, fields)
        return
    facts = _apply(site, fields, row)
    finish = _FINISH.get(name)
    if finish is not None:
        finish(site, fields, facts)
    yield facts


def _state(_site: Site, fields: Fields, facts: Facts) -> None:
    facts["type"] = _STATES.get(fields.get("channelstate", ""), "leg.updated")


def _cause(_site: Site, fields: Fields, facts: Facts) -> None:
    facts["cause"] = number(fields.get("cause", ""))


def _swap(site: Site, fields: Fields, facts: Facts) -> None:
    if swapped := fields.get("swapuniqueid"):
        facts["data"]["swap"] = f"{site.pbx}:{swapped}"


def _presentation(_site: Site, fields: Fields, facts: Facts) -> None:
    if "Prohibited" in fields.get("cid-callingpres", ""):
        facts["data"]["hidden"] = "1"
        facts["customer_number"] = ""


def _queue(_site: Site, fields: Fields, facts: Facts) -> None:
    facts["queue"] = fields.get("queue", "")
    facts["agent"] = ""


def _agent(site: Site, fields: Fields, facts: Facts) -> None:
    facts["queue"] = fields.get("queue", "")
    interface = fields.get("interface") or fields.get("agentcalled", "")
    facts["agent"] = agent_of(site, interface, fields.get("membername") or fields.get("member", ""))
    facts["by"] = _BY.get(fields.get("reason", "").lower(), "")


def _dialled(site: Site, fields: Fields, facts: Facts) -> None:
    """Only the dial string names who is called outside. Of an Originate nobody's leg is the caller."""
    dialled = fields.get("dialstring", "")
    outside = site.numbers.outside(dialled)
    if not outside:
        return
    facts["data"]["outside"] = outside
    if "leg_id" not in facts:
        facts["callee_e164"] = facts["customer_number"] = outside
        facts["callee_raw"] = dialled.partition("@")[0].rpartition("/")[2]


def _source(site: Site, fields: Fields, facts: Facts) -> None:
    if source := fields.get("sourceuniqueid"):
        facts["data"]["source_leg"] = f"{site.pbx}:{source}"
    if dest := fields.get("destuniqueid"):
        facts["data"]["dest_leg"] = f"{site.pbx}:{dest}"


_FINISH: dict[str, Callable[[Site, Fields, Facts], None]] = {
    "newstate": _state,
    "newcallerid": _presentation,
    "dialbegin": _dialled,
    "hangup": _cause,
    "bridgeenter": _swap,
    "localoptimizationbegin": _source,
    **dict.fromkeys(("queuecallerjoin", "queuecallerleave", "queuecallerabandon", "join", "leave"), _queue),
    **dict.fromkeys(("agentcalled", "agentconnect", "agentcomplete", "agentringnoanswer", "agentdump"), _agent),
}
