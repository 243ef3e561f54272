"""Asterisk: call detail records, from cdr_csv's Master.csv or from a database table, followed as it grows.

quality: records only, no live events. Beside `asterisk_ami` of the same PBX (`of`) it backs up what was missed there.
The table is that of cdr_adaptive_odbc, cdr_pgsql or FreePBX (with `key = "calldate"`); shown on Asterisk 16.

A record also comes over AMI when cdr_manager is on. The two are different facts with different ids (the line has columns
that the event lacks); whoever folds calls merges them by content: uniqueid, start, channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from producers.adapter import Adapter, Context, Feed, Frame
from producers.pbx._asterisk import cdr, records
from producers.pbx._asterisk.rows import row
from schemas.events import CallEvent
from streams.runtime.errors import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(records.Source):
    path: Path = Path("/var/log/asterisk/cdr-csv/Master.csv")
    """The file that cdr_csv appends to."""
    table: records.Name = "cdr"
    """The table, where a database is configured; may be schema.table."""
    key: records.Name = "end"
    """Its column that rises: a number that the database gives, or the time of the record's end. Where there is only
    the time of its start (calldate), `overlap` must be the longest call."""


def feed(config: Config) -> Feed:
    return records.feed(config, config.path)


def normalise(frame: Frame, context: Context[Config]) -> Iterator[CallEvent]:
    """One cdr.final per record, at its end. Columns of a line depend on cdr.conf and are told by their number."""
    record = cdr.from_row(row(frame.raw, cdr.LAYOUTS))
    ts = cdr.times(record, context.config.zone).get("end")
    if ts is None:
        raise Reject(f"end is no time: {record.get('end', '')[:40]!r}")
    yield from records.events(frame, context, (ts, "s"), (cdr.facts(context, record),))


adapter = Adapter(config=Config, feed=feed, normalise=normalise, replays=True, of=lambda config: config.of)
