"""The one place that reads the machine's clock: everybody else is given a Clock."""

import asyncio
import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Time and sleep, handed to whoever needs them."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""
        ...

    def sleep(self, seconds: float, until: threading.Event | None = None) -> bool:
        """Wait; ends early when `until` is set, and tells whether it was."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, until: threading.Event | None = None) -> bool:
        if until is not None:
            return until.wait(seconds)
        time.sleep(seconds)
        return False

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to (or when somebody sleeps on it)."""

    def __init__(self, start: int = 1_700_000_000_000_000) -> None:
        self._start = self._now = start

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1_000_000)

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start) / 1_000_000

    def sleep(self, seconds: float, until: threading.Event | None = None) -> bool:
        self.advance(seconds)
        return until is not None and until.is_set()

    async def pause(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)
