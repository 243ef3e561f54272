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

    def say(
        self,
        event: str,
        *subjects: str,
        put: Mapping[str, Value] | None = None,
        told: Mapping[str, Value] | None = None,
        **fields: Value,
    ) -> int:
        """Add one event with the fields of `told` and `fields`; a `_` in the name of one of the latter stands for `-`.

        `put` changes the first subject. Returns the event's time.
        """
        at = self.now
        named = tuple((name.replace("_", "-"), value) for name, value in fields.items())
        self.steps.append(
            Step(
                at=at,
                event=event,
                subjects=subjects,
                fields=(*(told or {}).items(), *named),
                put=tuple((subjects[0], name, value) for name, value in (put or {}).items()),
            )
        )
        self.now += self.rng.randint(60, 400)
        return at

    def set(self, leg: str, **values: Value) -> None:
        """Change a leg without an event of its own: the next one that names it shows the new values."""
        self.steps.append(Step(at=self.now, event="", put=tuple((leg, name, value) for name, value in values.items())))

    def wait(self, seconds: float) -> int:
        self.now += round(seconds * MICRO)
        return self.now

    def call_phone(self, caller: str, callee: str, *, device: str, exten: str, name: str) -> None:
        """Dial() rings one telephone of the house, which shows itself to the caller before it answers."""
        self.prepare(caller, callee, device=device, exten=exten, name=name)
        self.say("DialBegin", caller, callee, DialString=exten)
        self.set(caller, connected_number=exten, connected_name=name)
        self.say("NewConnectedLine", caller)

    def prepare(self, caller: str, callee: str, *, device: str, exten: str, name: str) -> None:
        """The leg to a telephone of the house, which knows its own number and name."""
        put: dict[str, Value] = {"device": device, "number": exten, "name": name, "linkedid": Ref(caller, "linkedid")}
        self.say("Newchannel", callee, put=put)
        self.meet(caller, callee)
        self.set(callee, application="AppDial", data="(Outgoing Line)")
        self.say("NewConnectedLine", callee)

    def call_carrier(self, caller: str, callee: str, *, device: str, dialled: str) -> None:
        """Dial() over a trunk: the leg is born in the context of calls *from* there, as `s`, with no number."""
        put: dict[str, Value] = {"device": device, "context": "from-trunk", "linkedid": Ref(caller, "linkedid")}
        self.say("Newchannel", callee, put=put)
        self.meet(caller, callee)
        self.set(callee, number=dialled, application="AppDial", data="(Outgoing Line)")
        self.say("NewCallerid", callee, CID_CallingPres=ALLOWED)
        self.say("NewConnectedLine", callee)
        self.say("DialBegin", caller, callee, DialString=f"{dialled}@{device.removeprefix('PJSIP/')}")
        self.set(caller, connected_number=dialled, connected_name="")
        self.say("NewConnectedLine", caller)

    def meet(self, caller: str, callee: str) -> None:
        """The callee's leg takes the caller's number, name and extension as what it is connected to."""
        self.set(
            callee,
            connected_number=Ref(caller, "number"),
            connected_name=Ref(caller, "name"),
            exten=Ref(caller, "exten"),
        )

    def rings(self, caller: str, callee: str, after: float) -> int:
        """After a moment the telephone rings; returns when."""
        self.wait(after)
        at = self.say("Newstate", callee, put={"state": "5"})
        self.say("DialState", caller, callee, DialStatus="RINGING")
        return at

    def pick_up(self, caller: str, callee: str) -> int:
        """The callee of a Dial() answers, and loses its extension by it; returns when."""
        at = self.say("Newstate", callee, put={"state": "6"})
        self.set(callee, exten="")
        self.say("DialEnd", caller, callee, DialStatus="ANSWER")
        return at

    def bridge(self, name: str, first: str, second: str) -> int:
        """Two legs meet: the called one enters first. Returns the moment they can talk."""
        self.say("BridgeCreate", name)
        self.say("BridgeEnter", name, first)
        return self.say("BridgeEnter", name, second)

    def hang_up(self, leg: str, cause: int) -> int:
        return self.say("Hangup", leg, Cause=str(cause), Cause_txt=CAUSES[cause])


ALLOWED = "0 (Presentation Allowed, Not Screened)"
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
