"""Many records in one request to a CRM: what gathers while one is on its way goes with the next.

However many records it holds, a request counts as one; and each record has its own outcome.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from streams.clients.crm import Unknown
from streams.runtime.errors import Retry

A = TypeVar("A")
R = TypeVar("R")


class Batches(Generic[A, R]):
    """One kind of request, of which one is on its way at a time."""

    def __init__(
        self,
        send: Callable[[Sequence[A]], Awaitable[Sequence[R | Exception]]],
        *,
        most: int,
        repeatable: bool = True,
        again: type[Exception] | tuple[()] = (),
    ) -> None:
        """`send` returns what became of each of `most` at the most, in their order, or raises what befell them all.

        Where a record in company met `again`, it is tried by itself before that is believed.
        """
        self._send_all, self._most, self._again, self._door = send, most, again, asyncio.Lock()
        self._lost = Retry if repeatable else Unknown
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []

    async def ask(self, one: A) -> R:
        """What `send` returned for it.

        Raises what became of it instead; when nobody can say Unknown, or Retry where it may be asked again.
        """
        mine: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, mine))
        try:
            async with self._door:
                if not mine.done():
                    await self._next(mine)
            return await mine
        finally:
            mine.cancel()  # what belongs to who gave up meanwhile is not sent any more

    async def _next(self, mine: asyncio.Future[R]) -> None:
        waiting = [one for one in self._waiting if not one[1].done()]
        batch, self._waiting = waiting[: self._most], waiting[self._most :]
        try:
            await self._send(batch)
        finally:  # also when this task is cancelled: nobody waits for ever
            others = [one for one in batch if one[1] is not mine]
            _fail(others, self._lost("nobody heard what the CRM said of this record"))

    async def _send(self, batch: Sequence[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            results = await self._send_all([one for one, _ in batch])
        except Exception as e:  # noqa: BLE001 - it is raised again, where each is waited for
            if isinstance(e, self._again) and len(batch) > 1:
                await self._alone(batch)
            else:
                _fail(batch, e)
            return
        doubtful = []
        for (one, waiter), result in zip(batch, results, strict=True):
            if isinstance(result, self._again) and len(batch) > 1:
                doubtful.append((one, waiter))
            elif waiter.done():  # whoever waited has been cancelled
                continue
            elif isinstance(result, Exception):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)
        await self._alone(doubtful)

    async def _alone(self, batch: Sequence[tuple[A, asyncio.Future[R]]]) -> None:
        """Each has a second chance by itself."""
        for one in batch:
            if not one[1].done():
                await self._send([one])


def _fail(batch: Sequence[tuple[A, asyncio.Future[R]]], error: Exception) -> None:
    for _, waiter in batch:
        if not waiter.done():
            waiter.set_exception(error)
