"""A shift of agents written as a person would tell it, and the states that come of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from schemas import codec
from schemas.events import AgentState, EnrichedCallEvent
from streams.processors.agents import Agents
from streams.runtime import config
from streams.runtime.pipeline import Output
from tests.streams.processors.folding.script import MICRO, START, Message, Script

Told = tuple[str, float, str]


@dataclass(slots=True, kw_only=True)
class Shift(Script):
    """What the queues and telephones tell, beside the calls."""

    def member(  # type: ignore[override]
        self, agent: str, queue: str = "support", *, event: str = "QueueMemberStatus", **data: str
    ) -> None:
        """A queue's word on its member."""
        self.about(agent, queue=queue, data={"event": event, "state": "available", **data})

    def login(self, agent: str, queue: str = "support", **data: str) -> None:
        self.member(agent, queue, event="QueueMemberAdded", paused="0", phone="available", **data)

    def logout(self, agent: str, queue: str = "support") -> None:
        self.member(agent, queue, event="QueueMemberRemoved", state="logged_out")

    def pause(self, agent: str, queue: str = "support", reason: str = "") -> None:
        data = {"state": "paused", "paused": "1", **({"reason": reason} if reason else {})}
        self.member(agent, queue, event="QueueMemberPause", **data)

    def resume(self, agent: str, queue: str = "support") -> None:
        self.member(agent, queue, event="QueueMemberPause", paused="0")

    def device(self, agent: str, state: str) -> None:
        self.about(agent, data={"event": "DeviceStateChange", "state": state, "phone": state})

    def about(self, agent: str, *, data: dict[str, str], **fields: Any) -> None:
        known = {"interface": f"PJSIP/{agent}", "member": f"Agent {agent}"}
        self.say("agent.state", agent=agent, data={**known, **data}, **fields)

    def shown(self, agent: str, session: str, queue: str = "", **data: str) -> None:
        """A row of a snapshot; its time does not move on."""
        self.now -= 1000
        self.about(agent, queue=queue, synthetic=True, data={"event": "QueueMember", "session": session, **data})

    def queue_call(self, agent: str, *, ring_s: float = 3, talk_s: float = 30, queue: str = "support") -> None:
        """A caller waits and this member takes the call; both hang up."""
        self.arrive("C")
        self.up("C")
        self.queue("C", queue)
        self.dial("C", "A", agent=agent)
        self.say("agent.offered", "C", "A", queue=queue, agent=agent)
        self.ring("A")
        self.wait(ring_s)
        self.answer("A", "C")
        self.leave("C", queue)
        self.say("agent.connected", "C", "A", queue=queue, agent=agent)
        self.bridge("b1", "A", "C")
        self.wait(talk_s)
        self.say("agent.completed", "C", "A", queue=queue, agent=agent)
        self.hang_up("C", "A", "b1")


def task(**rules: Any) -> Agents:
    return Agents(config.Agents(**rules))


def feed(worker: Agents, events: Iterable[EnrichedCallEvent], first: int = 0) -> list[AgentState]:
    """Hand the events over one by one, at the time they tell."""
    said: list[AgentState] = []
    for offset, event in enumerate(events, first):
        out = worker.process([Message(codec.encode(event), offset)], event.received_at)
        said += states(each for each in out if isinstance(each, Output))
    return said


def states(answers: Iterable[Output]) -> list[AgentState]:
    return [codec.decode(AgentState, each.value or b"") for each in answers]


def told(said: Sequence[AgentState], agent: str = "201") -> list[Told]:
    """(state, second, reason) of an agent, each state once, at its highest revision."""
    last = {one.number: one for one in said if one.agent_id == agent}
    return [(one.state, round((one.since - START) / MICRO, 1), one.reason) for one in last.values()]


def whole(said: Sequence[AgentState]) -> None:
    """Every agent's states follow each other without hole or overlap, and no two neighbours are the same."""
    for agent in {one.agent_id for one in said}:
        mine = list({one.number: one for one in said if one.agent_id == agent}.values())
        assert [one.number for one in mine] == list(range(1, len(mine) + 1))
        assert mine[0].previous == ""
        for before, after in pairwise(mine):
            assert (after.previous, after.previous_since) == (before.state, before.since)
            assert after.previous_s == (after.since - before.since) / MICRO >= 0
            assert (after.state, after.reason) != (before.state, before.reason)
        revisions = [(one.number, one.rev) for one in said if one.agent_id == agent]
        assert revisions == sorted(set(revisions))
