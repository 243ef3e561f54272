"""What a client wants to hear: `Action: Filter` (session filters of main/manager.c, legacy form)."""

import re
from dataclasses import dataclass, field

from producers.simulator.frames import Frame

_NAMES = re.compile(r"\^Event: [A-Za-z_|()]+(\[\^A-Za-z\])?\$?")
"""Expressions that look at nothing but the event's name: they are asked once for each name."""


@dataclass(slots=True)
class Filters:
    """Regular expressions over the whole message; includes are applied first, then excludes (with a leading `!`)."""

    include: list[re.Pattern[str]] = field(default_factory=list)
    exclude: list[re.Pattern[str]] = field(default_factory=list)
    _by_name: bool = True
    _decided: dict[str, bool] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.include or self.exclude)

    def add(self, text: str) -> bool:
        """Take the expression in; False when it does not compile."""
        plain = text.removeprefix("!")
        try:
            pattern = re.compile(plain)
        except re.error:
            return False
        (self.exclude if text.startswith("!") else self.include).append(pattern)
        self._by_name = self._by_name and _NAMES.fullmatch(plain) is not None
        self._decided.clear()
        return True

    def passes(self, frame: Frame) -> bool:
        if not self._by_name:
            return self._ask(frame.wire.decode())
        known = self._decided.get(frame.event)
        if known is None:
            known = self._decided[frame.event] = self._ask(f"Event: {frame.event}\r\n")
        return known

    def _ask(self, text: str) -> bool:
        if self.include and not any(each.search(text) for each in self.include):
            return False
        return not any(each.search(text) for each in self.exclude)
