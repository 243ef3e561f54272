"""The call centre's day, decided call by call from one seed: which calls come when, and every step of each."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from producers.simulator import inbound, outbound, queued, transfers
from producers.simulator.desk import Desk, Pace, Party
from producers.simulator.directory import Customer, holders, stranger
from producers.simulator.roster import Agent, Diary, Staff
from producers.simulator.script import MICRO, Script, Step
from producers.simulator.truth import Truth

KINDS: Mapping[str, tuple[Callable[[Desk], Truth | None], float]] = {
    "direct_answered": (inbound.answered, 14),
    "hold": (inbound.held, 5),
    "busy": (inbound.refused, 5),
    "missed": (inbound.missed, 8),
    "voicemail": (inbound.voicemail, 5),
    "queue_answered": (queued.answered, 20),
    "queue_second_agent": (queued.second, 6),
    "queue_hold": (queued.held, 4),
    "queue_abandoned": (queued.abandoned, 6),
    "queue_timeout": (queued.timed_out, 3),
    "outbound": (outbound.called, 12),
    "internal": (outbound.internal, 4),
    "blind_transfer": (transfers.blind, 3),
    "attended_transfer": (transfers.attended, 3),
    "feature_transfer": (transfers.feature, 2),
    "ring_group": (inbound.group, 3),
}
"""What can happen and how often, in parts of the whole."""

FORGET_EVERY = 64
"""Calls after which the agents' diaries are cleared of the past."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call's steps in the order of their time, and the truth about it."""

    number: int
    steps: tuple[Step, ...]
    truth: Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    seed: int = 1
    rate: float = 1.0
    """Calls that arrive a second, on average."""
    speed: float = 1.0
    """Everything but the arrivals goes that many times faster."""
    talk_mean: float = 60.0
    mix: Mapping[str, float] = field(default_factory=lambda: {kind: part for kind, (_, part) in KINDS.items()})
    """Parts of the whole by kind; a kind that is not named does not happen."""


class Centre:
    """Writes calls one after the other, in the order of their arrival; the same seed writes the same ones.

    Each call has a chance of its own, so one that was added or cut short from outside changes no later draw, only
    who is free.
    """

    def __init__(self, settings: Settings, staff: Staff, customers: Sequence[Customer]) -> None:
        if min(settings.rate, settings.speed, settings.talk_mean) <= 0:
            raise ValueError("rate, speed and the mean talk are all more than 0")
        unknown = set(settings.mix) - set(KINDS)
        if unknown:
            raise ValueError(f"no such kind of call: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
        self.staff = staff
        self.diary = Diary()
        self._settings = settings
        self._holders = holders(customers)
        self._numbers = tuple(self._holders)
        self._arrivals = random.Random(f"arrivals {settings.seed}")  # noqa: S311 - play, not secrecy
        self._arrival = 0
        self._count = 0

    def calls(self) -> Iterator[Call]:
        """The calls for ever; each is written when it is asked for."""
        while True:
            self._arrival += round(self._arrivals.expovariate(self._settings.rate) * MICRO)
            yield self.call(self._arrival)

    def resume(self, at: int) -> None:
        """No call arrives before that moment."""
        self._arrival = max(self._arrival, at)

    def call(self, at: int) -> Call:
        """One call that arrives at that moment."""
        number = self._next()
        rng = self.chance(number)
        kinds = list(self._settings.mix)
        kind = rng.choices(kinds, [self._settings.mix[each] for each in kinds])[0]
        desk = self._desk(number, rng, at, self._party(rng, kind))
        truth = KINDS[kind][0](desk)
        if truth is None:
            self.diary.release(number, at)
            desk = self._desk(number, rng, at, self._party(rng, "busy"))
            return self._done(desk, inbound.refused(desk))
        return self._done(desk, truth)

    def click(self, at: int, agent: Agent, number: str, **action: str) -> Call:
        """A click-to-call that arrives at that moment: the agent must be free, or ValueError is raised."""
        count = self._next()
        rng = self.chance(count)
        e164 = f"+33{number[1:]}" if number.startswith("0") and number[1:2] != "0" else f"+{number.lstrip('+0')}"
        desk = self._desk(count, rng, at, self._customer(e164, rng))
        if desk.free(20 / self._settings.speed + 5 * self._settings.talk_mean / self._settings.speed, (agent,)) is None:
            raise ValueError(f"agent {agent.exten} is taken")
        return self._done(desk, outbound.click(desk, agent, number=number, **action))

    def _next(self) -> int:
        self._count += 1
        return self._count

    def chance(self, number: int) -> random.Random:
        """The chance of that call alone."""
        return random.Random(f"call {self._settings.seed} {number}")  # noqa: S311 - play, not secrecy

    def _desk(self, number: int, rng: random.Random, at: int, party: Party) -> Desk:
        if number % FORGET_EVERY == 0:
            self.diary.forget(at)
        return Desk(
            number=number,
            script=Script(rng, at),
            rng=rng,
            staff=self.staff,
            diary=self.diary,
            party=party,
            line=rng.choice(self.staff.lines),
            pace=Pace(rng=rng, speed=self._settings.speed, talk_mean=self._settings.talk_mean),
        )

    def _party(self, rng: random.Random, kind: str) -> Party:
        if kind == "internal":
            return Party(e164="", match="internal")
        chance = rng.random()
        if chance < 0.06 and kind != "outbound":  # noqa: PLR2004
            return Party(e164="", match="hidden")
        if chance < 0.22 or not self._numbers:  # noqa: PLR2004
            return Party(e164=stranger(rng))
        return self._customer(rng.choice(self._numbers), rng)

    def _customer(self, e164: str, rng: random.Random) -> Party:
        found = self._holders.get(e164, ())
        ids = tuple(customer.id for customer in found)
        if len(found) == 1:
            return Party(
                e164=e164,
                match="matched",
                customer_id=ids[0],
                candidates=ids,
                name=rng.choice((found[0].name, "")),
            )
        return Party(e164=e164, match="ambiguous" if found else "none", candidates=ids)

    def _done(self, desk: Desk, truth: Truth) -> Call:
        return Call(number=desk.number, steps=tuple(sorted(desk.script.steps, key=lambda step: step.at)), truth=truth)
