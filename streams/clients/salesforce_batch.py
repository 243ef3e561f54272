"""Salesforce's collections: what gathers while one is on its way goes with the next, and each record has its outcome.

A collection counts as one of the org's daily requests, however many records it holds.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from streams.clients.crm import Unknown
from streams.clients.salesforce import Refused, SalesforceClient

_BATCH = 200
_Waiting: TypeAlias = tuple[Mapping[str, Any], asyncio.Future[str]]


class Upserts:
    """Upserts of one kind of records by one external id; never two at once with the same id."""

    def __init__(self, client: SalesforceClient, kind: str, key: str) -> None:
        self._client, self._kind, self._key = client, kind, key
        self._door = asyncio.Lock()
        self._waiting: list[_Waiting] = []

    async def upsert(self, record: Mapping[str, Any]) -> str:
        """Make the record or update it; return its id. Raises Retry, Refused, Fatal, and Unknown."""
        mine: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, mine))
        try:
            async with self._door:
                if not mine.done():
                    await self._next(mine)
            return await mine
        finally:
            mine.cancel()  # the record of who gave up meanwhile is not sent any more

    async def _next(self, mine: asyncio.Future[str]) -> None:
        waiting = [one for one in self._waiting if not one[1].done()]
        batch, self._waiting = waiting[:_BATCH], waiting[_BATCH:]
        try:
            await self._send(batch)
        finally:  # also when this task is cancelled: nobody waits for ever
            others = [one for one in batch if one[1] is not mine]
            _fail(others, Unknown("Salesforce did not say what became of this record"))

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        try:
            results = await self._client.upsert(self._kind, self._key, [record for record, _ in batch])
        except Exception as e:  # noqa: BLE001 - it is raised again, where each is waited for
            if isinstance(e, Refused) and len(batch) > 1:
                await self._alone(batch)
            else:
                _fail(batch, e)
            return
        doubtful = []
        for (record, waiter), result in zip(batch, results, strict=True):
            if isinstance(result, Refused) and len(batch) > 1:
                doubtful.append((record, waiter))
            elif waiter.done():  # whoever waited has been cancelled
                continue
            elif isinstance(result, Exception):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)
        await self._alone(doubtful)

    async def _alone(self, batch: Sequence[_Waiting]) -> None:
        """What the org's own triggers refuse may be the size of the batch: each has a second chance by itself."""
        for one in batch:
            if not one[1].done():
                await self._send([one])


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for _, waiter in batch:
        if not waiter.done():
            waiter.set_exception(error)
