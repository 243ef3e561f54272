"""AMI 1.x (Asterisk <= 11): `Dial` and `Bridge` with sub-events, channels numbered instead of prefixed, no linkedid."""

from collections.abc import Callable, Iterator

from producers.pbx._asterisk.channels import Facts, Fields, Site, known, leg_of, scoped, with_peer
from streams.runtime.errors import Reject


def local_bridge(site: Site, fields: Fields) -> Iterator[Facts]:
    """The two halves of a Local channel; AMI 1.x numbers them."""
    facts = with_peer(site, leg_of(site, fields, "localone"), fields, "localtwo")
    if not facts:
        one, two = scoped(site, fields.get("uniqueid1", "")), scoped(site, fields.get("uniqueid2", ""))
        if not one or not two:
            raise Reject("LocalBridge names no two channels")
        facts = {"leg_id": one, "call_id": one, "peer_leg_id": two, "peer_call_id": two}
    yield {**facts, "type": "linkage.merged", "data": {"local": "1"}}


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


HANDLERS: dict[str, Callable[[Site, Fields], Iterator[Facts]]] = {
    "localbridge": local_bridge,
    "dial": old_dial,
    "bridge": old_bridge,
}
