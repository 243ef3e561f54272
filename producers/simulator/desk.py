"""What a call is written with: who calls on which line, how long things take, which agents are free."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from producers.simulator.roster import Agent, Diary, Line, Staff
from producers.simulator.script import MICRO, Ref, Script, Value
from producers.simulator.truth import Move, Offer, Truth

RECORDED = 0.2
"""The part of plain talks that MixMonitor writes to a file."""
NAMELESS, HALF_NAMED = 1 / 48, 3 / 48
"""How often AgentComplete comes with no ids, or with those of one side only."""
SIDES = {
    ("inbound", "customer"): "caller",
    ("inbound", "target"): "agent",
    ("outbound", "customer"): "callee",
    ("internal", "agent"): "callee",
}
"""What a record calls the one who hung up, where that is not the leg's name."""
SLACK_S = 0.2
"""Booked beside the planned seconds, for the microseconds between the frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The customer's side of a call; `match` is what a directory lookup of the number must say."""

    e164: str
    name: str = ""
    match: str = "none"
    customer_id: str = ""
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds that things take, all divided by `speed`."""

    rng: random.Random
    speed: float = 1.0
    talk_mean: float = 60.0

    def between(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high) / self.speed

    def of(self, seconds: float) -> float:
        return seconds / self.speed

    def talk(self) -> float:
        """At least two seconds and at most five times the mean, before `speed`."""
        return min(max(self.rng.expovariate(1 / self.talk_mean), 2.0), 5 * self.talk_mean) / self.speed

    @property
    def ring_out(self) -> float:
        """How long a telephone rings before the PBX gives up."""
        return 15.0 / self.speed

    @property
    def queue_timeout(self) -> float:
        return 45.0 / self.speed


@dataclass(slots=True, kw_only=True)
class Serving:
    """A call's way to an agent: through a queue, or dialled (`queue` ""). Times are µs since the opening."""

    did: str
    queue: str = ""
    up: int = 0
    joined: int = 0
    dialled: int = 0
    agent: Agent | None = None

    @property
    def application(self) -> str:
        return "Queue" if self.queue else "Dial"

    def data(self, agent: Agent) -> str:
        return f"{self.queue},tT,,,45" if self.queue else f"{agent.device},15"

    def member(self, agent: Agent) -> dict[str, str]:
        """The fields that name a queue's member."""
        return {"Queue": self.queue, "Interface": agent.device, "MemberName": agent.name}


