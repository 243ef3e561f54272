"""A call detail record of Asterisk, from cdr_manager's event or from a line of Master.csv: one shape, `cdr.final`.

Times are the PBX's local time, whole seconds (cdr/cdr_csv.c, cdr/cdr_manager.c). Without a configured zone it is
measured: the uniqueid begins with the UTC second in which the channel was created, and `start` is that moment or
later. Rounded to a quarter of an hour this is the zone, unless the record's part of the call began minutes after its
channel: set `zone` where that matters.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from producers.pbx._asterisk.channels import Facts, Site, extension, known, scoped

COLUMNS = (
    *("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata"),
    *("start", "answer", "end", "duration", "billsec", "disposition", "amaflags"),
)
TAILS = {
    16: (),
    17: ("uniqueid",),
    18: ("uniqueid", "userfield"),
    19: ("peeraccount", "linkedid", "sequence"),
    20: ("uniqueid", "peeraccount", "linkedid", "sequence"),
    21: ("uniqueid", "userfield", "peeraccount", "linkedid", "sequence"),
}
"""How many columns a line has tells which options of cdr.conf are on: loguniqueid, loguserfield, newcdrcolumns."""
_EVENT = {
    "accountcode": "accountcode",
    "source": "src",
    "destination": "dst",
    "destinationcontext": "dcontext",
    "callerid": "clid",
    "channel": "channel",
    "destinationchannel": "dstchannel",
    "lastapplication": "lastapp",
    "lastdata": "lastdata",
    "starttime": "start",
    "answertime": "answer",
    "endtime": "end",
    "duration": "duration",
    "billableseconds": "billsec",
    "disposition": "disposition",
    "amaflags": "amaflags",
    "uniqueid": "uniqueid",
    "userfield": "userfield",
}
_EPOCH = re.compile(r"(?:.*-)?([0-9]{9,10})\.[0-9]+")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_QUARTER = 900
_NAME = re.compile(r'^"(.*)" <.*>$')


def from_event(fields: Mapping[str, str]) -> dict[str, str]:
    """The record behind a `Cdr` event, under the names of Master.csv, with the dialplan's own additions kept."""
    own = {key for key in fields if key not in ("event", "privilege", "timestamp", "systemname")}
    return {_EVENT.get(key, key): fields[key] for key in sorted(own)}


def facts(site: Site, record: Mapping[str, str]) -> Facts:
    """cdr.final. Its linkedid, where the source has it, is the call's id; the uniqueid is the leg's."""
    numbers = site.numbers
    source, destination = known(record.get("src", "")), known(record.get("dst", ""))
    name = _NAME.match(record.get("clid", ""))
    data = {key: value for key, value in record.items() if value}
    zone = offset(record, site.config.zone)
    for key in ("start", "answer", "end"):
        at = micros(record.get(key, ""), zone)
        if at is not None:
            data[f"{key}_us"] = str(at)
    channel = record.get("channel", "")
    outside = numbers.dialled(destination)
    inside = extension(site, channel) or numbers.is_extension(source)
    return {
        "type": "cdr.final",
        "call_id": scoped(site, record.get("linkedid", "")),
        "leg_id": scoped(site, record.get("uniqueid", "")),
        "channel": channel,
        "caller_raw": source,
        "caller_e164": numbers.e164(source),
        "caller_name": name[1] if name else "",
        "callee_raw": destination,
        "callee_e164": outside,
        "customer_number": numbers.customer(outside) if inside else numbers.customer(source, outside),
        "data": data,
    }


def offset(record: Mapping[str, str], zone: str) -> tzinfo:
    """The zone of a record's times: as configured, or measured from its uniqueid, or UTC when it has none."""
    if zone:
        return _zone(zone)
    created = _EPOCH.fullmatch(record.get("linkedid") or record.get("uniqueid", ""))
    start = _parsed(record.get("start", ""))
    if created is None or start is None:
        return UTC
    ahead = start.replace(tzinfo=UTC).timestamp() - int(created[1])
    whole = round(ahead / _QUARTER) * _QUARTER
    return timezone(timedelta(seconds=whole)) if abs(whole) <= 14 * 3600 else UTC


def micros(text: str, zone: tzinfo) -> int | None:
    """A printed local time as µs UTC, or None when there is none."""
    local = _parsed(text)
    return None if local is None else round(local.replace(tzinfo=zone).timestamp()) * 1_000_000


def _parsed(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        parsed = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - the zone is worked out by the caller
    except ValueError:
        return None
    return parsed if 1990 <= parsed.year <= 2200 else None  # noqa: PLR2004 - no telephone call


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
