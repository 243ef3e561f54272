"""Plays the calls of a centre on an exchange in the order of time, and keeps the truth about each: no sockets, no clock."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from producers.simulator.breaks import Breaks
from producers.simulator.exchange import Exchange, Run
from producers.simulator.faults import Loss
from producers.simulator.frames import Frame, Leg
from producers.simulator.plan import Call, Centre
from producers.simulator.script import Script, Step
from producers.simulator.truth import Truth, line


@dataclass(order=True, slots=True)
class Active:
    """A call that is being played; ordered by its next step."""

    at: int
    number: int
    call: Call = field(compare=False)
    run: Run = field(compare=False)
    position: int = field(compare=False, default=0)


class Player:
    """Times are µs since the exchange's opening. `witness` is given every truth line as it becomes true.

    What `loss` takes is played, and told in the truth of its call, but is not among the frames.
    """

    def __init__(
        self,
        centre: Centre,
        exchange: Exchange,
        witness: Callable[[bytes], object],
        calls: int | None = None,
        loss: Loss | None = None,
        *,
        breaks: Breaks | None = None,
    ) -> None:
        self.centre = centre
        self.exchange = exchange
        self._loss = loss or Loss()
        self._breaks = breaks
        self.finished = 0
        self._witness = witness
        self._coming: Iterator[Call] = centre.calls()
        self._left = calls
        self._next: Call | None = None
        self._active: list[Active] = []
        self._plan()

    @property
    def due(self) -> int | None:
        """When the next step is; None when every call is over and no more will come."""
        times = [self._active[0].at] if self._active else []
        if self._next is not None:
            times.append(self._next.steps[0].at)
        if self._breaks is not None and (pause := self._breaks.due(coming=bool(times))) is not None:
            times.append(pause)
        return min(times, default=None)

    def advance(self, until: int, most: int = 1 << 62) -> list[Frame]:
        """Play what is due up to that moment, or until there are `most` frames or a few more."""
        frames: list[Frame] = []
        while len(frames) < most:
            due = self.due
            if due is None or due > until:
                break
            busy = bool(self._active) or self._next is not None
            if self._breaks is not None and self._breaks.due(coming=busy) == due:
                frames += self._breaks.advance(due)
                continue
            if self._next is not None and self._next.steps[0].at == due:
                self.add(self._next)
                self._plan()
            frames += self._step(self._active[0])
        return frames

    def _plan(self) -> None:
        """Have the next call written, so that its arrival is known."""
        self._next = None if self._left == 0 else next(self._coming)
        if self._left is not None and self._next is not None:
            self._left -= 1

    def stop(self) -> None:
        """No call comes any more; those that have begun go on."""
        if self._next is not None:
            self.centre.diary.release(self._next.number, 0)
            self._left = None if self._left is None else self._left + 1
        self._next = None

    def add(self, call: Call) -> None:
        """A call that is played from its first step on."""
        heapq.heappush(self._active, Active(call.steps[0].at, call.number, call, Run(call.number)))

    def _step(self, active: Active) -> list[Frame]:
        step = active.call.steps[active.position]
        frames = self._play(active.run, step)
        if active.position == 0:
            self._tell(active.run, active.call.truth, open_=True)
        active.position += 1
        if active.position < len(active.call.steps):
            active.at = active.call.steps[active.position].at
            heapq.heapreplace(self._active, active)
        else:
            heapq.heappop(self._active)
            self._close(active.run, active.call.truth)
        return frames

    def _play(self, run: Run, step: Step) -> list[Frame]:
        told: list[Frame] = []
        for frame in self.exchange.apply(run, step):
            if not self._loss.takes():
                told.append(frame)
            elif frame.event == step.event:  # what a device or a queue's member is doing is no part of the call
                run.lost.append(" ".join((step.event, *step.subjects)))
        return told

    def _close(self, run: Run, truth: Truth, fate: str = "") -> None:
        self.finished += 1
        self._tell(run, truth, open_=False, fate=fate)

    def _tell(self, run: Run, truth: Truth, *, open_: bool, fate: str = "") -> None:
        self._witness(
            line(
                truth,
                opening=self.exchange.opening,
                uniqueid=run.uniqueid,
                linkedids=run.linkedids,
                lost=run.lost,
                open_=open_,
                fate=fate,
            )
        )

    def hang_up(self, channel: str, at: int, cause: int = 16) -> list[Frame] | None:
        """End the call of that channel from outside; None when no such channel is alive."""
        found = [each for each in self._active if any(leg.channel == channel for leg in self._alive(each.run).values())]
        if not found:
            return None
        active = found[0]
        first = next(role for role, leg in self._alive(active.run).items() if leg.channel == channel)
        return self._cut(active, max(at, active.call.steps[active.position - 1].at), first, cause, "hangup")

    def shut_down(self, at: int) -> list[Frame]:
        """`core stop now`: every channel is hung up and says so."""
        frames: list[Frame] = []
        for active in sorted(self._active):
            alive = self._alive(active.run)
            frames += self._cut(active, at, next(iter(alive), ""), 16, "shutdown")
        self.stop()
        return [*frames, self.exchange.wire.event(self.exchange.opening + at, "Shutdown", (), SHUTDOWN)]

    def crash(self, at: int) -> None:
        """The process dies: nobody is told anything, and only the truth knows when the calls ended."""
        for active in self._active:
            self.centre.diary.release(active.number, at)
            self._close(active.run, active.call.truth.cut(at), "crash")
        self._active.clear()
        if self._breaks is not None:
            self._breaks.forget()
        self.stop()

    def boot(self, at: int) -> None:
        """Start again after a crash: an empty exchange whose numbers begin anew, and calls that arrive from now on."""
        self.exchange.boot(at)
        self.centre.resume(at)
        self._plan()

    def _alive(self, run: Run) -> dict[str, Leg]:
        return {role: leg for role, leg in run.legs.items() if leg.uniqueid in self.exchange.legs}

    def _cut(self, active: Active, at: int, first: str, cause: int, fate: str) -> list[Frame]:
        script = Script(self.centre.chance(active.number), at)
        alive = self._alive(active.run)
        if first:
            script.say("HangupRequest", first)
        for role, leg in alive.items():
            for queue in self.exchange.queues.waiting(leg):
                script.say("QueueCallerAbandon", role, Queue=queue)
                script.say("QueueCallerLeave", role, Queue=queue)
        for name, bridge in active.run.bridges.items():
            inside = [role for role, leg in alive.items() if leg.bridge == bridge.uniqueid]
            for role in inside:
                script.say("BridgeLeave", name, role)
            if bridge.uniqueid in self.exchange.bridges:
                script.say("BridgeDestroy", name)
        for role in sorted(alive, key=lambda role: role == first):
            script.hang_up(role, cause)
        self._active.remove(active)
        heapq.heapify(self._active)
        self.centre.diary.release(active.number, at)
        frames = [frame for step in script.steps for frame in self._play(active.run, step)]
        self._close(active.run, active.call.truth.cut(script.now), fate)
        return frames


SHUTDOWN = (("Shutdown", "Cleanly"), ("Restart", "False"))
