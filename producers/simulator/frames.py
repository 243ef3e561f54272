"""How events look on the wire: names, order and spelling of the fields as in Asterisk's own source.

Channel block: main/manager_channels.c, `ast_manager_build_channel_state_string_prefix`; bridge block:
main/manager_bridges.c; queue events: apps/app_queue.c. `Timestamp:` is the third line (main/manager.c).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

UNKNOWN = "<unknown>"
STATES = {"0": "Down", "3": "Dialing", "4": "Ring", "5": "Ringing", "6": "Up", "7": "Busy"}
ESCAPES = str.maketrans({c: f"\\{c}" for c in "\\'\"?"})
"""Names pass `ast_escape_c` in AMI (O'Brien arrives as O\\'Brien); numbers do not."""


@dataclass(slots=True, kw_only=True)
class Leg:
    """A live channel, as a snapshot shows it."""

    channel: str
    uniqueid: str
    linkedid: str
    device: str
    created: int
    state: str = "0"
    number: str = ""
    name: str = ""
    connected_number: str = ""
    connected_name: str = ""
    account: str = ""
    context: str = "internal"
    exten: str = "s"
    priority: str = "1"
    application: str = ""
    data: str = ""
    bridge: str = ""
    held: bool = False

    @property
    def clid(self) -> str:
        """Caller id as call detail records write it."""
        return f'"{self.name}" <{self.number}>'


@dataclass(slots=True, kw_only=True)
class Bridge:
    uniqueid: str
    kind: str = "basic"
    technology: str = "simple_bridge"
    legs: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Which blocks an event has after its first `head` fields: `leg` and `bridge` with the prefix of their keys."""

    privilege: str
    blocks: tuple[tuple[str, str], ...]
    head: int = 0


ONE = (("leg", ""),)
TWO = (("leg", ""), ("leg", "Dest"))
BRIDGED = (("bridge", ""), ("leg", ""))
TRANSFER = (("leg", "Transferer"), ("leg", "Transferee"), ("bridge", ""))
ATTENDED = (
    ("leg", "OrigTransferer"),
    ("bridge", "Orig"),
    ("leg", "SecondTransferer"),
    ("bridge", "Second"),
    ("leg", "Transferee"),
    ("leg", "TransferTarget"),
)
LOCALS = (("leg", "LocalOne"), ("leg", "LocalTwo"))

