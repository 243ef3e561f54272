"""Calls written as a person would tell them: who arrives, who rings, who talks. Gives the events an adapter would."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from streams.runtime.pipeline import Output

MICRO = 1_000_000
START = 1_700_000_000 * MICRO
CUSTOMER = "+32470123401"
DID = "+3225550101"


@dataclass(frozen=True, slots=True)
class Message:
    """An input record as the pipeline hands it over."""

    _value: bytes | None
    _offset: int = 0

    def value(self) -> bytes | None:
        return self._value

    def key(self) -> bytes | None:
        return b"t/main"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return (1, 0)


@dataclass(slots=True, kw_only=True)
class Script:
    """Writes the events of one PBX. Legs are named by the test; `now` moves by `wait` and by 1 ms an event."""

    now: int = START
    events: list[EnrichedCallEvent] = field(default_factory=list)
    legs: dict[str, dict[str, str]] = field(default_factory=dict)
    sequence: int = 0

    # Legs

    def leg(self, name: str, channel: str, call: str = "", **known: str) -> str:
        """A channel that the PBX has made; `call` names the leg whose linkedid it takes. Returns its id."""
        leg_id = f"main:{self.now // MICRO}.{self.sequence}"
        self.sequence += 1
        linked = self.legs[call]["call_id"] if call else leg_id
        self.legs[name] = {"leg_id": leg_id, "call_id": linked, "channel": f"{channel}-{self.sequence:08x}", **known}
        return leg_id

    def arrive(self, name: str = "C", *, number: str = CUSTOMER, did: str = DID, **known: str) -> None:
        """A call comes in from the carrier."""
        hidden = {"hidden": "1"} if not number else {}
        raw = number or "anonymous"
        self.leg(name, "PJSIP/trunk", customer_number=number, caller_raw=raw, caller_e164=number, **known)
        dialled = {"callee_raw": did, "callee_e164": did, "did": did, "direction": "inbound"}
        self.say("leg.created", name, data={"context": "from-trunk", "exten": did, "state": "4", **hidden}, **dialled)

    def lift(self, name: str, agent: str, *, dials: str, **known: str) -> None:
        """An agent dials: another extension, or a number outside."""
        outside = dials if dials.startswith("+") else ""
        self.leg(name, f"PJSIP/{agent}", agent=agent, caller_raw=agent, customer_number=outside, **known)
        way = "outbound" if outside else "internal"
        data = {"context": "internal", "exten": dials, "state": "4"}
        self.say("leg.created", name, data=data, callee_raw=dials, callee_e164=outside, direction=way)

    def dial(self, caller: str, name: str, *, agent: str = "", outside: str = "", channel: str = "") -> None:
        """A Dial from the caller's leg makes the called one."""
        known = {"caller_raw": outside, "caller_e164": outside, "customer_number": outside}
        if not outside:
            customer = self.legs[caller].get("customer_number", "")
            known = {"agent": agent, "caller_raw": agent, "customer_number": customer, "callee_raw": customer}
        self.leg(name, channel or f"PJSIP/{agent or 'trunk'}", caller, **known)
        context = "from-trunk" if outside else "internal"
        self.say("leg.created", name, data={"context": context, "exten": "s", "state": "0"})
        self.say("dial.started", caller, name, data={"dial_string": outside or agent})

    def ring(self, name: str) -> None:
        self.say("leg.ringing", name)

    def answer(self, name: str, caller: str = "") -> None:
        """The telephone is picked up; the Dial of `caller` has its answer."""
        self.say("leg.answered", name)
        if caller:
            self.say("dial.ended", caller, name, data={"status": "ANSWER"})

    def up(self, name: str) -> None:
        self.say("leg.answered", name)

    def bridge(self, bridge: str, *names: str, kind: str = "basic", technology: str = "simple_bridge") -> None:
        for name in names:
            data = {"bridge": bridge, "bridge_type": kind, "technology": technology}
            self.say("bridge.joined", name, data=data)

    def part(self, bridge: str, *names: str) -> None:
        for name in names:
            self.say("bridge.left", name, data={"bridge": bridge, "bridge_type": "basic"})

    def asks_to_hang_up(self, name: str) -> None:
        self.say("leg.updated", name, data={"hangup": "requested"})

    def end(self, name: str, cause: int = 16) -> None:
        self.say("leg.ended", name, cause=cause)

    def unanswered(self, caller: str, name: str, status: str, cause: int) -> None:
        """A Dial that came to nothing."""
        self.say("dial.ended", caller, name, data={"status": status})
        self.end(name, cause)

    def hang_up(self, by: str, other: str, bridge: str) -> None:
        """One of two who talk hangs up, and both legs end."""
        self.asks_to_hang_up(by)
        self.part(bridge, by, other)
        self.end(other)
        self.end(by)

    def hold(self, name: str, seconds: float) -> None:
        self.say("hold.started", name)
        self.wait(seconds)
        self.say("hold.ended", name)

    # Queues

    def queue(self, name: str, queue: str, position: int = 1) -> None:
        self.say("queue.entered", name, queue=queue, data={"position": str(position)})

    def leave(self, name: str, queue: str, reason: str = "") -> None:
        """A Leave, after an Abandon when the reason says so."""
        if reason:
            self.say("queue.left", name, queue=queue, data={"reason": reason})
        self.say("queue.left", name, queue=queue)

    def offer(self, caller: str, name: str, *, queue: str, agent: str) -> None:
        """The queue rings a member."""
        self.dial(caller, name, agent=agent)
        self.member("agent.offered", caller, name, queue=queue, agent=agent)
        self.ring(name)

    def member(self, kind: str, caller: str, name: str, *, queue: str, agent: str, by: str = "") -> None:
        self.say(kind, caller, name, queue=queue, agent=agent, by=by, data={"interface": f"PJSIP/{agent}"})

    def take(self, caller: str, name: str, *, queue: str, agent: str, bridge: str = "b1") -> None:
        """The member answers and talks with the caller."""
        self.answer(name, caller)
        self.leave(caller, queue)
        self.member("agent.connected", caller, name, queue=queue, agent=agent)
        self.bridge(bridge, name, caller)

    # Anything else

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * MICRO)

    def say(self, kind: str, name: str = "", peer: str = "", **fields: object) -> None:
        """One event of a leg, with the leg's own snapshot."""
        self.now += 1000
        facts: dict[str, object] = {"ts": self.now, **self.legs.get(name, {})}
        if peer:
            facts |= {"peer_leg_id": self.legs[peer]["leg_id"], "peer_call_id": self.legs[peer]["call_id"]}
        facts |= fields
        seq = len(self.events) + 1
        self.events.append(
            EnrichedCallEvent(
                event_id=blake2b(b"%d" % seq, digest_size=16).digest(),
                tenant="t",
                pbx="main",
                merge_key="t/main",
                type=kind,
                received_at=self.now + 2000,
                seq=seq,
                **facts,  # type: ignore[arg-type]
            )
        )

    def known_as(self, **tail: object) -> None:
        """Enrichment knew the customer from the first event on."""
        self.events = [
            replace(event, **tail) if event.customer_number else event  # type: ignore[arg-type]
            for event in self.events
        ]


