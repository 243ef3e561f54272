"""HubSpot's batches of calls: each record of one has its outcome, also where HubSpot refuses it whole."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from streams.clients.batches import Batches
from streams.clients.crm import Gone, Unknown
from streams.clients.hubspot import KEY, HubSpotClient, category
from streams.runtime.errors import Fatal, Reject, Retry

_CREATE = "/crm/v3/objects/calls/batch/create"
_BATCH = 100
Creation: TypeAlias = tuple[str, Mapping[str, Any]]
"""A call's id, and the record that is to be made of it."""


def creations(client: HubSpotClient) -> Batches[Creation, None]:
    """What is to be created. Raises Reject, Retry, Fatal, and Unknown when the entry may be there or not."""
    return Batches(partial(_send, client), most=_BATCH, repeatable=False)


async def _send(client: HubSpotClient, batch: Sequence[Creation]) -> Sequence[Exception | None]:
    body = {"inputs": [{**record, "objectWriteTraceId": call_id} for call_id, record in batch]}
    try:
        told = await client.ask("POST", _CREATE, body, repeatable=False)
    except (Reject, Gone) as e:
        if len(batch) == 1:
            return [Reject(str(e))]
        middle = len(batch) // 2  # one of them is to blame, and HubSpot does not say which
        return [*await _send(client, batch[:middle]), *await _send(client, batch[middle:])]
    except (Retry, Fatal, Unknown) as e:
        return [e] * len(batch)
    made, refused = _outcome(told)
    untold = Unknown("HubSpot did not say what became of this entry")
    return [None if call_id in made else refused.get(call_id, untold) for call_id, _ in batch]


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
