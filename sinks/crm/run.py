"""One CRM's journal as a process: reads `calls`, brings the CRM up to each, commits what is settled.

A partition is taken over in this order: its ledger is read back, then its calls are read from the committed offset.
It is given up in this order: what is in flight is finished or dropped, what is settled is committed.
"""

import asyncio
import random
import threading
from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.codec import UndecodableError, decode
from schemas.events import Call, DeadLetter
from schemas.topics import manifest
from sinks.crm.connector import Connector, Portal
from sinks.crm.lanes import Lanes, Record
from sinks.crm.ledger import Ledger
from sinks.crm.log import LedgerLog
from streams.clients.crm import PortalConfig
from streams.runtime import kafka, metrics, plugins, slots
from streams.runtime.clock import Clock
from streams.runtime.config import Kafka, Settings, connector_config
from streams.runtime.errors import Retry

log = structlog.get_logger()

_LEASE = 0.7 * kafka.SESSION_TIMEOUT
"""Seconds without a look at the group after which a worker may no longer act: before the group gives up on it."""
_AGAIN = 1.0
_CHUNK, _LOOK = 200, 0.2
_COMMIT_EVERY = 1.0
_DRAIN = 7.0
"""Seconds that calls in flight get at the end: together with the rest below the ten that a clean stop may take."""


