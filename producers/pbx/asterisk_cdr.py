"""Asterisk: call detail records from cdr_csv's Master.csv, followed as it grows.

quality: records only, no live events. Beside `asterisk_ami` of the same PBX (`of`) it backs up what was missed there.

A record also comes over AMI when cdr_manager is on. The two are different facts with different ids (the line has columns
that the event lacks); whoever folds calls merges them by content: uniqueid, start, channels.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from producers import feeds
from producers.adapter import Adapter, Context, Feed, Frame, event_id
from producers.pbx._asterisk import cdr
from producers.tail import LONGEST
from schemas.events import CallEvent
from streams.runtime.errors import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    path: Path = Path("/var/log/asterisk/cdr-csv/Master.csv")
    """The file that cdr_csv appends to."""
    of: str = ""
    """Name of the [pbx] section whose calls these are, so that records and events meet; empty: this section itself."""
    zone: cdr.Zone = ""
    """IANA zone of the times in the file; empty: measured from each record's uniqueid."""
    backfill: bool = False
    """At the very first start, read what the file already holds."""


def feed(config: Config) -> Feed:
    return feeds.follow(config.path, from_start=config.backfill)


def normalise(frame: Frame, context: Context[Config]) -> Iterator[CallEvent]:
    """One cdr.final per line, at the record's end. Columns depend on cdr.conf and are told by their number."""
    if len(frame.raw) > LONGEST:
        raise Reject(f"a line of more than {LONGEST} bytes")
    record = _record(frame.raw.decode("utf-8", "replace"))
    ts = cdr.micros(record["end"], cdr.offset(record, context.config.zone))
    if ts is None:
        raise Reject(f"end is no time: {record['end'][:40]!r}")
    yield CallEvent(
        event_id=event_id(context.tenant, context.pbx, frame.raw, frame.ordinal),
        tenant=context.tenant,
        pbx=context.pbx,
        merge_key=context.merge_key,
        ts=ts,
        ts_precision="s",
        received_at=frame.received_at,
        seq=frame.seq,
        synthetic=True,
        **cdr.facts(context, record),
    )


def _record(line: str) -> dict[str, str]:
    try:
        row = next(csv.reader([line], strict=True), [])
    except csv.Error as e:
        raise Reject(f"no CSV: {e}") from e
    tail = cdr.TAILS.get(len(row))
    if tail is None:
        raise Reject(f"{len(row)} columns; a record has {', '.join(map(str, cdr.TAILS))}")
    return dict(zip((*cdr.COLUMNS, *tail), row, strict=True))


adapter = Adapter(config=Config, feed=feed, normalise=normalise, replays=True, of=lambda config: config.of)
