"""Who works in the simulated call centre, on which lines, and who is free when."""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

COUNTRY = "FR"
"""The centre's home: national numbers are written as there."""

FIRST_EXTENSION = 1001
NAMES = (
    "Alice Renard",
    "Björn Åkesson",
    "Chloé Petit",
    "Dmitri Orlov",
    "Eva Novák",
    "Farid Haddad",
    "Gül Çetin",
    "Hugo Blanc",
)
QUEUES = ("sales", "support", "billing", "returns", "vip", "night")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    exten: str
    name: str
    queues: tuple[str, ...]

    @property
    def device(self) -> str:
        return f"PJSIP/{self.exten}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A carrier's trunk and how it writes numbers: `+33…`, or national with 0 and 00."""

    device: str
    plus: bool

    def write(self, e164: str) -> str:
        """The number as this carrier sends it and wants it dialled."""
        if self.plus:
            return e164
        return f"0{e164[3:]}" if e164.startswith("+33") else f"00{e164[1:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """The centre as it is built: nothing here changes while calls are played."""

    agents: tuple[Agent, ...]
    queues: tuple[str, ...]
    lines: tuple[Line, ...]
    dids: tuple[tuple[str, str], ...]
    """Service number (E.164) and the queue that answers it."""

    def members(self, queue: str) -> tuple[Agent, ...]:
        return tuple(agent for agent in self.agents if queue in agent.queues)

    def direct(self, agent: Agent) -> str:
        """The agent's own number from outside, E.164."""
        return f"+3319900{2000 + int(agent.exten) - FIRST_EXTENSION:04d}"


def staff(*, agents: int, queues: int, trunks: int, dids: int) -> Staff:
    """A centre of that size; every queue has members, and every second agent sits in two queues."""
    if not 2 <= agents <= 3000 or not 1 <= queues <= min(agents, dids) or trunks < 1 or dids > 1000:  # noqa: PLR2004
        raise ValueError(
            "a centre has 2 to 3000 agents, a trunk, and a member and a number (1000 at most) for every queue"
        )
    names = tuple(QUEUES[i] if i < len(QUEUES) else f"queue{i + 1}" for i in range(queues))
    return Staff(
        agents=tuple(
            Agent(
                exten=str(FIRST_EXTENSION + i),
                name=NAMES[i % len(NAMES)] if i < len(NAMES) else f"{NAMES[i % len(NAMES)]} {i // len(NAMES) + 1}",
                queues=tuple(
                    dict.fromkeys((names[i % queues], names[(i + 1) % queues]) if i % 2 else (names[i % queues],))
                ),
            )
            for i in range(agents)
        ),
        queues=names,
        lines=tuple(Line(device=f"PJSIP/trunk{i + 1}", plus=i % 2 == 0) for i in range(trunks)),
        dids=tuple((f"+3319900{1000 + i:04d}", names[i % queues]) for i in range(dids)),
    )


@dataclass(slots=True)
class Diary:
    """When each agent is taken and by which call: intervals of µs since the opening, never overlapping."""

    taken: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)

    def free(self, agent: Agent, start: int, end: int) -> bool:
        return all(end <= begun or start >= done for begun, done, _ in self.taken.get(agent.exten, ()))

    def book(self, agent: Agent, start: int, end: int, call: int) -> None:
        """Take the agent from `start` to `end`; raises ValueError when another call has them."""
        if not self.free(agent, start, end):
            raise ValueError(f"agent {agent.exten} would be on two calls at once")
        insort(self.taken.setdefault(agent.exten, []), (start, end, call))

    def soonest(self, agents: Iterable[Agent], start: int, length: int, latest: int) -> tuple[int, Agent] | None:
        """The first moment from `start` to `latest` at which one of them is free for `length`; ties: the first named."""
        best: tuple[int, Agent] | None = None
        for agent in agents:
            at = start
            for begun, done, _ in self.taken.get(agent.exten, ()):
                if at < done and at + length > begun:
                    at = done
            if at == start:
                return at, agent
            if at <= latest and (best is None or at < best[0]):
                best = (at, agent)
        return best

    def release(self, call: int, at: int) -> None:
        """The call ended early: its agents are free from `at` on."""
        for exten, slots in self.taken.items():
            self.taken[exten] = [
                (a, min(b, at) if who == call else b, who) for a, b, who in slots if who != call or a < at
            ]

    def forget(self, before: int) -> None:
        """Drop what ended before that moment."""
        for exten, slots in self.taken.items():
            self.taken[exten] = [slot for slot in slots if slot[1] > before]
