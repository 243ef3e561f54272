"""The queues of the simulated PBX: who waits in which place, who is a member and what they did."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from producers.simulator.frames import Leg
from producers.simulator.roster import Agent, Staff

MICRO = 1_000_000
Fields = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Talk:
    """A caller's visit that an agent took."""

    joined: int
    connected: int


@dataclass(slots=True)
class Member:
    agent: Agent
    calls: int = 0
    last: int = 0
    talk: Talk | None = None
    """The visit that this member has taken."""
    present: bool = True
    """Logged in to the queue."""
    paused: bool = False
    reason: str = ""


@dataclass(slots=True)
class Entry:
    """A caller in the queue."""

    leg: Leg
    joined: int
    original: int


@dataclass(slots=True)
class Queue:
    name: str
    members: dict[str, Member]
    entries: list[Entry] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    """Callers on their way to a member: uniqueid to the moment they joined."""
    completed: int = 0
    abandoned: int = 0
    hold_s: int = 0
    talk_s: int = 0


class Queues:
    """All queues. Whole seconds are differences of whole clock seconds, as app_queue.c counts them."""

    def __init__(self, staff: Staff) -> None:
        self.all = {
            name: Queue(name, {agent.device: Member(agent) for agent in staff.members(name)}) for name in staff.queues
        }

    def apply(
        self, at: int, event: str, leg: Leg | None, fields: Sequence[tuple[str, str]]
    ) -> tuple[Fields, frozenset[str]]:
        """Take note of a queue event; its fields with all that the queue knows, and the members (devices) it changed."""
        told = tuple(fields)
        if event not in EVENTS:
            return told, frozenset()
        values = dict(fields)
        queue = self.all[values["Queue"]]
        if event.startswith("QueueCaller"):
            if leg is None:
                raise ValueError(f"{event} is about a caller")
            return told + self._caller(queue, event, leg, at), frozenset()
        member = queue.members[values["Interface"]]
        if event == "AgentConnect" and leg is not None:
            member.talk = Talk(queue.left.pop(leg.uniqueid), at)
            queue.hold_s = at // MICRO - member.talk.joined // MICRO
            return (*told[:3], ("HoldTime", str(queue.hold_s)), *told[3:]), frozenset()
        if event == "AgentComplete" and member.talk is not None:
            talk, member.talk = member.talk, None
            queue.completed, queue.talk_s = queue.completed + 1, at // MICRO - talk.connected // MICRO
            member.calls, member.last = member.calls + 1, at // MICRO
            held = talk.connected // MICRO - talk.joined // MICRO
            spent = (("HoldTime", str(held)), ("TalkTime", str(queue.talk_s)))
            return (*told[:3], *spent, *told[3:]), frozenset({member.agent.device})
        return told, frozenset()

    def _caller(self, queue: Queue, event: str, leg: Leg, at: int) -> Fields:
        if event == "QueueCallerJoin":
            queue.entries.append(Entry(leg, at, len(queue.entries) + 1))
            return (("Position", str(len(queue.entries))), ("Count", str(len(queue.entries))))
        place = next(i for i, entry in enumerate(queue.entries) if entry.leg is leg)
        entry = queue.entries[place]
        if event == "QueueCallerAbandon":
            queue.abandoned += 1
            waited = at // MICRO - entry.joined // MICRO
            return (
                ("Position", str(place + 1)),
                ("OriginalPosition", str(entry.original)),
                ("HoldTime", str(waited)),
            )
        del queue.entries[place]
        queue.left[leg.uniqueid] = entry.joined
        return (("Position", str(place + 1)), ("Count", str(len(queue.entries))))

    def waiting(self, leg: Leg) -> list[str]:
        """The queues that the channel waits in."""
        return [queue.name for queue in self.all.values() if any(entry.leg is leg for entry in queue.entries)]

    def forget(self, leg: Leg) -> None:
        """The channel is gone, whatever queue it was in."""
        for queue in self.all.values():
            queue.entries = [entry for entry in queue.entries if entry.leg is not leg]
            queue.left.pop(leg.uniqueid, None)


EVENTS = frozenset(
    [
        "QueueCallerJoin",
        "QueueCallerLeave",
        "QueueCallerAbandon",
        "AgentCalled",
        "AgentConnect",
        "AgentComplete",
        "AgentRingNoAnswer",
    ]
)
