"""Calls in flight: the records of one call one after the other, different calls side by side, offsets in order."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of `calls` and where it stands."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None


class Lanes:
    """Runs `work` for each record, at most `width` at once. Lives in one event loop.

    An offset may be committed when everything before it is done. The failure of one record fails them all: `check`
    raises it, and nothing behind the failed offset is ever committed.
    """

    def __init__(self, work: Callable[[Record], Awaitable[None]], *, width: int) -> None:
        self._work, self._width = work, width
        self._slots = asyncio.Semaphore(width)
        self._last: dict[bytes, asyncio.Task[None]] = {}
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._open: dict[int, dict[int, None]] = {}
        self._next: dict[int, int] = {}
        self._failure: BaseException | None = None
        self._freed = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether enough is waiting that the source should pause."""
        return len(self._tasks) >= 4 * self._width

    async def room(self, *, within: float) -> None:
        """Wait until it is no longer full, but not longer than `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.full and not self._failure:
                    self._freed.clear()
                    await self._freed.wait()

    def put(self, record: Record) -> None:
        """Take a record in; returns at once."""
        key, partition, offset = record.key, record.partition, record.offset
        self._open.setdefault(partition, {})[offset] = None
        self._next[partition] = offset + 1
        task = asyncio.create_task(self._run(record, self._last.get(key)))
        self._last[key] = task
        self._tasks[task] = partition
        task.add_done_callback(lambda done: self._done(done, key, partition, offset))

    def check(self) -> None:
        """Raise what made a record fail."""
        if self._failure:
            raise self._failure

    def settled(self) -> Mapping[int, int]:
        """The offset that may be committed, by partition: everything before it is done."""
        return {p: next(iter(self._open[p]), behind) for p, behind in self._next.items()}

    async def drain(self, partitions: Collection[int] | None, *, within: float) -> None:
        """Wait for what is in flight (None: of all partitions), then cancel the rest."""
        tasks = [t for t, p in self._tasks.items() if partitions is None or p in partitions]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def forget(self, partitions: Collection[int]) -> None:
        """The partitions belong to somebody else now."""
        for partition in partitions:
            self._next.pop(partition, None)
            self._open.pop(partition, None)

    async def _run(self, record: Record, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
            if before.cancelled() or before.exception():
                raise asyncio.CancelledError
        async with self._slots:
            await self._work(record)

    def _done(self, task: asyncio.Task[None], key: bytes, partition: int, offset: int) -> None:
        del self._tasks[task]
        self._freed.set()
        if self._last.get(key) is task:
            del self._last[key]
        if task.cancelled():
            return
        if error := task.exception():
            self._failure = self._failure or error
        elif partition in self._open:
            self._open[partition].pop(offset, None)