@dataclass(slots=True, kw_only=True)
class Desk:
    """One call in the making; the books of talk, hold and offers become its truth."""

    number: int
    script: Script
    rng: random.Random
    staff: Staff
    diary: Diary
    party: Party
    line: Line
    pace: Pace
    offers: list[Offer] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    talked: int = 0
    held: int = 0
    """µs of hold within the talk."""
    apart: int = 0
    """µs of hold while the customer was in no talk at all."""
    queued: int = 0
    connected: int | None = None
    recording: str = ""
    _talking: int = 0
    _owed: list[dict[str, Value]] = field(default_factory=list)

    def free(self, seconds: float, among: Iterable[Agent] = ()) -> Agent | None:
        """An agent who is free from now for that long, booked for this call."""
        found = self.within(seconds, 0.0, among)
        return found[1] if found else None

    def within(self, seconds: float, patience: float, among: Iterable[Agent] = ()) -> tuple[int, Agent] | None:
        """The first agent of those (of all, when none are named) to be free within `patience`; booked from then on."""
        agents = tuple(among or self.staff.agents)
        first = self.rng.randrange(len(agents))
        agents = agents[first:] + agents[:first]
        length = round((seconds + SLACK_S) * MICRO)
        found = self.diary.soonest(agents, self.script.now, length, self.script.now + round(patience * MICRO))
        if found is not None:
            self.diary.book(found[1], found[0], found[0] + length, self.number)
        return found

    def until(self, at: int) -> None:
        self.script.now = max(self.script.now, at)

    def arrive(self, did: str) -> None:
        """The customer's call comes in from the carrier: the only place where the DID is ever named."""
        put: dict[str, Value] = {"device": self.line.device, "state": "4", "context": "from-trunk"}
        put |= {"exten": self.line.write(did), "number": "anonymous", "name": "Anonymous"}
        if self.party.e164:
            put |= {"number": self.line.write(self.party.e164), "name": self.party.name}
        self.script.say("Newchannel", "customer", put=put)

    def offered(self, agent: Agent, result: str, since: int) -> None:
        self.offers.append(Offer(agent=agent.exten, result=result, offered_at=since, ended_at=self.script.now))

    def begin_talk(self, at: int) -> None:
        """A customer and a person can hear each other from then on; the first time is when the call connected."""
        self._talking = at
        if self.connected is None:
            self.connected = at

    def end_talk(self, at: int) -> None:
        self.talked += at - self._talking

    def converse(self, seconds: float, *, holds: bool = False, caller: str = "customer", callee: str = "agent") -> None:
        """The two are bridged and talk for that long, perhaps with a hold by the called one, perhaps recorded."""
        self.begin_talk(self.script.bridge("b1", callee, caller))
        if self.rng.random() < RECORDED:
            self.recording = f"/var/spool/asterisk/monitor/{self.number:08d}.wav"
            self.script.say("VarSet", caller, Variable="MIXMONITOR_FILENAME", Value=self.recording)
            self.script.say("MixMonitorStart", caller)
        if not holds:
            self.script.wait(seconds)
            return
        self.script.wait(seconds * 0.3)
        since = self.script.say("Hold", callee, MusicClass="default")
        self.script.say("MusicOnHoldStart", caller, Class="default")
        self.script.wait(seconds * 0.3)
        self.held += self.script.say("Unhold", callee) - since
        self.script.say("MusicOnHoldStop", caller)
        self.script.wait(seconds * 0.4)

    def part_from(
        self, *, bridge: str = "b1", caller: str = "customer", callee: str = "agent", serving: Serving | None = None
    ) -> str:
        """One of two bridged legs hangs up, and the call is over; returns who it was."""
        script, by = self.script, self.rng.choice((caller, callee))
        script.say("HangupRequest", by)
        if serving is not None:
            self.complete(serving, "caller" if by == caller else "agent")
        self.end_talk(script.say("BridgeLeave", bridge, by))
        if by == caller:
            script.say("SoftHangupRequest", caller, Cause="16")
        script.say("BridgeLeave", bridge, callee if by == caller else caller)
        script.say("BridgeDestroy", bridge)
        if by != caller:
            script.say("SoftHangupRequest", caller, Cause="16")
        if self.recording:
            script.say("MixMonitorStop", caller)
        for leg in (caller, callee) if by == caller else (callee, caller):
            script.hang_up(leg, 16)
        return by

    def complete(self, serving: Serving, reason: str) -> None:
        """The queue closes its account of a talk. At a race it names only one of the two legs, or none."""
        if serving.agent is None:
            return
        race = self.rng.random()
        legs = ("", "") if race < NAMELESS else ("", "agent") if race < HALF_NAMED else ("customer", "agent")
        told: dict[str, Value] = {**serving.member(serving.agent), "Reason": reason}
        self.script.say("AgentComplete", *legs, told=told)
        serving.agent = None

    def owe(
        self,
        peer: str,
        *,
        started: int,
        answered: int | None,
        ended: int,
        disposition: str = "ANSWERED",
        leg: str = "customer",
        was: Mapping[str, Value] | None = None,
    ) -> None:
        """A call detail record that is written when the whole call is over; `was` keeps what will have changed by then."""
        row = _row(leg, peer, started=started, answered=answered, ended=ended)
        self._owed.append({**row, "disposition": disposition, **(was or {})})

    def record(
        self,
        answered: int | None,
        disposition: str,
        *,
        leg: str = "customer",
        peer: str = "agent",
        started: int | None = None,
        alone: bool = False,
    ) -> None:
        """Write the records that are owed and then this one (`alone`: only when no other was owed)."""
        rows, self._owed = self._owed, []
        if not (alone and rows):
            first = self.script.steps[0].at if started is None else started
            row = _row(leg, peer, started=first, answered=answered, ended=self.script.now)
            rows.append({**row, "disposition": disposition, "userfield": self.recording})
        begun: set[str] = set()
        for row in rows:
            told = {**row, **self._since_birth(row)} if str(row["channel"]) not in begun else row
            begun.add(str(row["channel"]))
            self.script.say("Cdr", told=told)

    def _since_birth(self, row: Mapping[str, Value]) -> dict[str, Value]:
        """A channel's first record begins with the channel: with what came before anybody was dialled."""
        leg = row["channel"].of if isinstance(row["channel"], Ref) else ""
        mine = [step for step in self.script.steps if step.subjects[:1] == (leg,)]
        up = next((step.at for step in mine if (leg, "state", "6") in step.put), None)
        told: dict[str, Value] = {"started": str(mine[0].at)}
        if row["answered"] and up is not None and up < int(str(row["answered"])):
            told["answered"] = str(up)
        return told

    def truth(
        self, kind: str, outcome: str, *, direction: str = "inbound", hangup_by: str = "customer", **told: str
    ) -> Truth:
        """The books of this call closed: what is known to have happened up to now."""
        answered = [offer.agent for offer in self.offers if offer.result == "answered"]
        told = {"answered_by": answered[0], "agent": answered[-1], **told} if answered else told
        return Truth(
            number=self.number,
            kind=kind,
            direction=direction,
            outcome=outcome,
            customer_number=self.party.e164,
            customer_id=self.party.customer_id,
            candidates=self.party.candidates,
            match=self.party.match,
            offers=tuple(self.offers),
            started_at=self.script.steps[0].at,
            answered_at=self.connected,
            ended_at=max(step.at for step in self.script.steps if step.event == "Hangup"),
            talk_s=(self.talked - self.held) / MICRO,
            hold_s=(self.held + self.apart) / MICRO,
            queue_wait_s=self.queued / MICRO,
            transfers=tuple(self.moves),
            hangup_by=SIDES.get((direction, hangup_by), hangup_by),
            recording=self.recording,
            **told,
        )


def _row(leg: str, peer: str, *, started: int, answered: int | None, ended: int) -> dict[str, Value]:
    """What a record knows of its two legs when it is written: after a transfer `dst` is the new target."""
    return {
        "src": Ref(leg, "number"),
        "dst": Ref(leg, "exten"),
        "context": Ref(leg, "context"),
        "caller": Ref(leg, "clid"),
        "channel": Ref(leg, "channel"),
        "peer": Ref(peer, "channel") if peer else "",
        "application": Ref(leg, "application"),
        "data": Ref(leg, "data"),
        "uniqueid": Ref(leg, "uniqueid"),
        "linkedid": Ref(leg, "linkedid"),
        "userfield": "",
        "started": str(started),
        "answered": "" if answered is None else str(answered),
        "ended": str(ended),
    }
