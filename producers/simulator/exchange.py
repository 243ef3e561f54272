"""The live state of the simulated PBX: channels, bridges, queues. It plays steps and writes their frames.

Everything that depends on the calls of the moment (ids, channel numbers, queue positions, hold times, device and
member states) is worked out here, from the very steps that the frames come from.
"""

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from producers.simulator.cdr import Row, csv_line, event_fields
from producers.simulator.frames import Bridge, Frame, Leg, Wire
from producers.simulator.presence import Presence
from producers.simulator.queues import Queues
from producers.simulator.roster import Agent, Staff
from producers.simulator.script import MICRO, Ref, Step, Value


@dataclass(slots=True)
class Run:
    """One call being played: its legs and bridges by role, live or over, and the ids it has used."""

    number: int
    legs: dict[str, Leg] = field(default_factory=dict)
    bridges: dict[str, Bridge] = field(default_factory=dict)
    uniqueid: str = ""
    linkedids: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Its events that no client was sent, each with the legs and bridges that it is about."""


class Exchange:
    """One PBX since its start. `opening` is the moment of µs UTC (a whole second) from which steps count."""

    def __init__(
        self,
        staff: Staff,
        *,
        opening: int,
        seed: int,
        wire: Wire | None = None,
        zone: tzinfo = UTC,
        record: Callable[[bytes], object] | None = None,
    ) -> None:
        self.opening = opening
        self.wire = wire or Wire()
        self.zone = zone
        self._staff = staff
        self._rng = random.Random(f"exchange {seed}")  # noqa: S311 - play, not secrecy
        self._record = record
        self.boot(0)

    def open(self, opening: int) -> None:
        """Begin the day anew at that moment: for an exchange on which nothing was played yet."""
        self.opening = opening
        self.boot(0)

    def boot(self, at: int) -> None:
        """An empty PBX at that moment of µs since the opening: sequences and channel names begin at 0 again."""
        self.booted = self.opening + at
        self.queues = Queues(self._staff)
        self.presence = Presence(self.wire, self.queues, self.booted)
        self.legs: dict[str, Leg] = {}
        """Live channels by uniqueid, oldest first."""
        self.bridges: dict[str, Bridge] = {}
        self.processed = 0
        self._sequence = 0
        self._names: dict[str, int] = {}
        self._cdr = 0

    def apply(self, run: Run, step: Step) -> list[Frame]:
        """Play one step of a call; the frames that it makes, in order."""
        at = self.opening + step.at
        if step.event == "Newchannel":
            self._create(run, step, at)
        else:
            for role, name, value in step.put:
                setattr(run.legs[role], name, self._value(run, value))
        if not step.event:
            return []
        fields = tuple((name, self._value(run, value)) for name, value in step.fields)
        if step.event == "Cdr":
            return [self._call_record(at, dict(fields))]
        self._bridges(run, step)
        subjects = [self._subject(run, name) for name in step.subjects]
        leg = subjects[0] if subjects and isinstance(subjects[0], Leg) else None
        told, after = self.queues.apply(at, step.event, leg, fields)
        frames = [*self.presence.queue(at, step.event, dict(told)), self.wire.event(at, step.event, subjects, told)]
        if leg is not None:
            self._ended(step, leg)
            after = after | self.presence.touched(step.event, leg)
        frames += self.presence.frames(at, after)
        return frames

    def change(self, at: int, agent: Agent, state: str, reason: str) -> list[Frame]:
        """An agent goes on a break or comes back, in every queue: app_queue.c, set_member_paused, add_to_queue."""
        frames: list[Frame] = []
        for queue in [self.queues.all[name] for name in agent.queues]:
            member = queue.members[agent.device]
            event = "QueueMemberPause" if member.present else "QueueMemberAdded"
            if state == "logged_out":
                event = "QueueMemberRemoved"
            member.present, member.paused, member.reason = state != "logged_out", state == "paused", reason
            if member.present:  # the pause of a member is a device too
                device = f"Queue:{queue.name}_pause_{agent.device}"
                told = (("Device", device), ("State", "INUSE" if member.paused else "NOT_INUSE"))
                frames.append(self.wire.event(self.opening + at, "DeviceStateChange", (), told))
            frames.append(self.wire.event(self.opening + at, event, (), self.presence.member(queue, member)))
        return frames

    def _create(self, run: Run, step: Step, at: int) -> None:
        put = {name: self._value(run, value) for _, name, value in step.put}
        own = f"{self.wire.system_name}-" if self.wire.system_name else ""
        uniqueid = put.pop("uniqueid", "") or f"{own}{at // MICRO}.{self._sequence}"
        self._sequence += self._rng.choice((1, 1, 2))
        device, half = put.pop("device"), put.pop("half", "")
        stem = device.removesuffix("/n")
        if half != ";2":
            self._names[stem] = self._names.get(stem, -1) + 1
        linkedid = put.pop("linkedid", uniqueid)
        leg = Leg(
            channel=f"{stem}-{self._names[stem]:08x}{half}",
            uniqueid=uniqueid,
            linkedid=linkedid,
            device=device,
            created=at,
        )
        for name, value in put.items():
            setattr(leg, name, value)
        run.legs[step.subjects[0]] = self.legs[uniqueid] = leg
        if not run.uniqueid:
            run.uniqueid = uniqueid
            self.processed += 1
        if linkedid not in run.linkedids:
            run.linkedids.append(linkedid)

    def _bridges(self, run: Run, step: Step) -> None:
        if step.event == "BridgeCreate":
            bridge = Bridge(uniqueid=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)))
            run.bridges[step.subjects[0]] = self.bridges[bridge.uniqueid] = bridge
        elif step.event == "BridgeDestroy":
            del self.bridges[run.bridges[step.subjects[0]].uniqueid]
        elif step.event in {"BridgeEnter", "BridgeLeave"}:
            bridge, leg = run.bridges[step.subjects[0]], run.legs[step.subjects[1]]
            entering = step.event == "BridgeEnter"
            bridge.legs += 1 if entering else -1
            leg.bridge = bridge.uniqueid if entering else ""

    def _ended(self, step: Step, leg: Leg) -> None:
        if step.event == "Hangup":
            del self.legs[leg.uniqueid]
            self.queues.forget(leg)

    def _subject(self, run: Run, name: str) -> Leg | Bridge | None:
        if not name:
            return None
        return run.legs[name] if name in run.legs else run.bridges[name]

    def _value(self, run: Run, value: Value) -> str:
        if isinstance(value, Ref):
            source = run.legs[value.of] if value.of in run.legs else run.bridges[value.of]
            return str(getattr(source, value.what))
        return value

    def _call_record(self, at: int, told: dict[str, str]) -> Frame:
        times = {
            name: None if told[name] == "" else self.opening + int(told[name])
            for name in ("started", "answered", "ended")
        }
        row = Row(
            **{name: value for name, value in told.items() if name not in times},
            started=times["started"] or 0,
            answered=times["answered"],
            ended=times["ended"] or 0,
            sequence=self._cdr,
        )
        self._cdr += 1
        if self._record is not None:
            self._record(csv_line(row, self.zone))
        return self.wire.event(at, "Cdr", (), event_fields(row, self.zone))


def play(exchange: Exchange, run: Run, steps: Sequence[Step]) -> list[Frame]:
    """All frames of one call at once, as if no other call were there."""
    return [frame for step in steps for frame in exchange.apply(run, step)]
