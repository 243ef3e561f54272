"""How a HubSpot account in memory puts its answers: errors, batches, records, properties."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

_MOMENT = "2023-11-14T22:13:20.000Z"


class HubSpotError(Exception):
    """An error, by its status and category."""

    def __init__(self, status: int, category: str) -> None:
        super().__init__(category)
        self.status, self.category = status, category


def error(status: int, category: str, **more: object) -> httpx.Response:
    """An answer that says what is wrong, in words that must not be passed on."""
    return httpx.Response(status, json=error_body(category) | more)


def error_body(category: str) -> dict[str, Any]:
    told = {"status": "error", "message": "Zoë Čapková +33123456789 is not valid", "correlationId": "c0ffee"}
    return told | {"category": category, "errors": [], "context": {}, "links": {}}


def part_failed(call_id: str, category: str) -> httpx.Response:
    """A batch whose only record failed."""
    return httpx.Response(207, json=batch([], [refused(call_id, category)]))


def refused(trace: str, category: str) -> dict[str, Any]:
    return error_body(category) | {"context": {"objectWriteTraceId": [trace]}}


def batch(results: Sequence[object], errors: Sequence[object] = ()) -> dict[str, Any]:
    done = {"status": "COMPLETE", "startedAt": _MOMENT, "completedAt": _MOMENT, "results": list(results)}
    return done | ({"numErrors": len(errors), "errors": list(errors)} if errors else {})


def record(made: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it is kept and told."""
    return {
        "id": made,
        "archived": False,
        "createdAt": _MOMENT,
        "updatedAt": _MOMENT,
        "properties": dict(properties),
    }


def a_property(given: Mapping[str, Any]) -> dict[str, Any]:
    """A property of calls, with what HubSpot adds to it."""
    kind = {"type": "string", "fieldType": "text", "groupName": "call", "label": given["name"]}
    return {"description": "", "options": [], "hasUniqueValue": False, **kind, **given}
