"""A channel's snapshot inside an AMI event, and what its names tell.

Every event names its channels by the same block of fields, with a prefix where there are several (`DestUniqueid`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from producers.adapter import Context
from producers.numbers import UNKNOWN
from streams.runtime.errors import Reject

Fields = Mapping[str, str]
Facts = dict[str, Any]
"""Fields of one CallEvent by name, without those that every event of a frame shares."""


Site = Context[Any]

_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unescape(text: str) -> str:
    r"""Undo ast_escape_c, which AMI puts names through: O\'Brien is O'Brien."""
    return _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[1]), text) if "\\" in text else text


def known(value: str) -> str:
    """The value, or "" when Asterisk says that it has none."""
    return "" if value in UNKNOWN else value


@lru_cache(maxsize=16384)
def device(name: str) -> str:
    """The device behind a channel or interface: PJSIP/1001-0000002a, Local/1001@agents/n and Agent/1001 give 1001."""
    tech, slash, rest = name.partition("/")
    if not slash:
        return tech
    rest = rest.partition("@")[0]
    stem, dash, serial = rest.rpartition("-")
    return stem if dash and len(serial.partition(";")[0]) == 8 else rest.partition("/")[0]  # noqa: PLR2004 - %08x


def extension(site: Site, channel: str) -> str:
    """The agent whose telephone this channel or device is: as configured, else its extension; "" for any other."""
    if len(channel) > 100 or channel.startswith("Local/"):  # noqa: PLR2004 - no interface is so long
        return ""
    name = device(channel)
    if site.agents and (agent := _configured(site, channel, name)):
        return agent
    return name if site.numbers.is_extension(name) else ""


def agent_of(site: Site, interface: str, member: str) -> str:
    """The agent behind a queue member: as configured, else the extension that its interface or its name shows."""
    names = [device(name) for name in (interface, member) if name and len(name) <= 100]  # noqa: PLR2004 - no interface
    if site.agents:
        for name in (interface, member):
            if agent := _configured(site, name, device(name)):
                return agent
    return next((name for name in names if site.numbers.is_extension(name)), names[0] if names else "")


def _configured(site: Site, name: str, device_name: str) -> str:
    """By the whole interface (PJSIP/1001), as it stands or without a channel's serial, or by the device alone (1001)."""
    technology = name.partition("/")[0]
    keys = (name, f"{technology}/{device_name}", device_name)
    return next((site.agents[key] for key in keys if key in site.agents), "")


def scoped(site: Site, native: str) -> str:
    """`pbx:native`, or "" when there is no native id."""
    return f"{site.pbx}:{native}" if native and native != "<unknown>" else ""


def leg_of(site: Site, fields: Fields, prefix: str = "") -> Facts:
    """Ids, parties and customer as this snapshot knows them; {} when the event has no such block.

    A telephone's own caller id is the house's (or the trunk number it shows outside), so the customer is only looked
    for on the other side of it; a trunk's caller id is the customer's.
    """
    get = fields.get
    uniqueid = get(prefix + "uniqueid", "")
    if not uniqueid or uniqueid == "<unknown>":
        return {}
    channel = get(prefix + "channel", "")
    number = known(get(prefix + "calleridnum", ""))
    other = known(get(prefix + "connectedlinenum", ""))
    numbers = site.numbers
    agent = extension(site, channel)
    data = {"hidden": "1"} if numbers.is_hidden(number) else {}
    if numbers.closed_contexts and get(prefix + "context") in numbers.closed_contexts:
        data["closed"] = "1"
    return {
        "leg_id": f"{site.pbx}:{uniqueid}",
        "call_id": f"{site.pbx}:{get(prefix + 'linkedid') or uniqueid}",
        "channel": channel,
        "agent": agent,
        "caller_raw": number,
        "caller_e164": numbers.e164(number),
        "caller_name": unescape(known(get(prefix + "calleridname", ""))),
        "callee_raw": other,
        "callee_e164": numbers.e164(other),
        "callee_name": unescape(known(get(prefix + "connectedlinename", ""))),
        "customer_number": numbers.customer(other) if agent else numbers.customer(number, other),
        "data": data,
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


def with_peer(site: Site, leg: Facts, fields: Fields, prefix: str) -> Facts:
    """A leg's facts, with those of the other leg that the event names."""
    peer = leg_of(site, fields, prefix)
    if not peer:
        return leg
    if not leg:
        leg = {"call_id": peer["call_id"], "data": {}}
    leg["peer_leg_id"] = peer["leg_id"]
    leg["peer_call_id"] = peer["call_id"]
    if not leg.get("callee_raw"):
        leg |= {
            "callee_raw": peer["caller_raw"],
            "callee_e164": peer["caller_e164"],
            "callee_name": peer["caller_name"],
        }
    leg["customer_number"] = leg.get("customer_number") or peer["customer_number"]
    return leg


def number(text: str, most: int = 2**31 - 1) -> int | None:
    """A whole number as Asterisk writes it, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most else None  # noqa: PLR2004
