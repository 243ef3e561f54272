"""One agent: what is known of queues, telephones and channels, and what was said of it.

Everything that the state follows from is in the last record that was said, so whoever has that record can go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.events import AgentLeg, AgentState, Membership, Phone
from streams.processors.presence.guesses import Guess, begun
from streams.processors.presence.states import Facts, judge

MICRO = 1_000_000
REMEMBERED = 256
"""Most facts of an agent whose youngest word is remembered."""
Row = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Person:
    """An agent of one PBX. Values are replaced, never changed, and only when they differ: `at` is when they came."""

    tenant: str
    pbx: str
    id: str
    name: str = ""
    interface: str = ""
    memberships: dict[str, Membership] = field(default_factory=dict)
    phones: dict[str, Phone] = field(default_factory=dict)
    legs: dict[str, AgentLeg] = field(default_factory=dict)
    wrapup: tuple[int, int] | None = None
    """From and until, µs: granted when a queue's call was completed."""
    said: AgentState | None = None
    heard: dict[tuple[str, str], int] = field(default_factory=dict)
    """When each fact was told last, also when that changed nothing: against stragglers, so only in memory."""
    guesses: dict[tuple[str, str], Guess] = field(default_factory=dict)
    """Facts that a snapshot showed."""
    moved: tuple[int, int] | None = None
    """A guess that a live event dated just now: from when to when."""

    def last(self, what: str, which: str, at: int = 0) -> int:
        """When the youngest word on that very fact was told."""
        return max(at, self.heard.get((what, which), 0))

    def late(self, what: str, which: str, ts: int, at: int = 0) -> bool:
        """Whether a younger word on that very fact was taken before, at `at` or since; else this is the youngest."""
        if ts < self.last(what, which, at):
            return True
        if len(self.heard) >= REMEMBERED:
            self.heard.clear()
        self.heard[what, which] = ts
        return False

    def changed(self, what: str, which: str, ts: int, before: int, *, shown: bool) -> None:
        """A fact is another since `ts`: an event tells so, or a snapshot shows so and it may be so since `before`."""
        self.guesses.pop((what, which), None)
        if shown:
            self.guesses[what, which] = Guess(before, ts)
            self.heard[what, which] = ts

    def dated(self, what: str, which: str, ts: int, at: int, *, same: bool) -> int:
        """Since when a fact is as it is, now that a straggler tells the same, or something else, of an earlier moment."""
        guess = self.guesses.get((what, which))
        if guess is None or not guess.after < ts < guess.shown or (at < guess.shown and (same or ts < at)):
            return at
        if not same:  # what had dated it was not the last word before the snapshot
            self.guesses[what, which] = guess._replace(after=ts)
        now = ts if same else guess.shown
        if now != at:
            self.moved = at, now
        return now

    @property
    def key(self) -> bytes:
        return f"{self.tenant}/{self.pbx}/{self.id}".encode()

    def revise(self, ts: int, received_at: int, *, estimated: bool = False, precision: str = "us") -> AgentState | None:
        """The record that is due at that moment of the PBX's clock; None when all was said before."""
        said = self.said
        if said is None and not (self.memberships or self.phones or self.legs):
            return None
        since = ts if said is None else max(ts, said.since)
        state, reason, leg = judge(self._facts(), since)
        moved, self.moved = self.moved, None
        if said is not None and state == said.state and (reason == said.reason or moved):
            found = self._amended(said, reason, leg)
            if moved is not None and moved[0] == said.since:
                found = self._begun(found, moved[1], precision)
            if found is said:
                return None
            self.said = replace(found, received_at=received_at)
        else:
            times = {"since": since, "received_at": received_at, "precision": precision}
            self.said = self._next(state, reason, leg, times | {"estimated": estimated or state == "wrapup"})
        return self.said

    def resume(self, said: AgentState) -> None:
        """Take up what was said last."""
        self.said, self.name, self.interface = said, said.name, said.interface
        self.memberships = {each.queue: each for each in said.memberships}
        self.phones = {each.interface: each for each in said.phones}
        self.legs = {each.leg_id: each for each in said.legs}
        if said.estimated:
            facts = [*((("queue", each.queue), each.at) for each in said.memberships)]
            facts += [(("phone", each.interface), each.at) for each in said.phones]
            before = said.previous_since or 0
            self.guesses = {which: Guess(before - 1, at) for which, at in facts if before < at <= said.since}
        if said.wrapup_from is not None and said.wrapup_until is not None:
            self.wrapup = said.wrapup_from, said.wrapup_until

    def _facts(self) -> Facts:
        return Facts(self.memberships.values(), self.phones.values(), self.legs.values(), self.wrapup)

    def _next(self, state: str, reason: str, leg: AgentLeg | None, times: dict[str, Any]) -> AgentState:
        """The next state. What follows a wrap-up ends it for good, and one whose time has passed is none."""
        said, since = self.said, times["since"]
        if self.wrapup is not None and ((said is not None and said.state == "wrapup") or self.wrapup[1] <= since):
            self.wrapup = None
        number = 1
        if said is not None:
            number = said.number + 1
            seconds = (since - said.since) / MICRO
            times = times | {"previous": said.state, "previous_since": said.since, "previous_s": seconds}
        queue = said.queue if said is not None and state == "wrapup" else ""
        return AgentState(
            tenant=self.tenant,
            pbx=self.pbx,
            agent_id=self.id,
            state=state,
            reason=reason,
            queue=leg.queue if leg else queue,
            call_id=leg.call_id if leg else "",
            state_id=f"{self.pbx}:{self.id}:{number}",
            number=number,
            **times,
            **self._known(),
        )

    def _begun(self, said: AgentState, moved: int, precision: str) -> AgentState:
        """The same state since when it truly began, which is never before the state before it did."""
        since, before = begun(said, self._facts(), moved), said.previous_since
        if since == said.since or (before is not None and since < before):
            return said
        return replace(
            said,
            since=since,
            estimated=said.state == "wrapup" or any(guess.shown == since for guess in self.guesses.values()),
            precision=precision,
            previous_s=None if before is None else (since - before) / MICRO,
        )

    def _amended(self, said: AgentState, reason: str, leg: AgentLeg | None) -> AgentState:
        """The same state with what is known of it now; `said` itself when that is nothing new."""
        known = {"reason": reason, **self._known()}
        if leg is not None:
            known |= {"queue": leg.queue or said.queue, "call_id": leg.call_id or said.call_id}
        if all(getattr(said, name) == value for name, value in known.items()):
            return said
        return replace(said, **known, rev=said.rev + 1)

    def _known(self) -> dict[str, Any]:
        memberships = tuple(self.memberships[queue] for queue in sorted(self.memberships))
        return {
            "name": self.name,
            "interface": self.interface,
            "queues": tuple(each.queue for each in memberships if each.active and each.queue),
            "memberships": memberships,
            "phones": tuple(self.phones[each] for each in sorted(self.phones)),
            "legs": tuple(self.legs[each] for each in sorted(self.legs)),
            "wrapup_from": self.wrapup[0] if self.wrapup else None,
            "wrapup_until": self.wrapup[1] if self.wrapup else None,
        }
