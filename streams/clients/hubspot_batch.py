"""HubSpot's batches of calls: what gathers while one is on its way goes with the next, and each record has its outcome."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from streams.clients.crm import Gone, Unknown
from streams.clients.hubspot import KEY, HubSpotClient, category
from streams.runtime.errors import Fatal, Reject, Retry

_CREATE = "/crm/v3/objects/calls/batch/create"
_BATCH = 100
_Waiting: TypeAlias = tuple[str, Mapping[str, Any], asyncio.Future[None]]


class Creations:
    """Sends what is to be created in batches: one is on its way, and what comes meanwhile gathers for the next."""

    def __init__(self, client: HubSpotClient) -> None:
        self._client, self._door = client, asyncio.Lock()
        self._waiting: list[_Waiting] = []

    async def create(self, call_id: str, record: Mapping[str, Any]) -> None:
        """Return when the entry is there. Raises Reject, Retry, Fatal, and Unknown when it may be there or not."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((call_id, record, mine))
        try:
            async with self._door:
                if not mine.done():
                    batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                    await self._deliver(batch)
        except asyncio.CancelledError:  # what nobody waits for is not sent
            self._waiting = [one for one in self._waiting if one[2] is not mine]
            if mine.done():
                mine.exception()  # else asyncio logs that nobody heard it
            raise
        await mine

    async def _deliver(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._send(batch)
        finally:  # also when this task is cancelled: the others do not wait for ever
            _fail(batch, Unknown("HubSpot did not say what became of this entry"))

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        body = {"inputs": [{**record, "objectWriteTraceId": call_id} for call_id, record, _ in batch]}
        try:
            told = await self._client.ask("POST", _CREATE, body, repeatable=False)
        except (Reject, Gone) as e:
            if len(batch) == 1:
                _fail(batch, Reject(str(e)))
                return
            middle = len(batch) // 2  # one of them is to blame, and HubSpot does not say which
            await self._send(batch[:middle])
            await self._send(batch[middle:])
        except (Retry, Fatal, Unknown) as e:
            _fail(batch, e)
        else:
            made, refused = _outcome(told)
            for call_id, _, waiter in batch:
                if call_id in made:
                    waiter.set_result(None)
                elif call_id in refused:
                    waiter.set_exception(refused[call_id])


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for _, _, waiter in batch:
        if not waiter.done():
            waiter.set_exception(error)


def _outcome(told: Any) -> tuple[set[str], dict[str, Exception]]:
    """The calls that were made, and what is wrong with those that were not (207)."""
    answer = told if isinstance(told, Mapping) else {}
    made = {str(record["properties"].get(KEY)) for record in answer.get("results", ())}
    refused: dict[str, Exception] = {}
    for error in answer.get("errors", ()):
        for call_id in error.get("context", {}).get("objectWriteTraceId", ()):
            refused[str(call_id)] = _refusal(category(error))
    return made, refused


def _refusal(code: str) -> Exception:
    if code == "RATE_LIMITS":
        return Retry("HubSpot took a part of the batch only")
    if code == "INTERNAL_ERROR":
        return Unknown("HubSpot failed within the batch")
    return Reject(f"HubSpot refused it: {code}")
