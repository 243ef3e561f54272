"""Times as an Asterisk prints them: an epoch, or a local time whose zone is configured or measured.

A uniqueid begins with the UTC second in which its channel was created, and what is told of the channel comes at that
moment or later. How far a printed time is ahead of it, cut to a quarter of an hour, is the zone, as long as the record
is less than a quarter of an hour younger than its channel. A feed that sees the rows one after the other measures on
those that tell of a beginning, and remembers: `measured`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from producers.adapter import Batch, Feed, Frame, Notice, Reading

_CREATED = re.compile(r"(?:.*-)?([0-9]{9,10})\.[0-9]+")
_EPOCH = re.compile(r"([0-9]{9,10})(?:\.([0-9]{1,6})0*)?")
_LOCAL = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?(Z|[+-][0-9]{2}:?(?:[0-9]{2})?)?"
)
_QUARTER = 900
_EARLY = 60
"""Seconds that a record may seem older than its channel: another machine's clock wrote it."""
_WIDEST = 14 * 3600


def moment(text: str, zone: tzinfo, created: int | None = None) -> tuple[int, str] | None:
    """(µs UTC, precision) of an epoch or of a printed time, in its own zone or in `zone`; None when it is no time.

    The hour that a clock shows twice is the second one when the first lies before `created`, the channel's second.
    """
    if epoch := _EPOCH.fullmatch(text):
        return int(epoch[1]) * 1_000_000 + _micros(epoch[2]), "us" if epoch[2] else "s"
    found = _LOCAL.fullmatch(text)
    local = _parsed(found) if found else None
    if found is None or local is None:
        return None
    at = local if local.tzinfo else local.replace(tzinfo=zone)
    seconds = round(at.timestamp())
    if created is not None and seconds < created - _EARLY and not local.tzinfo:
        seconds = round(at.replace(fold=1).timestamp())
    return seconds * 1_000_000 + _micros(found[3]), "us" if found[3] else "s"


def of(zone: str, ahead: str, text: str, uniqueids: Sequence[str]) -> tzinfo | None:
    """The zone of a printed time: as configured, as measured before (seconds ahead of UTC), as its channel tells.

    None when nothing tells it.
    """
    if zone:
        return _zone(zone)
    if ahead:
        return timezone(timedelta(seconds=int(ahead)))
    made = created(*uniqueids)
    found = None if made is None else _ahead(text, made)
    return None if found is None else timezone(timedelta(seconds=found))


def is_local(text: str) -> bool:
    """A printed time that does not say its zone."""
    found = _LOCAL.fullmatch(text)
    return found is not None and not found[4]


def created(*uniqueids: str) -> int | None:
    """The UTC second that the first of these ids which has one begins with; an id of the caller's own has none."""
    made = next((m for m in map(_CREATED.fullmatch, uniqueids) if m), None)
    return int(made[1]) if made else None


def measured(feed: Feed, beginning: Callable[[Frame], tuple[str, str] | None]) -> Feed:
    """The feed, each frame told how far the PBX's clock is ahead of UTC (`facts`: ahead), also after a restart.

    `beginning` gives (printed time, uniqueid) of a frame that tells of something as it begins, or None.
    """

    def read(reading: Reading) -> Iterator[Batch]:
        ahead: str = str(reading.position.get("ahead", ""))

        def told(item: Frame | Notice) -> Frame | Notice:
            nonlocal ahead
            if isinstance(item, Notice):
                return item
            text, uniqueid = beginning(item) or ("", "")
            made = created(uniqueid)
            found = None if made is None else _ahead(text, made)
            if found is not None:
                ahead = str(found)
            return replace(item, facts={"ahead": ahead})

        for batch in feed(reading):
            items = [told(item) for item in batch.items]
            position = None if batch.position is None else {**batch.position, "ahead": ahead}
            yield Batch(items=items, position=position)

    return read


def _ahead(text: str, made: int) -> int | None:
    """Seconds that a printed local time is ahead of UTC, given the second of a beginning just before it."""
    found = _LOCAL.fullmatch(text)
    local = _parsed(found) if found else None
    if local is None or local.tzinfo:
        return None
    whole = (round(local.replace(tzinfo=UTC).timestamp()) - made + _EARLY) // _QUARTER * _QUARTER
    return whole if abs(whole) <= _WIDEST else None


def _parsed(found: re.Match[str]) -> datetime | None:
    own = found[4] or ""
    if own and own != "Z":
        digits = own[1:].replace(":", "").ljust(4, "0")
        own = f"{own[0]}{digits[:2]}:{digits[2:]}"
    try:
        parsed = datetime.fromisoformat(f"{found[1]}T{found[2]}{own}")
    except ValueError:
        return None
    return parsed if 1990 <= parsed.year <= 2200 else None  # noqa: PLR2004 - no telephone call


def _micros(digits: str | None) -> int:
    return int(digits.ljust(6, "0")) if digits else 0


def _known_zone(zone: str) -> str:
    if zone:
        try:
            _zone(zone)
        except (KeyError, OSError, ValueError) as e:
            raise ValueError("there is no IANA zone of that name") from e
    return zone


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


Zone = Annotated[str, AfterValidator(_known_zone)]
"""The name of an IANA zone, or empty: checked when the configuration is read."""
