"""One producer as a process: read, normalise, publish, and remember how far it is safe.

A position is saved only once every record before it is with the broker or durable in the spool.
"""

import os
import random
import threading
from collections import deque
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import structlog

from producers.adapter import Adapter, Batch, Context, Feed, Frame, Notice, Position, Reading, event_id
from producers.numbers import NumberPlan
from producers.publish import Publisher, connect
from producers.spool import Spool
from schemas.codec import encode
from schemas.events import CallEvent, DeadLetter
from schemas.topics import manifest
from streams.embedded.process import claim
from streams.runtime import metrics, plugins
from streams.runtime.clock import Clock
from streams.runtime.config import Pbx, Settings, connector_config
from streams.runtime.errors import Fatal, Reject

SPOOL_LIMIT = 1 << 30
SAVE_EVERY = 1.0
"""Seconds between two saves of the position."""
CHANCE = random.SystemRandom()
_COVERAGE = frozenset({"since_us", "until_us"})
_INWARD = _COVERAGE | {"session", "reader"}
"""What a notice tells to the fold and not to people."""

log = structlog.get_logger()


def run(name: str, settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Read the PBX or the CRM of that name until `stop` is set; ends within 10 s. Raises Fatal when a person is needed."""
    if name in settings.pbx:
        section = settings.pbx[name]
        adapter: Adapter[Any] = plugins.load("producers.pbx", section.adapter, Adapter)
        source(name, section, adapter, settings, clock).run(stop)
    elif name in settings.crm:
        _contacts(settings.crm[name].connector).run(name, settings, clock, stop)
    else:
        raise Fatal(f"no [pbx.{name}] and no [crm.{name}] in the configuration")


def _contacts(connector: str) -> Any:
    """The module of a CRM's contact feed; it has the same `run` as this one."""
    if connector not in plugins.names("producers.crm"):
        raise Fatal(f"no contact feed for the connector {connector!r} in producers.crm")
    return import_module(f"producers.crm.{connector}")


def source(name: str, section: Pbx, adapter: Adapter[Any], settings: Settings, clock: Clock) -> "Source":
    """The parts that read one PBX, put together."""
    config = connector_config(adapter.config, section, f"pbx.{name}")
    pbx = adapter.of(config) or name
    of = settings.pbx.get(pbx, section)  # a second source of a PBX knows its house by the first, unless it is told
    numbers = (section if "numbers" in section.model_fields_set else of).numbers
    agents = (section if "agents" in section.model_fields_set else of).agents
    plan = NumberPlan(**numbers.model_dump())
    context = Context(tenant=settings.tenant, pbx=pbx, numbers=plan, config=config, agents=agents)
    folder = settings.data_dir / name
    claim(folder)
    spool = Spool(folder / "spool", SPOOL_LIMIT)
    if spool.torn:
        metrics.SPOOL_TORN.labels(name).inc(spool.torn)
        log.warning("cut a half-written event off the spool", pbx=name, bytes=spool.torn)
    topic = manifest().topics["call-events"]
    return Source(
        name=name,
        adapter=adapter,
        feed=adapter.feed(config),
        context=context,
        publisher=Publisher(lambda: connect(settings.kafka), spool, clock),
        spool=spool,
        positions=Positions(folder / "state.json"),
        clock=clock,
        topics=(settings.kafka.name(topic.name), settings.kafka.name(topic.dead)),
    )


class Positions:
    """The position of a source on disk, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position:
        try:
            found = orjson.loads(self._path.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def save(self, position: Position) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(orjson.dumps(dict(position)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


class Source:
    """The loop that reads one PBX."""

    def __init__(
        self,
        *,
        name: str,
        adapter: Adapter[Any],
        feed: Feed,
        context: Context[Any],
        publisher: Publisher,
        spool: Spool,
        positions: Positions,
        clock: Clock,
        topics: tuple[str, str],
    ) -> None:
        self._name = name
        self._adapter = adapter
        self._feed = feed
        self._context = context
        self._key = context.merge_key.encode()
        self._publisher = publisher
        self._spool = spool
        self._positions = positions
        self._clock = clock
        self._topic, self._dead = topics
        self._marks: deque[tuple[int, Position]] = deque()
        self._saved_at = clock.monotonic() - SAVE_EVERY
        self._counted = 0
        self._damaged = 0
        self._lost = 0

    def run(self, stop: threading.Event) -> None:
        """Read until `stop`; after a full spool, when there is room again, once more from the last safe position."""
        position = self._positions.load()
        lost = 0
        try:
            while not stop.is_set():
                reading = Reading(
                    pbx=self._name,
                    clock=self._clock,
                    chance=CHANCE,
                    stop=threading.Event(),
                    position=position,
                    lost=lost,
                )
                self._read(reading, stop)
                self._save(self._clock.monotonic())
                position, lost, self._lost = self._positions.load(), self._lost, 0
        finally:
            self._publisher.close()
            self._save(self._clock.monotonic())
            metrics.SOURCE_UP.labels(self._name).set(0)

    def _read(self, reading: Reading, stop: threading.Event) -> None:
        for batch in self._feed(reading):
            for record in self._records(batch):
                self._send(*record, stop)
            if batch.position is not None and not self._lost:
                self._marks.append((self._publisher.sent, batch.position))
            self._turn()
            if stop.is_set() or (self._lost and self._publisher.roomy):
                reading.stop.set()

    def _records(self, batch: Batch) -> Iterator[tuple[str, bytes]]:
        """(topic, value) of everything in the batch, in order: each frame is an event, a dead letter, or no fact."""
        frames = ignored = 0
        for item in batch.items:
            if isinstance(item, Notice):
                yield self._topic, encode(self._notice(item))
                continue
            frames += 1
            try:
                values = [encode(event) for event in self._adapter.normalise(item, self._context)]
            except Reject as e:
                yield self._dead, encode(self._dead_letter(item, str(e)))
                continue
            ignored += not values
            for value in values:
                yield self._topic, value
        if frames:
            metrics.FRAMES_RECEIVED.labels(self._name).inc(frames)
            metrics.FRAMES_IGNORED.labels(self._name).inc(ignored)

    def _send(self, topic: str, value: bytes, stop: threading.Event) -> None:
        while not self._publisher.send(topic, self._key, value):
            if not self._adapter.replays:
                if not self._lost:
                    log.error("the spool is full: events are lost until the broker is back", pbx=self._name)
                self._lost += 1
                metrics.SPOOL_REFUSED.labels(self._name).inc()
                return
            self._turn()
            if self._clock.sleep(0.1, stop):
                self._lost += 1  # not lost: the file still has it, and no position beyond it is saved
                return

    def _turn(self) -> None:
        self._publisher.turn()
        published = self._publisher.by_topic[self._topic]
        metrics.EVENTS_PUBLISHED.labels(self._name).inc(published - self._counted)
        self._counted = published
        now = self._clock.monotonic()
        if now - self._saved_at >= SAVE_EVERY:
            metrics.SPOOL_BYTES.labels(self._name).set(self._spool.size)
            if self._spool.damaged > self._damaged:
                lost = self._spool.damaged - self._damaged
                self._damaged = self._spool.damaged
                metrics.SPOOL_DAMAGED.labels(self._name).inc(lost)
                log.error("the disk gave back other bytes than the spool had written", pbx=self._name, bytes=lost)
            self._save(now)

    def _save(self, now: float) -> None:
        """The newest position that is safe; the first one at once, so that even a young process knows of a gap."""
        position: Position | None = None
        while self._marks and self._marks[0][0] <= self._publisher.durable:
            _, position = self._marks.popleft()
        if position is not None:
            self._saved_at = now
            self._positions.save(position)

    def _notice(self, notice: Notice) -> CallEvent:
        data = notice.data
        if self._lost:  # what was read was not kept
            data = {key: value for key, value in data.items() if key not in _COVERAGE}
        if notice.type in ("source.up", "source.down") and "heartbeat" not in data:
            metrics.SOURCE_UP.labels(self._name).set(notice.type == "source.up")
            log.info(notice.type, pbx=self._name, **{k: v for k, v in data.items() if k not in _INWARD})
        elif notice.type == "gap.detected":
            seconds = (int(notice.data["to_us"]) - int(notice.data["from_us"])) / 1_000_000
            metrics.SOURCE_GAP.labels(self._name).inc(max(0.0, seconds))
            log.warning("nothing was read from the PBX for a while", pbx=self._name, seconds=seconds)
        told = f"{notice.type}\0{notice.ts}\0{notice.seq}\0{data}".encode()
        return CallEvent(
            event_id=event_id(self._context.tenant, self._context.pbx, told, 0),
            tenant=self._context.tenant,
            pbx=self._context.pbx,
            merge_key=self._context.merge_key,
            type=notice.type,
            ts=notice.ts,
            received_at=notice.received_at,
            seq=notice.seq,
            synthetic=True,
            data=data,
        )

    def _dead_letter(self, frame: Frame, reason: str) -> DeadLetter:
        metrics.DEAD_LETTERS.labels(self._topic, "normalise").inc()
        return DeadLetter(
            topic=self._topic,
            key=self._key,
            value=bytes(frame.raw),
            stage=f"normalise {self._name}",
            reason=reason,
            version=version("trunkline"),
            at=self._clock.now(),
        )
