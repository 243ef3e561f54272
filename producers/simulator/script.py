"""The steps of one call: pure data, written in the order and with the fields of a real Asterisk (13 and later).

A step names an event and the call's own legs and bridges by role (`customer`, `agent`, …); the exchange that plays it
gives the ids, the channel names and everything that depends on the other calls of the moment.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that only the exchange knows: attribute `what` (uniqueid, linkedid, channel) of a leg or bridge."""

    of: str
    what: str


Value = str | Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event of the call at `at` µs since the opening; `put` changes legs before the frame is written."""

    at: int
    event: str
    subjects: tuple[str, ...] = ()
    fields: tuple[tuple[str, Value], ...] = ()
    put: tuple[tuple[str, str, Value], ...] = ()


@dataclass(slots=True)
class Script:
    """Writes steps with a running clock, as many microseconds apart as a PBX needs."""

    rng: random.Random
    now: int
    steps: list[Step] = field(default_factory=list)

    def say(self, event: str, *subjects: str, put: Mapping[str, Value] | None = None, **fields: Value) -> int:
        """Add one event; `put` belongs to the first subject. A field name's `_` stands for `-`. Returns its time."""
        self.now += self.rng.randint(60, 400)
        self.steps.append(
            Step(
                at=self.now,
                event=event,
                subjects=subjects,
                fields=tuple((name.replace("_", "-"), value) for name, value in fields.items()),
                put=tuple((subjects[0], name, value) for name, value in (put or {}).items()),
            )
        )
        return self.now

    def set(self, leg: str, **values: Value) -> None:
        """Change a leg without an event of its own: the next one that names it shows the new values."""
        self.steps.append(Step(at=self.now, event="", put=tuple((leg, name, value) for name, value in values.items())))

    def wait(self, seconds: float) -> int:
        self.now += round(seconds * MICRO)
        return self.now

    def dial(
        self, caller: str, callee: str, *, device: str, number: str, name: str, seen: tuple[Value, Value], **put: Value
    ) -> int:
        """Create the callee's leg for a Dial from the caller's; `seen` is the number and name the callee sees."""
        self.say(
            "Newchannel",
            callee,
            put={"device": device, "context": "internal", "exten": "s", "linkedid": Ref(caller, "linkedid"), **put},
        )
        self.set(callee, number=number, name=name, connected_number=seen[0], connected_name=seen[1])
        self.set(
            callee,
            context=Ref(caller, "context"),
            exten=Ref(caller, "exten"),
            application="AppDial",
            data="(Outgoing Line)",
        )
        self.say("NewCallerid", callee, CID_CallingPres="0 (Presentation Allowed, Not Screened)")
        return self.say("NewConnectedLine", callee)

    def ring(self, caller: str, callee: str, dial_string: str, after: float) -> int:
        """The dial begins, and after a moment the telephone rings."""
        self.say("DialBegin", caller, callee, DialString=dial_string)
        self.wait(after)
        at = self.say("Newstate", callee, put={"state": "5"})
        self.say("DialState", caller, callee, DialStatus="RINGING")
        return at

    def pick_up(self, caller: str, callee: str) -> int:
        """The callee answers; a caller that was only ringing is answered with it."""
        at = self.say("Newstate", callee, put={"state": "6"})
        self.say("DialEnd", caller, callee, DialStatus="ANSWER")
        return at

    def bridge(self, name: str, first: str, second: str) -> int:
        """Two legs meet: the called one enters first. Returns the moment they can talk."""
        self.say("BridgeCreate", name)
        self.say("BridgeEnter", name, first)
        return self.say("BridgeEnter", name, second)

    def part(self, bridge: str, first: str, second: str) -> int:
        """Both leave; returns the moment of the first leave, when the talk is over."""
        at = self.say("BridgeLeave", bridge, first)
        self.say("BridgeLeave", bridge, second)
        self.say("BridgeDestroy", bridge)
        return at

    def record(self, leg: str, peer: str, *, answered: int | None, ended: int, disposition: str, **told: Value) -> None:
        """A call detail record of the two legs (`peer` "" for none); the exchange fills in what it knows.

        `told`: started, src, dst, context, application, data and, when they differ from nothing, caller, userfield.
        """
        row: dict[str, Value] = {
            "caller": "",
            "userfield": "",
            "channel": Ref(leg, "channel"),
            "peer": Ref(peer, "channel") if peer else "",
            "uniqueid": Ref(leg, "uniqueid"),
            "linkedid": Ref(leg, "linkedid"),
            "answered": "" if answered is None else str(answered),
            "ended": str(ended),
            "disposition": disposition,
            **told,
        }
        self.now += self.rng.randint(60, 400)
        self.steps.append(Step(at=self.now, event="Cdr", fields=tuple(row.items())))

    def hang_up(self, leg: str, cause: int) -> int:
        return self.say("Hangup", leg, Cause=str(cause), Cause_txt=CAUSES[cause])


CAUSES = {
    0: "Unknown",
    16: "Normal Clearing",
    17: "User busy",
    19: "User alerting, no answer",
    21: "Call Rejected",
    26: "Answered elsewhere",
    34: "Circuit/channel congestion",
    127: "Interworking, unspecified",
}
