"""Where the events of one call are: in the warehouse, in the log, or in a file. Each gives them as they arrived."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
from clickhouse_connect.driver.client import Client

from schemas.events import EnrichedCallEvent
from streams.runtime import warehouse
from streams.runtime.errors import Reject

Row = dict[str, Any]
HOUR_US = 3_600_000_000
SETTLED_US = 600_000_000
"""So long after its last revision, what is told of the PBX itself is no more about a call."""
_FIELDS = frozenset(each.name for each in fields(EnrichedCallEvent))
SOURCE = ("source.up", "source.down", "gap.detected", "gap.resolved")


@dataclass(slots=True)
class Names:
    """Which events are of a call: those under one of its native ids, and those of a leg that was seen under one."""

    natives: Collection[str]
    legs: set[str] = field(default_factory=set)
    pbx: str = ""
    settled: int | None = None
    """What is told of the PBX itself after this moment is not wanted."""

    def take(self, event: EnrichedCallEvent) -> bool:
        """Whether the event is of the call, or about the PBX itself; events must come in their order."""
        if event.type in SOURCE:
            return event.pbx == self.pbx and (self.settled is None or event.ts <= self.settled)
        if event.call_id in self.natives:
            self.legs |= {event.leg_id} - {""}
            return True
        ids = {event.leg_id}
        if event.type != "leg.updated":  # a supervisor who listens names a leg, and is no part of the call
            ids |= {event.peer_leg_id, event.peer_call_id}
        if event.type == "agent.completed" and ids == {""}:
            return event.pbx == self.pbx  # it can come without any id
        return bool(ids & self.legs) or bool(ids & set(self.natives))


_FIND = """
SELECT call_id, merged_into, native_ids, tenant, pbx, state,
       toUnixTimestamp64Micro(started_at) AS since, toUnixTimestamp64Micro(updated_at) AS until
FROM calls FINAL WHERE call_id = {call:String}
"""
_FIND_WITHIN = _FIND.replace(
    "call_id = {call:String}",
    "state != 'merged' AND (has(native_ids, {call:String}) OR has(segments.leg_id, {call:String})"
    " OR has(participants.leg_id, {call:String}))",
)
_EVENTS = """
SELECT * REPLACE (hex(event_id) AS event_id, toUnixTimestamp64Micro(ts) AS ts,
                  toUnixTimestamp64Micro(received_at) AS received_at)
FROM
(
    WITH legs AS
    (
        SELECT DISTINCT leg_id FROM call_events
        WHERE tenant = {tenant:String} AND pbx = {pbx:String} AND leg_id != '' AND call_id IN {natives:Array(String)}
          AND ts BETWEEN fromUnixTimestamp64Micro({since:Int64}, 'UTC') AND fromUnixTimestamp64Micro({until:Int64}, 'UTC')
    )
    SELECT * FROM call_events
    WHERE tenant = {tenant:String} AND pbx = {pbx:String}
      AND ts BETWEEN fromUnixTimestamp64Micro({since:Int64}, 'UTC') AND fromUnixTimestamp64Micro({until:Int64}, 'UTC')
      AND (call_id IN {natives:Array(String)} OR leg_id IN {natives:Array(String)} OR leg_id IN legs
           OR ((peer_leg_id IN legs OR peer_call_id IN {natives:Array(String)}) AND type != 'leg.updated')
           OR (leg_id = '' AND peer_leg_id = '' AND type = 'agent.completed')
           OR type IN ('gap.detected', 'gap.resolved')
           OR (type IN ('source.up', 'source.down') AND ts <= fromUnixTimestamp64Micro({settled:Int64}, 'UTC')))
    ORDER BY _partition, _offset LIMIT 1 BY _partition, _offset
)
ORDER BY _partition, _offset
"""


def of_warehouse(client: Client, call: str, late_us: int) -> Iterator[EnrichedCallEvent]:
    """The events of the call with that id, native id or leg, up to `late_us` after its end.

    Raises Reject when the warehouse has no such call.
    """
    found = _one(client, _FIND, call) or _one(client, _FIND_WITHIN, call)
    while found is not None and found["merged_into"]:
        found = _one(client, _FIND, found["merged_into"])
    if found is None:
        raise Reject(
            f"no call {call} in the warehouse; `trunkline calls list` shows the ids, `--log` looks into the topics"
        )
    span = {
        "since": found["since"] - HOUR_US,
        "until": found["until"] + late_us,
        "settled": found["until"] + SETTLED_US,
    }
    asked = {key: found[key] for key in ("tenant", "pbx")} | {"natives": list(found["native_ids"])} | span
    for row in warehouse.rows(client, _EVENTS, asked):
        yield event_of(row)


def _one(client: Client, sql: str, call: str) -> Row | None:
    return next(warehouse.rows(client, sql, {"call": call}), None)


def of_file(path: Path) -> Iterator[EnrichedCallEvent]:
    """The events of a file of JSON lines in their order; Reject names the line that is none.

    A line is an event, or an object with the event under `event`, as `calls explain --json` prints it.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
                if row.get("event", row) is not None:  # else a step that no event made, or the record at the end
                    yield event_of(row.get("event", row), line)
            except (ValueError, TypeError, KeyError, AttributeError) as e:
                raise Reject(f"{path}:{number}: not an event in JSON ({type(e).__name__}: {e})") from None


def event_of(row: Mapping[str, Any], line: bytes = b"") -> EnrichedCallEvent:
    """An event from a row by field name: times in µs or ISO 8601, the id in hex.

    What a row leaves out is empty; an id that is left out is a hash of `line`. Raises ValueError, TypeError or KeyError.
    """
    known = {key: value for key, value in row.items() if key in _FIELDS}
    known["ts"] = _moment(row["ts"])
    known["received_at"] = _moment(row.get("received_at", known["ts"]))
    known["event_id"] = _identity(str(row.get("event_id", "")), line)
    known["data"] = {str(key): str(value) for key, value in dict(row.get("data") or {}).items()}
    known["candidates"] = tuple(row.get("candidates") or ())
    pbx = row.get("pbx") or str(row.get("call_id") or row.get("leg_id") or "").partition(":")[0]
    tenant = row.get("tenant") or "default"
    event = {"tenant": tenant, "pbx": pbx, "merge_key": f"{tenant}/{pbx}", **known}
    return EnrichedCallEvent(**event)


def as_json(event: EnrichedCallEvent) -> Row:
    """What `event_of` reads: the fields that say something."""
    row = {each.name: getattr(event, each.name) for each in fields(event)}
    kept = {key: value for key, value in row.items() if value not in ("", None, (), {}, False)}
    return kept | {"event_id": event.event_id.hex(), "data": dict(event.data)}


def _moment(value: int | str | datetime) -> int:
    if isinstance(value, int):
        return value
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def _identity(text: str, line: bytes) -> bytes:
    try:
        known = bytes.fromhex(text)
    except ValueError:
        known = b""
    return known if len(known) == 16 else blake2b(line or text.encode(), digest_size=16).digest()  # noqa: PLR2004 - bytes of an id
