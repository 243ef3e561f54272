"""What can go wrong between the PBX and its clients: frames that are lost, come twice or come late."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from producers.simulator.frames import Frame
from producers.simulator.script import MICRO


@dataclass(slots=True, kw_only=True)
class Faults:
    """Chances per frame; a late frame is held back by up to `reorder_max` seconds. Times are µs since the opening."""

    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - play, not secrecy
    lose: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_max: float = 2.0
    lost: int = 0
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
        if not (self.lose or self.duplicate or self.reorder):
            return frames
        told: list[Frame] = []
        while self._held and self._held[0][0] <= now:
            told.append(heapq.heappop(self._held)[2])
        for frame in frames:
            if self.rng.random() < self.lose:
                self.lost += 1
            elif self.rng.random() < self.reorder:
                self._count += 1
                late = now + round(self.rng.uniform(0, self.reorder_max) * MICRO)
                heapq.heappush(self._held, (late, self._count, frame))
            else:
                told.append(frame)
                if self.rng.random() < self.duplicate:
                    told.append(frame)
        return told
