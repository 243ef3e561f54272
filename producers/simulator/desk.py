"""What a call is written with: who calls on which line, how long things take, which agents are free."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from producers.simulator.roster import Agent, Diary, Line, Staff
from producers.simulator.script import MICRO, Ref, Script
from producers.simulator.truth import Move, Offer, Truth

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
    queued: int = 0
    connected: int | None = None

    def free(self, seconds: float, among: Iterable[Agent] = ()) -> Agent | None:
        """An agent who is free from now for that long, booked for this call."""
        found = self.within(seconds, 0.0, among)
        return found[1] if found else None

    def within(self, seconds: float, patience: float, among: Iterable[Agent] = ()) -> tuple[int, Agent] | None:
        """The first agent of those (of all, when none are named) to be free within `patience`; booked from then on."""
        agents = list(among or self.staff.agents)
        self.rng.shuffle(agents)
        length = round((seconds + SLACK_S) * MICRO)
        found = self.diary.soonest(agents, self.script.now, length, self.script.now + round(patience * MICRO))
        if found is not None:
            self.diary.book(found[1], found[0], found[0] + length, self.number)
        return found

    def until(self, at: int) -> None:
        self.script.now = max(self.script.now, at)

    def offered(self, agent: Agent, result: str, since: int) -> None:
        self.offers.append(Offer(agent=agent.exten, result=result, offered_at=since, ended_at=self.script.now))

    def talk(self, since: int, until: int) -> None:
        """Account for a talk between two moments; the first of them is when the call connected."""
        self.talked += until - since
        if self.connected is None:
            self.connected = since

    def arrive(self, did: str) -> None:
        """The customer's call comes in from the carrier: the only place where the DID is ever named."""
        self.script.say(
            "Newchannel",
            "customer",
            put={
                "device": self.line.device,
                "state": "4",
                "context": "from-trunk",
                "exten": self.line.write(did),
                "number": self.line.write(self.party.e164) if self.party.e164 else "anonymous",
                "name": self.party.name if self.party.e164 else "Anonymous",
            },
        )

    def seen(self, leg: str) -> tuple[Ref, Ref]:
        """The number and name that a called telephone shows for that leg."""
        return Ref(leg, "number"), Ref(leg, "name")

    def hold(self, holder: str, other: str, seconds: float) -> None:
        """The holder's telephone says hold, the other side hears music, and it is taken back."""
        since = self.script.say("Hold", holder, MusicClass="default")
        self.script.say("MusicOnHoldStart", other, Class="default")
        self.script.wait(seconds)
        until = self.script.say("Unhold", holder)
        self.script.say("MusicOnHoldStop", other)
        self.held += until - since

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
            hold_s=self.held / MICRO,
            queue_wait_s=self.queued / MICRO,
            transfers=tuple(self.moves),
            hangup_by=hangup_by,
            **told,
        )
