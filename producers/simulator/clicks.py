"""Actions that change something: Originate (click-to-call) and Hangup."""

import re
from collections.abc import Callable, Mapping

from producers.simulator.frames import Frame
from producers.simulator.message import Message
from producers.simulator.player import Player

Effect = Callable[[Player, Message, int], tuple[bytes, list[Frame]]]
DIALLABLE = re.compile(r"\+?[0-9]{3,15}")


def originate(player: Player, message: Message, at: int) -> tuple[bytes, list[Frame]]:
    """main/manager.c, action_originate: queued when it makes sense; how it went comes later as OriginateResponse.

    The telephone of an agent (`PJSIP/1001`) is rung, then `Exten` is dialled for it. `ChannelId` becomes its uniqueid.
    """
    device, exten = message.get("channel", ""), message.get("exten", "")
    wrong = _wrong(message)
    if wrong:
        return message.error(wrong), []
    queued = message.success("Originate successfully queued")
    agent = next((each for each in player.centre.staff.agents if each.device == device), None)
    if agent is None:
        return queued, [_failed(player, message, at, "0")]
    told = {"action": message.get("actionid", ""), "channel_id": message.get("channelid", "")}
    try:
        call = player.centre.click(at, agent, number=exten, context=message["context"], **told)
    except ValueError:
        return queued, [_failed(player, message, at, "5")]
    player.add(call)
    return queued, []


def _wrong(message: Message) -> str:
    """What Asterisk says of an Originate that cannot be tried; "" when it can."""
    channel = message.get("channel", "")
    if not channel:
        return "Channel not specified"
    if "/" not in channel:
        return "Invalid channel"
    if message.get("async", "").lower() not in {"true", "yes", "1", "on"} or message.get("application"):
        return "Originate failed"
    if not message.get("context") or not message.get("priority"):
        return "Originate with 'Exten' requires 'Context' and 'Priority'"
    return "" if DIALLABLE.fullmatch(message.get("exten", "")) else "Extension does not exist."


def _failed(player: Player, message: Message, at: int, reason: str) -> Frame:
    """No channel came to be: the channel is named without a number of its own."""
    told = (
        *((("ActionID", message["actionid"]),) if message.get("actionid") else ()),
        ("Response", "Failure"),
        ("Channel", message["channel"]),
        ("Context", message["context"]),
        ("Exten", message["exten"]),
        ("Reason", reason),
        ("Uniqueid", message.get("channelid") or "<unknown>"),
        ("CallerIDNum", "<unknown>"),
        ("CallerIDName", "<unknown>"),
    )
    exchange = player.exchange
    return exchange.wire.event(exchange.opening + at, "OriginateResponse", (), told)


def hang_up(player: Player, message: Message, at: int) -> tuple[bytes, list[Frame]]:
    """main/manager.c: by exact channel name; the whole call of that channel ends."""
    if not message.get("channel"):
        return message.error("No channel specified"), []
    cause = message.get("cause", "16")
    frames = player.hang_up(message["channel"], at, int(cause) if cause.isdecimal() else 16)
    if frames is None:
        return message.error("No such channel"), []
    return message.success("Channel Hungup"), frames


EFFECTS: Mapping[str, Effect] = {"originate": originate, "hangup": hang_up}
"""Actions with consequences, by lower-case name."""
