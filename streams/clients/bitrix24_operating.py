"""Bitrix24's second limit: the seconds that each method may take for an application within ten minutes (`limits.md`)."""

from collections.abc import Mapping
from typing import Any

from streams.runtime.clock import Clock
from streams.runtime.errors import Retry

_PAUSE = 60.0
"""`operating` is counted in baskets of a minute."""


class Operating:
    """How much of its ten minutes each method has used, as Bitrix24 told last."""

    def __init__(self, clock: Clock, limit: float) -> None:
        self._clock, self._limit = clock, limit
        self._until: dict[str, float] = {}

    def check(self, method: str) -> None:
        """Raise Retry while the method is to be left alone."""
        if (wait := self._until.get(method, 0.0) - self._clock.monotonic()) > 0:
            raise Retry(f"{method} has used its time", after=wait)

    def note(self, method: str, time: Any) -> None:
        """Take in the `time` of an answer; its clock is Bitrix24's, so only the difference counts."""
        if not isinstance(time, Mapping) or float(time.get("operating") or 0.0) < self._limit:
            return
        reset, now = float(time.get("operating_reset_at") or 0.0), float(time.get("finish") or 0.0)
        self._until[method] = self._clock.monotonic() + (max(1.0, reset - now) if reset else _PAUSE)

    def blocked(self, method: str) -> float:
        """Bitrix24 refused the method: leave it alone until it says more; returns for how many seconds."""
        known = self._until.get(method, 0.0) - self._clock.monotonic()
        wait = known if known > 0 else _PAUSE
        self._until[method] = self._clock.monotonic() + wait
        return wait
