"""amoCRM's lists, which have page numbers only: read so that what changes or goes meanwhile hides nothing that stays."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.clients.amocrm import PAGE, AmoClient

_BY_TIME = "order[updated_at]"
_BY_ID = {"order[id]": "asc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a list by time goes on: back to a second, at a page, behind the row `last`."""

    since: int
    number: int = 1
    last: int = 0
    newest: int = 0
    """Second of the last update when the first page was read; 0 before that."""


async def step(
    client: AmoClient, path: str, at: Place, query: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], Place, bool]:
    """A page of what was updated at or after a second, newest first; where that leaves us, and whether there is more.

    What is updated meanwhile goes to the head, and is in the next reading, from `newest` on; the rest moves back, and is
    read twice. What is deleted moves it ahead: then the reading begins again. The filter only spares rows: where an
    account's filters are not switched on, the portal takes no notice of it (and nobody knows if it includes its second).
    """
    asked = {_BY_TIME: "desc", "filter[updated_at][from]": at.since - 1, **query}
    rows = await client.rows(path, asked, at.number)
    fresh = [row for row in rows if int(row["updated_at"]) >= at.since]
    newest = at.newest or (int(fresh[0]["updated_at"]) if fresh else at.since)
    follows = at.number == 1 or at.last in {row["id"] for row in rows}
    if not follows and not await client.stays(path, asked, at.number - 1, at.last):
        return fresh, Place(since=at.since, newest=newest), True
    if len(fresh) < PAGE:
        return fresh, Place(since=at.since, newest=newest), False
    return fresh, Place(since=at.since, number=at.number + 1, last=int(rows[-1]["id"]), newest=newest), True


async def updated(client: AmoClient, path: str, since: int, query: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """What was updated at or after a second, newest first; some of it more than once."""
    at, more = Place(since=since), True
    while more:
        rows, at, more = await step(client, path, at, query)
        for row in rows:
            yield row


async def by_id(client: AmoClient, path: str, number: int, last: int) -> tuple[list[dict[str, Any]], int]:
    """Page `number` of everything by id, which follows the row `last` (0: none), and its number.

    What was deleted meanwhile moves the rest ahead, into pages that were read: then one of those is read again.
    """
    rows = await client.rows(path, _BY_ID, number)
    if number > 1 and not await client.stays(path, _BY_ID, number - 1, last):
        while number > 1:
            number -= 1
            rows = await client.rows(path, _BY_ID, number)
            if rows and int(rows[0]["id"]) <= last:
                break
    return rows, number


async def latest(client: AmoClient, path: str) -> int:
    """The second of the last update; 0 when there is nothing."""
    rows = await client.rows(path, {"limit": 1, _BY_TIME: "desc"})
    return int(rows[0]["updated_at"]) if rows else 0


def numbers(card: Mapping[str, Any]) -> Sequence[str]:
    """A card's telephone numbers as people typed them."""
    fields = card.get("custom_fields_values") or []
    return [str(v["value"]) for f in fields if f.get("field_code") == "PHONE" for v in f["values"] if v.get("value")]
