"""A simulated PBX, the adapters that read it and what they publish, in a time of its own: no sockets, no broker."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from producers.adapter import Context, Frame, Notice, Reading, event_id
from producers.numbers import NumberPlan
from producers.pbx import asterisk_ami
from producers.pbx._asterisk.session import Session
from producers.simulator.answers import QUESTIONS
from producers.simulator.message import Message as Action
from producers.simulator.message import split
from schemas import codec
from schemas.events import Call, CallEvent, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Reject
from streams.runtime.pipeline import Output
from tests.producers.simulator.centre import Played, build
from tests.streams.processors.folding.script import MICRO, Message

STEP_US = 50_000
TICK_US = 200_000
SAVE_US = MICRO
"""An adapter writes its position down that often."""
SITE = asterisk_ami.Config(host="pbx", username="trunkline", secret=SecretStr("-"), md5=False)
CONTEXT = Context(
    tenant="t",
    pbx="main",
    numbers=NumberPlan(country="FR", extensions=r"[1-9]\d{3}", trunk_contexts=("from-trunk",)),
    config=SITE,
)


@dataclass(slots=True, eq=False)
class Reader:
    """One adapter: what it reads is on the topic `lag` µs later, and what is not there yet when it is killed never will be."""

    name: str
    pbx: "House"
    lag: int = 20_000
    session: Session | None = None
    position: Mapping[str, Any] = field(default_factory=dict)
    saved_at: int = 0
    losing: Callable[[bytes], bool] = lambda _: False
    """Frames that never reach it."""

    def connect(self) -> None:
        reading = Reading(
            pbx="main",
            clock=self.pbx.clock,
            chance=random.Random(f"{self.name} {self.pbx.clock.now()}"),
            stop=threading.Event(),
            position=self.position,
        )
        self.session = Session(SITE, reading)
        self.receive(b"Asterisk Call Manager/5.0.4\r\n")

    def receive(self, data: bytes) -> None:
        """Read, publish, answer; the PBX's answers come at once."""
        while self.session is not None:
            self.publish(self.session.receive(data))
            now = self.pbx.clock.now()
            if now - self.saved_at >= SAVE_US:
                self.position, self.saved_at = self.session.position, now
            actions, _ = split(self.session.outgoing())
            if not actions:
                return
            data = b"".join(map(self.pbx.answer, actions))

    def publish(self, items: Sequence[Frame | Notice]) -> None:
        at = self.pbx.clock.now() + self.lag
        self.pbx.topic += [(at, self.name, event) for item in items for event in events(item)]

    def kill(self) -> None:
        """SIGKILL: what is not published is lost."""
        now = self.pbx.clock.now()
        self.pbx.topic = [each for each in self.pbx.topic if each[1] != self.name or each[0] <= now]
        self.session = None

    def cut(self) -> None:
        """The connection breaks; the adapter lives."""
        if self.session is not None:
            self.publish(self.session.ended("reset"))
            self.position = self.session.position
            self.session = None


class House:
    """The PBX, its readers, and what they put on the topic as (arrival, reader, event)."""

    def __init__(self, seed: int, *, calls: int = 60, rate: float = 2.0, speed: float = 5.0) -> None:
        self.played: Played = build(seed, calls=calls, rate=rate, speed=speed)
        self.clock = ManualClock(self.played.player.exchange.opening)
        self.topic: list[tuple[int, str, CallEvent]] = []
        self.readers: list[Reader] = []

    def reader(self, name: str, lag: int = 20_000) -> Reader:
        """One more adapter, connected."""
        self.readers.append(Reader(name, self, lag))
        self.readers[-1].connect()
        return self.readers[-1]

    def play(self, seconds: float) -> None:
        """Go on for so long."""
        end = self.clock.now() + round(seconds * MICRO)
        player = self.played.player
        while self.clock.now() < end:
            self.clock.advance(STEP_US / MICRO)
            frames = player.advance(self.clock.now() - player.exchange.opening)
            for reader in self.readers:
                reader.receive(b"".join(frame.wire for frame in frames if not reader.losing(frame.wire)))

    def crash(self) -> None:
        """The PBX dies without a word."""
        self.played.player.crash(self.clock.now() - self.played.player.exchange.opening)
        for reader in self.readers:
            reader.cut()

    def answer(self, action: Action) -> bytes:
        exchange, now = self.played.player.exchange, self.clock.now()
        if action.action in QUESTIONS:
            return QUESTIONS[action.action](exchange, action, now)
        if action.action == "ping":
            return action.answer("Success", ("Ping", "Pong"), ("Timestamp", f"{now // MICRO}.{now % MICRO:06d}"))
        booted = b"Event: FullyBooted\r\nUptime: %d\r\n\r\n" % ((now - exchange.booted) // MICRO)
        return action.success("as you wish") + (booted if action.action == "login" else b"")

    @property
    def truths(self) -> dict[str, Mapping[str, Any]]:
        return {f"main:{truth['uniqueid']}": truth for truth in self.played.truths if not truth["open"]}

    def folded(self) -> list[Call]:
        """Every revision of what is on the topic."""
        return folded([(at, event) for at, _, event in sorted(self.topic, key=lambda each: each[0])])


def folded(arrivals: Sequence[tuple[int, CallEvent]]) -> list[Call]:
    """Every revision, from the topic without its doubles; all grace and patience have passed at the end."""
    task = Fold(config.Fold(short_abandon_seconds=0), 0)
    values: list[bytes] = []
    seen: set[bytes] = set()
    now = arrivals[0][0]
    for offset, (at, event) in enumerate(arrivals):
        while now < at - TICK_US:
            now += TICK_US
            values += [each.value or b"" for each in task.tick(now)]
        if event.event_id not in seen:
            seen.add(event.event_id)
            enriched = codec.encode(EnrichedCallEvent(**codec.as_row(event)))
            said = task.process([Message(enriched, offset)], at)
            values += [each.value or b"" for each in said if isinstance(each, Output)]
    for later in (1, 70, 90):
        values += [each.value or b"" for each in task.tick(now + later * MICRO)]
    return [codec.decode(Call, value) for value in values]


def events(item: Frame | Notice) -> list[CallEvent]:
    """As the runtime publishes them."""
    if isinstance(item, Frame):
        try:
            return list(asterisk_ami.normalise(item, CONTEXT))
        except Reject:
            return []
    told = f"{item.type}\0{item.ts}\0{item.seq}\0{item.data}".encode()
    return [
        CallEvent(
            event_id=event_id("t", "main", told, 0),
            tenant="t",
            pbx="main",
            merge_key=CONTEXT.merge_key,
            type=item.type,
            ts=item.ts,
            received_at=item.received_at,
            seq=item.seq,
            synthetic=True,
            data=item.data,
        )
    ]