def run(name: str, settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Keep the journal of `[crm.name]` until `stop`; ends within 10 s. Raises Fatal when a person is needed."""
    section = settings.crm[name]
    connector: Connector[Any] = plugins.load("sinks.crm", section.connector, Connector)
    config = connector_config(connector.config, section, f"crm.{name}")
    # A lasting name: after a crash the next worker of this machine takes the partitions over at once.
    slot = slots.claim(settings.data_dir / "slots", f"crm.{name}")
    while not stop.is_set():
        try:
            asyncio.run(_keep(name, slot, connector, config, settings.kafka, clock=clock, stop=stop))
        except Retry as e:
            log.warning("crm.session_again", crm=name, reason=str(e))
            clock.sleep(_AGAIN if e.after is None else e.after, stop)


async def _keep(
    name: str,
    slot: str,
    connector: Connector[Any],
    config: PortalConfig,
    cluster: Kafka,
    *,
    clock: Clock,
    stop: threading.Event,
) -> None:
    writes, calls = manifest().topics["crm-writes"], manifest().topics["calls"]
    ledger_log = LedgerLog(
        cluster,
        topic=cluster.name(writes.name),
        dead=cluster.name(calls.dead),
        crm=name,
        config=config,
        clock=clock,
    )
    try:
        async with connector.open(config, clock) as portal:
            journal = Journal(name, portal, ledger_log, config, clock)
            consumer = kafka.member(cluster, cluster.name(f"trunkline-crm-{name}"), cluster.name(slot))
            kafka.partitions(consumer, cluster.name(calls.name))
            await journal.serve(consumer, cluster.name(calls.name), stop)
    finally:
        ledger_log.close()


class Journal:
    """The loop, and what happens when partitions come and go (in the consumer's thread, while the loop waits)."""

    def __init__(self, name: str, portal: Portal, ledger_log: LedgerLog, config: PortalConfig, clock: Clock) -> None:
        self._name, self._portal, self._log, self._config, self._clock = name, portal, ledger_log, config, clock
        self._lanes = Lanes(self._write, width=config.in_flight)
        self._ledgers: dict[int, Ledger] = {}
        self._committed: dict[int, int] = {}
        self._looked = clock.monotonic()
        self._epoch = 0

    async def serve(self, consumer: Consumer, topic: str, stop: threading.Event) -> None:
        """Read and write until `stop`; then finish what is in flight, commit and leave."""
        self._loop, self._consumer, self._topic = asyncio.get_running_loop(), consumer, topic
        consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        self._looked = self._clock.monotonic()
        committed_at, paused = self._looked, False
        try:
            while not stop.is_set():
                messages = await asyncio.to_thread(self._look)
                self._lease()
                self._looked = self._clock.monotonic()
                self._take(messages)
                await self._lanes.room(within=_LOOK * 5)
                self._lanes.check()
                paused = self._throttle(paused=paused)
                if self._looked - committed_at >= _COMMIT_EVERY:
                    committed_at = self._looked
                    await asyncio.to_thread(self._commit)
            await self._lanes.drain(None, within=_DRAIN)
            self._lanes.check()
            await asyncio.to_thread(self._commit)
        finally:
            await self._lanes.drain(None, within=0)
            await asyncio.to_thread(consumer.close)

    def _look(self) -> list[Message]:
        """What there is, at once; `consume` alone would wait for a whole chunk."""
        try:
            first, epoch = self._consumer.poll(_LOOK), self._epoch
            more = self._consumer.consume(_CHUNK, 0) if first else []
        except KafkaException as e:  # also out of the callbacks below
            raise kafka.mapped(e, "reading calls") from e
        # If the partitions changed hands in between, the first record is of a life that is over; it comes again.
        return [first, *more] if first and epoch == self._epoch else more

    def _take(self, messages: Collection[Message]) -> None:
        for m in messages:
            if error := m.error():
                raise kafka.mapped(error, "reading calls")
            record = Record(partition=m.partition() or 0, offset=m.offset() or 0, key=m.key() or b"", value=m.value())
            self._lanes.put(record)

    def _throttle(self, *, paused: bool) -> bool:
        """Stop reading, but not looking, while nothing moves; a pause is dear, for it drops what was fetched already."""
        if self._lanes.full:
            self._consumer.pause(self._consumer.assignment())
        elif paused:
            self._consumer.resume(self._consumer.assignment())
        return self._lanes.full

    async def _write(self, record: Record) -> None:
        """One record of `calls`, until the journal shows it and the ledger says so."""
        if record.value is None:
            return
        try:
            call = decode(Call, record.value)
        except UndecodableError as e:
            await self._bury(record, str(e))
            return
        settled = await self._ledgers[record.partition].write(call)
        if settled and settled.state == "REFUSED":
            log.warning("crm.call_refused", crm=self._name, call=call.call_id, reason=settled.reason)
            await self._bury(record, settled.reason)

    async def _bury(self, record: Record, reason: str) -> None:
        metrics.DEAD_LETTERS.labels(self._topic, f"crm {self._name}").inc()
        letter = DeadLetter(
            topic=self._topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            stage=f"crm {self._name}",
            reason=reason,
            version=version("trunkline"),
            at=self._clock.now(),
        )
        await self._log.bury(record.partition, record.key, letter)

    def _commit(self) -> None:
        """Offsets come last: everything before them is in the CRM and acknowledged in the ledger."""
        places = self._lanes.settled()
        self._measure(places)
        settled = {p: o for p, o in places.items() if self._committed.get(p) != o}
        if not settled:
            return
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._topic, p, o) for p, o in settled.items()], asynchronous=False
            )
        except KafkaException as e:
            log.warning(
                "offsets were not committed; they will be", crm=self._name, reason=str(kafka.mapped(e, "committing"))
            )
        else:
            self._committed |= settled

    def _measure(self, places: Mapping[int, int]) -> None:
        ends = (self._consumer.get_watermark_offsets(TopicPartition(self._topic, p), cached=True)[1] for p in places)
        lag = sum(max(0, end - place) for end, place in zip(ends, places.values(), strict=True))
        metrics.SINK_LAG.labels(f"crm.{self._name}").set(lag)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            self._log.recall(p.partition, self._beat)
            self._ledgers[p.partition] = Ledger(
                crm=self._name,
                portal=self._portal,
                log=self._log.of(p.partition),
                config=self._config,
                clock=self._clock,
                rng=random.Random(),  # noqa: S311 - jitter of retries
                lease=self._lease,
            )
        consumer.assign([self._start(place) for place in consumer.committed(partitions, kafka.TIMEOUT)])
        log.info("crm.partitions", crm=self._name, partitions=sorted(self._ledgers))

    def _start(self, place: TopicPartition) -> TopicPartition:
        """Where to go on: at the committed offset, or at the first call that there is."""
        if place.error:
            raise kafka.mapped(place.error, "asking for committed offsets")
        low, high = self._consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), kafka.TIMEOUT)
        if low <= place.offset <= high:
            return place
        if place.offset >= 0:  # it was away for longer than calls are kept, or the topic was made anew
            log.error("crm.calls_unread", crm=self._name, partition=place.partition, committed=place.offset, first=low)
        return TopicPartition(place.topic, place.partition, low)

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions, within=_DRAIN / 2)
        self._commit()
        self._drop(partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Somebody else has them already: nothing may be finished, nothing committed."""
        self._give_up(partitions, within=0)
        self._drop(partitions)

    def _give_up(self, partitions: list[TopicPartition], *, within: float) -> None:
        drained = self._lanes.drain({p.partition for p in partitions}, within=within)
        asyncio.run_coroutine_threadsafe(drained, self._loop).result()
        self._beat()

    def _drop(self, partitions: list[TopicPartition]) -> None:
        self._epoch += 1
        self._consumer.resume(partitions)  # a pause would outlast the assignment, and nobody would end it
        self._lanes.forget([p.partition for p in partitions])
        for p in partitions:
            self._ledgers.pop(p.partition, None)
            self._committed.pop(p.partition, None)
            self._log.release(p.partition)

    def _beat(self) -> None:
        self._lease()
        self._looked = self._clock.monotonic()

    def _lease(self) -> None:
        """Raise Retry if this process was stopped or starved for so long that others may have taken over."""
        if self._clock.monotonic() - self._looked > _LEASE:
            raise Retry("this process did not run for a while, and others may do its work now", after=0)
