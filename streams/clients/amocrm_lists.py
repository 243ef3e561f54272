"""amoCRM's lists, which have page numbers only: read so that what changes or goes meanwhile hides nothing that stays."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.clients.amocrm import PAGE, AmoClient

_BY_TIME = "order[updated_at]"
_BY_ID = {"order[id]": "asc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a list by time goes on: at a second, and within it at a page, behind the row `last`."""

    since: int
    number: int = 1
    last: int = 0


async def step(
    client: AmoClient, path: str, at: Place, query: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], Place | None]:
    """A page of what was updated at or after a second, oldest first, and where the next one begins; None: that was all.

    The next page begins at the last second again, for what is updated meanwhile goes to the end. Only a second that
    fills a page is read by page numbers, and from its start again when a row has left it.
    """
    # Whether `from` includes its own second is not documented.
    asked = {"filter[updated_at][from]": at.since - 1, _BY_TIME: "asc", **query}
    rows = await client.rows(path, asked, at.number)
    if at.number > 1 and not await client.stays(path, asked, at.number - 1, at.last):
        return rows, Place(since=at.since)
    if len(rows) < PAGE:
        return rows, None
    newest = int(rows[-1]["updated_at"])
    if newest > at.since:
        return rows, Place(since=newest)
    return rows, Place(since=at.since, number=at.number + 1, last=int(rows[-1]["id"]))


async def updated(client: AmoClient, path: str, since: int, query: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Everything updated at or after a second, oldest first; some of it more than once."""
    at: Place | None = Place(since=since)
    while at:
        rows, at = await step(client, path, at, query)
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
