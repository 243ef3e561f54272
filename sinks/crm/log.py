"""The ledger on Kafka: records of `crm-writes`, on the partition number of the calls they are about.

So whoever owns a partition of `calls` owns the ledger of its calls, and reads it back before the first of them.
"""

import asyncio
import threading
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, TopicPartition

from schemas.codec import encode
from schemas.events import Call, CrmWrite, DeadLetter
from sinks.crm.memory import Memory
from streams.clients.crm import PortalConfig
from streams.runtime import kafka
from streams.runtime.clock import Clock
from streams.runtime.config import Kafka

_SKEW = 3_600_000_000
"""Microseconds that a PBX's clock may be behind or ahead of ours."""
_DAY = 86_400_000_000
_TIMEOUT = 30.0
_CHUNK = 5_000


class LedgerLog:
    """Writes the ledger and remembers it. `recall` runs in the rebalance's thread, `append` in the event loop."""

    def __init__(self, cluster: Kafka, *, topic: str, dead: str, crm: str, config: PortalConfig, clock: Clock) -> None:
        """`topic` and `dead` (for calls that were refused): as the cluster knows them."""
        self._cluster, self._topic, self._dead, self._crm = cluster, topic, dead, crm
        self._remember = round(config.remember_days * _DAY)
        self._clock = clock
        self._memory = Memory(config.remember_mb << 20)
        self._since: dict[int, int] = {}
        self._producer = kafka.producer(cluster)
        self._closing = threading.Event()
        self._service = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._service.start()

    def recall(self, partition: int, alive: Callable[[], None]) -> None:
        """Read the partition's ledger up to its end; `alive` is called now and then, and may raise to end it.

        Nobody else writes to it any more: the former owner has given it up, or has been put out of the group.
        """
        now = self._clock.now()
        reader = kafka.reader(self._cluster)
        try:
            start, complete = self._start(reader, partition, now)
            self._memory.forget(partition, mark=0 if complete else now - self._remember)
            reader.assign([TopicPartition(self._topic, partition, start)])
            if not self._read(reader, partition, alive):
                # Nothing of this CRM: a first start, or a ledger that was lost. The CRM itself knows what was before.
                self._memory.forget(partition, mark=now - _SKEW)
        finally:
            reader.close()
        self._since[partition] = self._clock.now()

    def release(self, partition: int) -> None:
        """The partition belongs to somebody else."""
        self._memory.forget(partition)

    def of(self, partition: int) -> "PartitionLog":
        """The ledger of one partition, as `sinks.crm.ledger` uses it."""
        return PartitionLog(self, partition)

    def last(self, partition: int, call_id: str) -> CrmWrite | None:
        return self._memory.last(partition, call_id)

    def forgotten(self, partition: int, call: Call) -> bool:
        """Whether a record of the call may be older than what is remembered: no record is older than its call's end."""
        mark = self._memory.mark(partition)
        return bool(mark) and (call.ended_at or call.updated_at) <= mark + _SKEW

    def owned_since(self, partition: int) -> int:
        return self._since.get(partition, 0)

    async def append(self, partition: int, write: CrmWrite) -> None:
        """Return when the brokers have it; raises Retry or Fatal when they do not take it."""
        value = encode(write)
        await self._produce(self._topic, f"{write.crm}:{write.call_id}".encode(), value, partition)
        self._memory.put(partition, write.call_id, value)

    async def bury(self, partition: int, key: bytes | None, letter: DeadLetter) -> None:
        """Put a record that cannot be used among the dead letters; acknowledged when this returns."""
        await self._produce(self._dead, key, encode(letter), partition)

    def close(self) -> None:
        """Wait for what is under way, and stop."""
        self._producer.flush(_TIMEOUT)
        self._closing.set()
        self._service.join()

    async def _produce(self, topic: str, key: bytes | None, value: bytes, partition: int) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[KafkaError | None] = loop.create_future()

        def delivered(error: KafkaError | None, _message: object) -> None:
            loop.call_soon_threadsafe(_settle, done, error)

        self._producer.produce(topic, key=key, value=value, partition=partition, on_delivery=delivered)
        if error := await done:
            raise kafka.mapped(error, f"writing to {topic}")

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.1)

    def _start(self, reader: Consumer, partition: int, now: int) -> tuple[int, bool]:
        """The offset to read from, and whether nothing lies before it."""
        oldest = TopicPartition(self._topic, partition, (now - self._remember) // 1000)
        (place,) = reader.offsets_for_times([oldest], timeout=_TIMEOUT)
        low, high = reader.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=_TIMEOUT)
        start = place.offset if place.offset >= 0 else high
        return start, start <= low

    def _read(self, reader: Consumer, partition: int, alive: Callable[[], None]) -> bool:
        prefix, found = f"{self._crm}:".encode(), False
        while True:
            alive()
            for message in reader.consume(_CHUNK, timeout=0.1):
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - has no other name
                    return found
                if error is not None:
                    raise kafka.mapped(error, "reading the ledger back")
                key, value = message.key() or b"", message.value()
                if value is not None and key.startswith(prefix):
                    found = True
                    self._memory.put(partition, key[len(prefix) :].decode(), value)


def _settle(done: asyncio.Future[KafkaError | None], error: KafkaError | None) -> None:
    if not done.done():  # whoever waited may have been cancelled
        done.set_result(error)


class PartitionLog:
    """What a `Ledger` sees."""

    def __init__(self, log: LedgerLog, partition: int) -> None:
        self._log, self._partition = log, partition

    @property
    def owned_since(self) -> int:
        return self._log.owned_since(self._partition)

    def last(self, call_id: str) -> CrmWrite | None:
        return self._log.last(self._partition, call_id)

    def forgotten(self, call: Call) -> bool:
        return self._log.forgotten(self._partition, call)

    async def append(self, write: CrmWrite) -> None:
        await self._log.append(self._partition, write)
