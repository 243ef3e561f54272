"""The search of a HubSpot account in memory: an index that is behind, and a grammar of filters."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from streams.runtime.clock import ManualClock

_LIMIT, _END = 200, 10_000
_DIGITS = re.compile(r"\D")
_SEARCHABLE = {
    "hs_searchable_calculated_phone_number": "phone",
    "hs_searchable_calculated_mobile_number": "mobilephone",
}
_BY_ID = ({"propertyName": "hs_object_id", "direction": "ASCENDING"},)


class Index:
    """Contacts as the search knows them."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._coming: list[tuple[float, str, dict[str, Any] | None]] = []
        self._known: dict[str, dict[str, Any]] = {}

    def show(self, contact_id: str, record: Mapping[str, Any] | None, lag: float) -> None:
        """Know the record as it is now (None: it is not there), so many seconds later."""
        copy = None if record is None else {**record, "properties": dict(record["properties"])}
        self._coming.append((self._clock.monotonic() + lag, contact_id, copy))

    def search(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """A page, or None when it asks for too much: the first 10,000 are shown, 200 at once."""
        self._catch_up()
        groups = body.get("filterGroups") or [{"filters": []}]
        found = [r for r in self._known.values() if any(all(_fits(r, f) for f in g["filters"]) for g in groups)]
        for sort in body.get("sorts", _BY_ID):
            found.sort(
                key=lambda r: by_size(_value(r, sort["propertyName"])), reverse=sort["direction"] == "DESCENDING"
            )
        first, size = int(body.get("after", "0")), body.get("limit", 10)
        if size > _LIMIT or first + size > _END:
            return None
        return {"total": len(found), **_page(found, first, size)}

    def _catch_up(self) -> None:
        now = self._clock.monotonic()
        for at, contact_id, copy in self._coming:
            if at <= now and copy is None:
                self._known.pop(contact_id, None)
            elif at <= now and copy is not None:
                self._known[contact_id] = copy
        self._coming = [one for one in self._coming if one[0] > now]


def _page(found: Sequence[object], first: int, size: int) -> dict[str, Any]:
    end = first + size
    return {"results": found[first:end], **({"paging": {"next": {"after": str(end)}}} if end < len(found) else {})}


def _value(record: Mapping[str, Any], name: str) -> str:
    if name == "hs_object_id":
        return str(record["id"])
    if name in _SEARCHABLE:
        digits = _DIGITS.sub("", record["properties"].get(_SEARCHABLE[name]) or "")
        return re.sub(r"^(0033|33|0)", "", digits)  # the account's country
    found = str(record["properties"].get(name) or "")
    return str(round(datetime.fromisoformat(found).timestamp() * 1000)) if name == "lastmodifieddate" else found


def by_size(value: str) -> tuple[int, str]:
    """Numbers in text, by their size."""
    return len(value), value


def _fits(record: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    found, value = _value(record, wanted["propertyName"]), wanted["value"]
    match wanted["operator"]:
        case "GT":
            return by_size(found) > by_size(value)
        case "GTE":
            return by_size(found) >= by_size(value)
        case "CONTAINS_TOKEN":
            return bool(found) and found.endswith(value[1:]) if value.startswith("*") else found == value
    raise AssertionError(wanted["operator"])
