"""The road of the events in memory: the simulated PBX, the adapter's session, enrichment and the fold, on one clock.

Everything is the real code but the sockets and Kafka: what is on the wire is parsed, questions of the adapter are answered.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from producers.adapter import Batch, Context, Reading
from producers.numbers import NumberPlan
from producers.pbx import asterisk_ami
from producers.pbx._asterisk.session import Session
from producers.run import Positions, Source
from producers.simulator.faults import Faults
from producers.simulator.server import Server
from producers.simulator.session import Gate
from producers.spool import Spool
from schemas import codec
from schemas.events import Call
from streams.processors.contacts import Contacts
from streams.processors.dedupe import Seen
from streams.processors.enrich import Enrich
from streams.processors.fold import Fold
from streams.runtime import config
from streams.runtime.clock import ManualClock
from streams.runtime.pipeline import Output, Refused
from tests.producers.simulator.centre import OPENING, Played
from tests.support.memory import MemoryMessage

HOUSE = NumberPlan(country="FR", extensions=r"[1-9]\d{3}", trunk_contexts=("from-trunk",))
SECOND = 1_000_000
TICK_S = 0.05
MOST_S = 3600.0
"""Longer no run may take, by its own clock."""


class Wire(asyncio.Transport):
    """The PBX's side of a connection: what it writes waits here."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._waiting.append(bytes(data))

    def take(self) -> bytes:
        data, self._waiting = b"".join(self._waiting), []
        return data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        """Nobody is there to notice."""


@dataclass(slots=True)
class Streams:
    """In a producer's hands its publisher: what it sends is enriched and folded at once."""

    clock: ManualClock
    fold: Fold
    enrich: Enrich = field(default_factory=lambda: Enrich(Seen(200_000), Contacts()))
    sent: int = 0
    by_topic: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    most_open: int = 0

    durable: int = 0
    roomy: bool = True

    def send(self, topic: str, key: bytes, value: bytes) -> bool:
        self.sent += 1
        self.by_topic[topic] += 1
        now = self.clock.now()
        for answer in self.enrich.process([MemoryMessage(value, 0, self.sent, key)], now):
            if isinstance(answer, Refused):
                self.refused.append(answer.reason)
                continue
            enriched = MemoryMessage(answer[1], 0, self.sent, key)
            self._said(self.fold.process([enriched], now))
        return True

    def turn(self) -> None:
        self._said(self.fold.tick(self.clock.now()))
        self.most_open = max(self.most_open, sum(len(scope.calls) for scope in self.fold.scopes.values()))

    def close(self) -> None:
        """Nothing is under way."""

    def _said(self, answers: Iterable[Output | Refused]) -> None:
        for answer in answers:
            if isinstance(answer, Refused):
                self.refused.append(answer.reason)
            else:
                call = codec.decode(Call, answer.value or b"")
                self.calls[call.call_id] = call


def travel(
    played: Played, folder: Path, faults: Faults | None = None, *, audit_s: float = 60.0, **rules: float
) -> Streams:
    """Play everything to its end, and go on until no call is open or two audits more have found nothing."""
    clock = ManualClock(OPENING - 5 * SECOND)
    site = asterisk_ami.Config(host="pbx", username="u", secret=SecretStr("s"), audit_seconds=audit_s)
    streams = Streams(clock, Fold(config.Fold(short_abandon_seconds=0, **rules), 0))  # type: ignore[arg-type]
    server = Server(played.player, Gate(user="u", secret="s"), clock, faults=faults)
    stop = threading.Event()

    def feed(reading: Reading) -> Iterator[Batch]:
        session, wire, far = Session(site, reading), Wire(), server._session()
        far.connection_made(wire)
        quiet = 0.0
        while clock.monotonic() < MOST_S:
            while (due := played.player.due) is not None and due <= server.now:
                server.turn()
            server.turn()
            items = session.receive(wire.take())
            if asked := session.outgoing():
                far.data_received(asked)
            yield Batch(items=items)
            clock.advance(TICK_S)
            busy = played.player.due is not None or streams.fold.low_water() is not None
            quiet = 0.0 if busy else quiet + TICK_S
            if quiet > 5.0:
                break
        stop.set()

    source = Source(
        name="main",
        adapter=asterisk_ami.adapter,
        feed=feed,
        context=Context(tenant="t", pbx="main", numbers=HOUSE, config=site),
        publisher=streams,  # type: ignore[arg-type]
        spool=Spool(folder / "spool", 1 << 20),
        positions=Positions(folder / "state.json"),
        clock=clock,
        topics=("call-events", "call-events.dead"),
    )
    source.run(stop)
    assert clock.monotonic() < MOST_S
    return streams
