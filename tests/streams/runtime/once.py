"""A small stage for the tests of the worker's loop."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streams.runtime.errors import Reject
from streams.runtime.pipeline import Message, Output, Refused


@dataclass
class Once:
    """Answers each value the first time; refuses what begins with "bad", breaks on "poison", holds "open" until "close"."""

    seen: set[bytes] = field(default_factory=set)
    opened: dict[bytes, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def recall(self, value: bytes) -> None:
        self.told.append(f"recall {value.decode()}")
        self.seen.add(value)

    def replay(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.told.append(f"replay {(message.value() or b'').decode()}")
            self._hold(message)

    def process(self, messages: Sequence[Message], now: int) -> Iterable[Output | Refused]:
        for message in messages:
            value = message.value() or b""
            self._hold(message)
            if value.startswith(b"bad"):
                yield Refused(message=message, reason="bad", stage="once")
            elif value not in self.seen:
                self.seen.add(value)
                yield Output(key=b"", value=value)

    def tick(self, now: int) -> Iterable[Output]:
        return ()

    def low_water(self) -> int | None:
        return min(self.opened.values(), default=None)

    def _hold(self, message: Message) -> None:
        value = message.value() or b""
        if value == b"poison":
            raise Reject("no stage can digest it")
        if value == b"open":
            self.opened[value] = message.offset()
        elif value == b"close":
            self.opened.pop(b"open", None)