def fold(events: Sequence[EnrichedCallEvent], **rules: float) -> list[Call]:
    """Every revision of every call, with the clock going as the events do; the grace has passed at the end."""
    task = Fold(config.Fold(**rules), 0)  # type: ignore[arg-type]
    said = feed(task, events)
    last = max((event.ts for event in events), default=START)
    return [*said, *tick(task, last + 60 * MICRO)]


def feed(task: Fold, events: Iterable[EnrichedCallEvent], offset: int = 0) -> list[Call]:
    """Hand the events over one by one, at the time they tell."""
    said = []
    for number, event in enumerate(events, offset):
        out = task.process([Message(codec.encode(event), number)], event.received_at)
        said += [codec.decode(Call, each.value or b"") for each in out if isinstance(each, Output)]
    return said


def tick(task: Fold, now: int) -> list[Call]:
    return [codec.decode(Call, each.value or b"") for each in task.tick(now)]


def finals(revisions: Iterable[Call]) -> dict[str, Call]:
    """The last revision of each call, by id."""
    return {call.call_id: call for call in revisions}


def only(revisions: Sequence[Call]) -> Call:
    """The last revision of the one call there is, which must be final and its revisions without a hole."""
    assert {call.call_id for call in revisions} == {revisions[0].call_id}
    assert [call.rev for call in revisions] == list(range(1, len(revisions) + 1))
    assert revisions[-1].state == "final"
    return revisions[-1]


def at(call_time: int | None) -> float | None:
    """A moment as seconds after the script's start, to the tenth."""
    return None if call_time is None else round((call_time - START) / MICRO, 1)
