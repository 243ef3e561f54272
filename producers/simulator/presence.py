"""What the telephones are doing, worked out from the live channels: DeviceStateChange and QueueMemberStatus."""

from collections.abc import Iterable, Mapping

from producers.simulator.frames import Frame, Leg, Wire
from producers.simulator.queues import MICRO, Member, Queue, Queues

MEMBER_STATUS = {"NOT_INUSE": 1, "INUSE": 2, "BUSY": 3, "RINGING": 6, "RINGINUSE": 7, "ONHOLD": 8}
"""Member `Status` numbers of app_queue.c for the device states."""

CHANGING = frozenset(["Newchannel", "Newstate", "Hangup", "Hold", "Unhold"])


class Presence:
    """The state of every device that has been seen, aggregated over its live channels as main/devicestate.c does."""

    def __init__(self, wire: Wire, queues: Queues, booted: int) -> None:
        self._wire = wire
        self._queues = queues
        self._login = str(booted // MICRO)
        self._legs: dict[str, dict[str, Leg]] = {}
        self.states: dict[str, str] = {}

    def touched(self, event: str, leg: Leg) -> frozenset[str]:
        """Take note of a leg's event; the device whose state has changed by it, if it has."""
        if event not in CHANGING or leg.device.startswith("Local/"):
            return frozenset()
        legs = self._legs.setdefault(leg.device, {})
        if event == "Hangup":
            legs.pop(leg.uniqueid, None)
        else:
            legs[leg.uniqueid] = leg
        if event in {"Hold", "Unhold"}:
            leg.held = event == "Hold"
        state = _aggregate(legs.values())
        if self.states.get(leg.device, "NOT_INUSE") == state:
            return frozenset()
        self.states[leg.device] = state
        return frozenset({leg.device})

    def frames(self, at: int, devices: frozenset[str]) -> list[Frame]:
        """The events of those devices: the device itself, then each queue that it is a member of."""
        told: list[Frame] = []
        for device in sorted(devices):
            state = self.states.get(device, "NOT_INUSE")
            told.append(self._wire.event(at, "DeviceStateChange", (), (("Device", device), ("State", state))))
            told += [
                self._wire.event(at, "QueueMemberStatus", (), self.member(queue, queue.members[device]))
                for queue in self._queues.all.values()
                if device in queue.members and queue.members[device].present
            ]
        return told

    def queue(self, at: int, event: str, fields: Mapping[str, str]) -> list[Frame]:
        """A queue is a device too: ringing from its first caller on, not in use after its last."""
        state = {("QueueCallerJoin", "1"): "RINGING", ("QueueCallerLeave", "0"): "NOT_INUSE"}
        found = state.get((event, fields.get("Count", "")))
        if found is None:
            return []
        return [
            self._wire.event(at, "DeviceStateChange", (), (("Device", f"Queue:{fields['Queue']}"), ("State", found)))
        ]

    def status(self, member: Member) -> int:
        return MEMBER_STATUS[self.states.get(member.agent.device, "NOT_INUSE")]

    def member(self, queue: Queue, member: Member) -> tuple[tuple[str, str], ...]:
        """The fields of `queue_member_blob_create`, app_queue.c."""
        return (
            ("Queue", queue.name),
            ("MemberName", member.agent.name),
            ("Interface", member.agent.device),
            ("StateInterface", member.agent.device),
            ("Membership", "static"),
            ("Penalty", "0"),
            ("CallsTaken", str(member.calls)),
            ("LastCall", str(member.last)),
            ("LastPause", "0"),
            ("LoginTime", self._login),
            ("InCall", str(int(member.talk is not None))),
            ("Status", str(self.status(member))),
            ("Paused", str(int(member.paused))),
            ("PausedReason", member.reason),
            ("Ringinuse", "0"),
            ("Wrapuptime", "0"),
        )


def _aggregate(legs: Iterable[Leg]) -> str:
    busy = ringing = held = False
    for leg in legs:
        ringing |= leg.state == "5"
        held |= leg.held
        busy |= leg.state in {"3", "4", "6"} and not leg.held
    if ringing:
        return "RINGINUSE" if busy or held else "RINGING"
    if busy:
        return "INUSE"
    return "ONHOLD" if held else "NOT_INUSE"
