"""Answers to what a client may ask about the moment: channels, bridges, queues, devices. Field order: Asterisk's source."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from producers.simulator.exchange import Exchange
from producers.simulator.frames import bridge_block, fields_block, leg_block
from producers.simulator.message import Message
from producers.simulator.script import MICRO

VERSION = "5.0.4"
ASTERISK = "16.28.0"


def channels(exchange: Exchange, message: Message, at: int) -> bytes:
    """main/manager.c, action_coreshowchannels."""

    def items() -> Iterator[bytes]:
        for leg in exchange.legs.values():
            s = max(0, at - leg.created) // MICRO
            tail = fields_block(
                (
                    ("Application", leg.application),
                    ("ApplicationData", leg.data),
                    ("Duration", f"{s // 3600:02d}:{s % 3600 // 60:02d}:{s % 60:02d}"),
                    ("BridgeId", leg.bridge),
                )
            )
            yield message.item("CoreShowChannel", leg_block(leg) + tail)

    return message.listing("Channels will follow", "CoreShowChannelsComplete", items())


def bridges(exchange: Exchange, message: Message, _at: int) -> bytes:
    """main/manager_bridges.c, manager_bridges_list; BridgeType filters by technology, as there."""
    wanted = message.get("bridgetype")
    found = [bridge for bridge in exchange.bridges.values() if not wanted or bridge.technology == wanted]
    items = (message.item("BridgeListItem", bridge_block(bridge)) for bridge in found)
    return message.listing("Bridge listing will follow", "BridgeListComplete", items)


def bridge(exchange: Exchange, message: Message, _at: int) -> bytes:
    """main/manager_bridges.c, manager_bridge_info: the bridge's own block stands in the Complete event."""
    if not message.get("bridgeuniqueid"):
        return message.error("BridgeUniqueid must be provided")
    found = exchange.bridges.get(message["bridgeuniqueid"])
    if found is None:
        return message.error("Specified BridgeUniqueid not found")
    legs = [leg for leg in exchange.legs.values() if leg.bridge == found.uniqueid]
    items = (message.item("BridgeInfoChannel", leg_block(leg)) for leg in legs)
    return message.listing("Bridge channel listing will follow", "BridgeInfoComplete", items, bridge_block(found))


def queues(exchange: Exchange, message: Message, at: int) -> bytes:
    """apps/app_queue.c, manager_queues_status."""
    wanted = message.get("queue", "").lower()

    def items() -> Iterator[bytes]:
        for queue in exchange.queues.all.values():
            if wanted in {"", queue.name.lower()}:
                yield from _queue(exchange, message, queue.name, at)

    return message.listing("Queue status will follow", "QueueStatusComplete", items())


def _queue(exchange: Exchange, message: Message, name: str, at: int) -> Iterator[bytes]:
    queue = exchange.queues.all[name]
    params = {"Queue": name, "Max": 0, "Strategy": "random", "Calls": len(queue.entries)}
    params |= {"Holdtime": queue.hold_s, "TalkTime": queue.talk_s, "Completed": queue.completed}
    params |= {"Abandoned": queue.abandoned, "ServiceLevel": 0, "ServicelevelPerf": 0.0}
    yield message.item("QueueParams", _block(params | {"ServicelevelPerf2": 0.0, "Weight": 0}))
    wanted = message.get("member", "")
    for device, member in queue.members.items():
        if member.present and wanted in {"", device, member.agent.name}:
            told = dict(exchange.presence.member(queue, member))
            names = {"Name": told.pop("MemberName"), "Location": told.pop("Interface")}
            del told["Queue"], told["Ringinuse"]
            yield message.item("QueueMember", _block({"Queue": name} | names | told))
    for place, entry in enumerate(queue.entries, start=1):
        leg = entry.leg
        told = {"Queue": name, "Position": str(place), "Channel": leg.channel, "Uniqueid": leg.uniqueid}
        told |= {"CallerIDNum": leg.number or "unknown", "CallerIDName": leg.name or "unknown"}
        told |= {
            "ConnectedLineNum": leg.connected_number or "unknown",
            "ConnectedLineName": leg.connected_name or "unknown",
        }
        yield message.item("QueueEntry", _block(told | {"Wait": (at - entry.joined) // MICRO, "Priority": 0}))


def devices(exchange: Exchange, message: Message, _at: int) -> bytes:
    """res/res_manager_devicestate.c: every device that was ever seen."""
    states = exchange.presence.states.items()
    items = (message.item("DeviceStateChange", _block({"Device": device, "State": state})) for device, state in states)
    return message.listing("Device State Changes will follow", "DeviceStateListComplete", items)


def hints(_exchange: Exchange, message: Message, _at: int) -> bytes:
    """main/extension_state.c: this dialplan has no hints, and Asterisk calls that an error."""
    return message.error("No dialplan hints are available")


def settings(exchange: Exchange, message: Message, _at: int) -> bytes:
    """main/manager.c, action_coresettings."""
    told = {
        "AMIversion": VERSION,
        "AsteriskVersion": ASTERISK,
        "SystemName": exchange.wire.system_name,
        "CoreMaxCalls": "0",
    }
    told |= {
        "CoreMaxLoadAvg": "0.000000",
        "CoreRunUser": "asterisk",
        "CoreRunGroup": "asterisk",
        "CoreMaxFilehandles": "0",
    }
    told |= {"CoreRealTimeEnabled": "No", "CoreCDRenabled": "Yes", "CoreHTTPenabled": "No"}
    return message.answer("Success", *told.items())


def status(exchange: Exchange, message: Message, _at: int) -> bytes:
    """main/manager.c, action_corestatus: the start in local time."""
    start = datetime.fromtimestamp(exchange.booted // MICRO, UTC).astimezone(exchange.zone)
    date, time = start.strftime("%Y-%m-%d"), start.strftime("%H:%M:%S")
    told = {"CoreStartupDate": date, "CoreStartupTime": time, "CoreReloadDate": date, "CoreReloadTime": time}
    told |= {"CoreCurrentCalls": str(len(exchange.legs)), "CoreProcessedCalls": str(exchange.processed)}
    return message.answer("Success", *told.items())


def _block(told: Mapping[str, object]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in told.items()])


QUESTIONS: Mapping[str, Callable[[Exchange, Message, int], bytes]] = {
    "coreshowchannels": channels,
    "bridgelist": bridges,
    "bridgeinfo": bridge,
    "queuestatus": queues,
    "devicestatelist": devices,
    "extensionstatelist": hints,
    "coresettings": settings,
    "corestatus": status,
}
"""Actions that change nothing, by lower-case name."""