LAYOUTS = {
    **dict.fromkeys(("Newchannel", "Newstate", "NewCallerid", "NewConnectedLine", "Hangup"), Layout("call", ONE)),
    **dict.fromkeys(("HangupRequest", "SoftHangupRequest", "Hold", "Unhold"), Layout("call", ONE)),
    **dict.fromkeys(("MusicOnHoldStart", "MusicOnHoldStop", "MixMonitorStart", "MixMonitorStop"), Layout("call", ONE)),
    **dict.fromkeys(("DialBegin", "DialState", "DialEnd"), Layout("call", TWO)),
    **dict.fromkeys(("BridgeCreate", "BridgeDestroy"), Layout("call", (("bridge", ""),))),
    **dict.fromkeys(("BridgeEnter", "BridgeLeave"), Layout("call", BRIDGED)),
    **dict.fromkeys(("QueueCallerJoin", "QueueCallerLeave", "QueueCallerAbandon"), Layout("agent", ONE)),
    **dict.fromkeys(("AgentCalled", "AgentConnect", "AgentComplete", "AgentRingNoAnswer"), Layout("agent", TWO)),
    **dict.fromkeys(("LocalBridge", "LocalOptimizationEnd"), Layout("call", LOCALS)),
    "LocalOptimizationBegin": Layout("call", (*LOCALS, ("leg", "Source"))),
    "BridgeMerge": Layout("call", (("bridge", "To"), ("bridge", "From"))),
    **dict.fromkeys(("DTMFBegin", "DTMFEnd"), Layout("dtmf", ONE)),
    "BlindTransfer": Layout("call", TRANSFER, 1),
    "AttendedTransfer": Layout("call", ATTENDED, 1),
    "MessageWaiting": Layout("call", ONE),
    "OriginateResponse": Layout("call", ()),
    "DeviceStateChange": Layout("call", ()),
    "QueueMemberStatus": Layout("agent", ()),
    "QueueMemberPause": Layout("agent", ()),
    "QueueMemberAdded": Layout("agent", ()),
    "QueueMemberRemoved": Layout("agent", ()),
    "VarSet": Layout("dialplan", ONE),
    "Newexten": Layout("dialplan", ONE),
    "Cdr": Layout("cdr", ()),
    "Shutdown": Layout("system", ()),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One event for every client whose mask has its class; `at` is its Timestamp in µs UTC."""

    at: int
    event: str
    privilege: str
    wire: bytes


def leg_block(leg: Leg, prefix: str = "") -> str:
    """The channel snapshot of an event, every key with the prefix."""
    return (
        f"{prefix}Channel: {leg.channel}\r\n"
        f"{prefix}ChannelState: {leg.state}\r\n"
        f"{prefix}ChannelStateDesc: {STATES[leg.state]}\r\n"
        f"{prefix}CallerIDNum: {leg.number or UNKNOWN}\r\n"
        f"{prefix}CallerIDName: {leg.name.translate(ESCAPES) or UNKNOWN}\r\n"
        f"{prefix}ConnectedLineNum: {leg.connected_number or UNKNOWN}\r\n"
        f"{prefix}ConnectedLineName: {leg.connected_name.translate(ESCAPES) or UNKNOWN}\r\n"
        f"{prefix}Language: en\r\n"
        f"{prefix}AccountCode: {leg.account}\r\n"
        f"{prefix}Context: {leg.context}\r\n"
        f"{prefix}Exten: {leg.exten}\r\n"
        f"{prefix}Priority: {leg.priority}\r\n"
        f"{prefix}Uniqueid: {leg.uniqueid}\r\n"
        f"{prefix}Linkedid: {leg.linkedid}\r\n"
    )


def bridge_block(bridge: Bridge, prefix: str = "") -> str:
    return (
        f"{prefix}BridgeUniqueid: {bridge.uniqueid}\r\n"
        f"{prefix}BridgeType: {bridge.kind}\r\n"
        f"{prefix}BridgeTechnology: {bridge.technology}\r\n"
        f"{prefix}BridgeCreator: {UNKNOWN}\r\n"
        f"{prefix}BridgeName: {UNKNOWN}\r\n"
        f"{prefix}BridgeNumChannels: {bridge.legs}\r\n"
        f"{prefix}BridgeVideoSourceMode: none\r\n"
    )


def fields_block(fields: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in fields])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What every event of this PBX carries: its `systemname`, and `timestampevents`."""

    system_name: str = ""
    timestamps: bool = True

    def event(
        self, at: int, name: str, subjects: Sequence[Leg | Bridge | None], fields: Sequence[tuple[str, str]]
    ) -> Frame:
        """The frame of one event at `at` µs UTC; a subject that is None is left out, as Asterisk leaves it out."""
        layout = LAYOUTS[name]
        parts = [f"Event: {name}\r\nPrivilege: {layout.privilege},all\r\n"]
        if self.timestamps:
            parts.append(f"Timestamp: {at // 1_000_000}.{at % 1_000_000:06d}\r\n")
        if self.system_name:
            parts.append(f"SystemName: {self.system_name}\r\n")
        parts.append(fields_block(fields[: layout.head]))
        for (_, prefix), subject in zip(layout.blocks, subjects, strict=False):
            if isinstance(subject, Leg):
                parts.append(leg_block(subject, prefix))
            elif subject is not None:
                parts.append(bridge_block(subject, prefix))
        parts.append(fields_block(fields[layout.head :]))
        parts.append("\r\n")
        return Frame(at, name, layout.privilege, "".join(parts).encode())
