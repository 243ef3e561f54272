"""Child processes of one set-up: started in order, restarted when they die, stopped in the opposite order."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from streams.embedded.process import Child
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal

_LOOK = 0.2
_STEADY = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One child: its name in logs and `status`, and the process."""

    name: str
    child: Child


class Supervisor:
    """Keeps every role running until `stop`. A role that dies again soon waits longer each time, up to `longest_wait` s.

    One thread calls it, and must live as long as the children: they end with the thread that started them.
    """

    def __init__(self, clock: Clock, *, longest_wait: float = 30.0) -> None:
        self._clock = clock
        self._longest_wait = longest_wait
        self._roles: list[Role] = []
        self._born: dict[str, float] = {}
        self._wait: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self.restarts: Counter[str] = Counter()

    def start(self, roles: Iterable[Role]) -> None:
        """Start roles in order, each when the one before it answers; Fatal tells which did not."""
        for role in roles:
            self._roles.append(role)
            self._launch(role)

    def pid(self, name: str) -> int | None:
        return next(role.child.pid for role in self._roles if role.name == name)

    def names(self) -> list[str]:
        return [role.name for role in self._roles]

    def watch(self, until: threading.Event) -> None:
        """Restart what dies, until the event is set."""
        while not self._clock.sleep(_LOOK, until):
            self.tend()

    def tend(self) -> None:
        """Look once at every role, and start again what died when its time has come."""
        for role in self._roles:
            if role.child.pid is None:
                self._revive(role)

    def stop(self) -> None:
        for role in reversed(self._roles):
            role.child.stop()

    def _launch(self, role: Role) -> None:
        self._born.pop(role.name, None)
        role.child.start()
        self._born[role.name] = self._clock.monotonic()

    def _revive(self, role: Role) -> None:
        now = self._clock.monotonic()
        if role.name not in self._due:
            lived = now - self._born.get(role.name, now)
            before = 0.0 if lived > _STEADY else self._wait.get(role.name, 0.0)
            self._wait[role.name] = wait = min(self._longest_wait, before * 2 or _LOOK)
            self._due[role.name] = now + wait
            structlog.get_logger().warning("role died; it is started again", role=role.name, after_s=wait)
        if now < self._due[role.name]:
            return
        del self._due[role.name]
        self.restarts[role.name] += 1
        try:
            self._launch(role)
        except Fatal as e:
            structlog.get_logger().error("role does not start", role=role.name, reason=str(e))
