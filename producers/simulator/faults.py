"""What can go wrong between the PBX and its clients: frames that are lost, come twice or come late.

A PBX loses what a full buffer cannot take; what comes twice or late comes from a second reader, a reconnect, or another
of the PBX's threads. Only events suffer so: the answer to an action is its client's own.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from producers.simulator.frames import Frame
from producers.simulator.script import MICRO

AT_ONCE = 0.5
"""The part of second copies that follow the first; the others are as late as any late frame."""


@dataclass(slots=True, kw_only=True)
class Loss:
    """The chance that a frame never leaves the PBX: decided as the calls are played, so that their truth can tell."""

    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - play, not secrecy
    chance: float = 0.0
    count: int = 0

    def takes(self) -> bool:
        """Whether the next frame is lost; asked once for each."""
        lost = self.chance > 0 and self.rng.random() < self.chance
        self.count += lost
        return lost


@dataclass(slots=True, kw_only=True)
class Faults:
    """Chances per frame; a late one is held back by up to `reorder_max` seconds. Times are µs since the opening."""

    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - play, not secrecy
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_max: float = 2.0
    doubled: int = 0
    delayed: int = 0
    _held: list[tuple[int, int, Frame]] = field(default_factory=list)
    _count: int = 0

    @property
    def pending(self) -> bool:
        return bool(self._held)

    @property
    def due(self) -> int | None:
        return self._held[0][0] if self._held else None

    def pass_on(self, frames: Sequence[Frame], now: int) -> Sequence[Frame]:
        """What the clients get now: these frames with their mishaps, and held ones whose time has come."""
        if not (self.duplicate or self.reorder):
            return frames
        told: list[Frame] = []
        while self._held and self._held[0][0] <= now:
            told.append(heapq.heappop(self._held)[2])
        for frame in frames:
            if self.rng.random() < self.reorder:
                self.delayed += 1
                self._hold(frame, now)
            else:
                told.append(frame)
            if self.rng.random() < self.duplicate:
                self.doubled += 1
                if self.rng.random() < AT_ONCE:
                    told.append(frame)
                else:
                    self._hold(frame, now)
        return told

    def _hold(self, frame: Frame, now: int) -> None:
        self._count += 1
        late = now + round(self.rng.uniform(0, self.reorder_max) * MICRO)
        heapq.heappush(self._held, (late, self._count, frame))
