"""What agents do between calls: they pause with a reason, or log out of their queues, and come back."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from producers.simulator.exchange import Exchange
from producers.simulator.frames import Frame
from producers.simulator.plan import Centre
from producers.simulator.roster import Agent
from producers.simulator.script import MICRO

REASONS = ("lunch", "training", "meeting", "")
LOGS_OUT = 0.25
"""The part of the breaks for which an agent leaves all queues."""
SHORTEST_S, LONGEST_S = 5.0, 20.0


@dataclass(order=True, frozen=True, slots=True)
class Moment:
    """A change of an agent at `at` µs since the opening: paused, logged_out, or available again."""

    at: int
    agent: Agent
    state: str
    reason: str = ""


class Breaks:
    """Plays the breaks of all agents; each has one every `every_s` seconds on average, and never during a call.

    `witness` is given a line of truth for each change: agent, state, reason, queues, at (µs UTC).
    """

    def __init__(
        self,
        exchange: Exchange,
        centre: Centre,
        *,
        seed: int,
        every_s: float,
        witness: Callable[[bytes], object],
        speed: float = 1.0,
    ) -> None:
        self._exchange = exchange
        self._diary = centre.diary
        self._speed = speed
        self._every_s = every_s
        self._witness = witness
        self._rng = random.Random(f"breaks {seed}")  # noqa: S311 - play, not secrecy
        self._count = 0
        self._begins: list[tuple[int, Agent]] = []
        self._ends: list[Moment] = []
        if every_s > 0:
            self._begins = sorted((self._later(0), agent) for agent in centre.staff.agents)

    def due(self, *, coming: bool) -> int | None:
        """When the next change is; once no calls are `coming`, nobody goes but everybody comes back."""
        times = [self._ends[0].at] if self._ends else []
        if coming and self._begins:
            times.append(self._begins[0][0])
        return min(times, default=None)

    def advance(self, at: int) -> list[Frame]:
        """Play the change that is due at that moment."""
        if self._ends and self._ends[0].at <= at:
            return self._play(heapq.heappop(self._ends))
        _, agent = heapq.heappop(self._begins)
        length = round(self._rng.uniform(SHORTEST_S, LONGEST_S) / self._speed * MICRO)
        logs_out, reason = self._rng.random() < LOGS_OUT, self._rng.choice(REASONS)
        heapq.heappush(self._begins, (self._later(at + length), agent))
        if not self._diary.free(agent, at, at + length):
            return []
        self._count -= 1
        self._diary.book(agent, at, at + length, self._count)
        heapq.heappush(self._ends, Moment(at + length, agent, "available"))
        return self._play(Moment(at, agent, "logged_out" if logs_out else "paused", "" if logs_out else reason))

    def forget(self) -> None:
        """The PBX died: nobody is told that the breaks are over."""
        self._ends.clear()

    def _play(self, moment: Moment) -> list[Frame]:
        told = {
            "agent": moment.agent.exten,
            "state": moment.state,
            "reason": moment.reason,
            "queues": moment.agent.queues,
            "at": self._exchange.opening + moment.at,
        }
        self._witness(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
        return self._exchange.change(moment.at, moment.agent, moment.state, moment.reason)

    def _later(self, at: int) -> int:
        return at + round(self._rng.expovariate(1 / self._every_s) * MICRO)
