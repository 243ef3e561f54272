"""Which channels are alive: by the events, and by the lists that the PBX gives when asked. A frame can be lost."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from streams.clients.ami import Answer, Client, parse

_ACTIONS = {"channels": "CoreShowChannels", "bridges": "BridgeList", "queues": "QueueStatus"}
_UNIQUEID = re.compile(rb"\r\nUniqueid: ([^\r]+)", re.IGNORECASE)


class Inventory:
    """What the events tell of a session's channels; `heard` is called for each one."""

    def __init__(self) -> None:
        self._alive: set[bytes] = set()
        self._born: set[bytes] = set()
        self._gone: set[bytes] = set()
        self._counting = False

    def heard(self, raw: bytes) -> None:
        if raw.startswith(b"Event: Newchannel\r"):
            if found := _UNIQUEID.search(raw):
                self._alive.add(found[1])
                if self._counting:
                    self._born.add(found[1])
        elif raw.startswith(b"Event: Hangup\r") and (found := _UNIQUEID.search(raw)):
            self._alive.discard(found[1])
            if self._counting:
                self._gone.add(found[1])

    def begin(self) -> None:
        """The PBX is being asked for its list."""
        self._counting = True

    def compare(self, shown: Collection[bytes]) -> tuple[set[bytes], set[bytes]]:
        """Channels of the list whose beginning no event told, and those outside it whose end none told.

        To be called when every event from before the list has come. From now on the list is what is known, with what
        began while it was made.
        """
        listed = set(shown)
        strangers, vanished = listed - self._alive - self._gone, self._alive - listed - self._born
        self._alive = (self._alive - vanished) | strangers
        self._born, self._gone, self._counting = set(), set(), False
        return strangers, vanished


@dataclass(slots=True)
class Lists:
    """What the PBX answers when it is asked who is there."""

    channels: Answer
    bridges: Answer
    queues: Answer

    @property
    def live(self) -> list[bytes]:
        """The ids of all channels."""
        return [uniqueid for uniqueid, _ in _legs(self.channels)]

    @property
    def local(self) -> set[bytes]:
        """Those that the PBX has made for itself: sites often filter their events."""
        return {uniqueid for uniqueid, raw in _legs(self.channels) if b"\r\nChannel: Local/" in raw}

    @property
    def members(self) -> list[bytes]:
        """The row of every member of every queue."""
        return [raw for raw in self.queues.items if raw.startswith(b"Event: QueueMember\r")]

    def rows(self, of: Collection[bytes]) -> Iterator[tuple[bytes, dict[str, str]]]:
        """The row of each of these channels, then of those who wait; with what is known of its bridge."""
        bridges = {fields.get("bridgeuniqueid", ""): fields for fields in map(parse, self.bridges.items)}
        for uniqueid, raw in (*_legs(self.channels), *_legs(self.queues)):
            if uniqueid in of:
                bridge = bridges.get(parse(raw).get("bridgeid", "")) or {}
                names = {"bridge_type": "bridgetype", "technology": "bridgetechnology"}
                yield raw, {name: bridge.get(key, "") for name, key in names.items() if bridge}


def ask(client: Client, done: Callable[[Lists], None]) -> None:
    """Have the three lists made; `done` gets them when all are there."""
    answers: dict[str, Answer] = {}

    def listed(name: str, answer: Answer) -> None:
        answers[name] = answer
        if len(answers) == len(_ACTIONS):
            done(Lists(**answers))

    for name, action in _ACTIONS.items():
        client.ask(action, {}, partial(listed, name), listed=True)


def told(uniqueids: Iterable[bytes]) -> str:
    """As `data.live` has them: native ids, a blank between two (`%20` within one: a caller may name his channel)."""
    return " ".join(each.decode("utf-8", "replace").replace(" ", "%20") for each in uniqueids)


def _legs(answer: Answer) -> Iterator[tuple[bytes, bytes]]:
    """(uniqueid, row) of each channel or waiting caller in a list."""
    for raw in answer.items:
        leg = _UNIQUEID.search(raw)
        if leg is not None and raw.startswith((b"Event: CoreShowChannel\r", b"Event: QueueEntry\r")):
            yield leg[1], raw
