"""Asterisk: channel event logging, from the file of cel_custom or from a database table, followed as it grows.

quality: records only, but they tell the whole life of each channel: with them alone a call is known with its queue, its
bridges and its transfers, without holds and without who was rung in vain. Beside `asterisk_ami` of the same PBX (`of`)
they complete what was missed there. Shown on Asterisk 16; reads both dialects (1.8 to 11, and since 12).

cel.conf (dateformat left out: times are then an epoch with microseconds):

    [general]
    enable = yes
    apps = dial,park,queue,voicemail
    events = ALL

cel_custom.conf, the sample's own line (also written as a category: `fields = eventtype,eventtime,name,num,…`):

    [mappings]
    Master.csv => ${CSV_QUOTE(${eventtype})},${CSV_QUOTE(${eventtime})},${CSV_QUOTE(${CALLERID(name)})},${CSV_QUOTE(${CALLERID(num)})},${CSV_QUOTE(${CALLERID(ANI)})},${CSV_QUOTE(${CALLERID(RDNIS)})},${CSV_QUOTE(${CALLERID(DNID)})},${CSV_QUOTE(${CHANNEL(exten)})},${CSV_QUOTE(${CHANNEL(context)})},${CSV_QUOTE(${CHANNEL(channame)})},${CSV_QUOTE(${CHANNEL(appname)})},${CSV_QUOTE(${CHANNEL(appdata)})},${CSV_QUOTE(${CHANNEL(amaflags)})},${CSV_QUOTE(${CHANNEL(accountcode)})},${CSV_QUOTE(${CHANNEL(uniqueid)})},${CSV_QUOTE(${CHANNEL(linkedid)})},${CSV_QUOTE(${BRIDGEPEER})},${CSV_QUOTE(${CHANNEL(userfield)})},${CSV_QUOTE(${userdeftype})},${CSV_QUOTE(${eventextra})}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from producers.adapter import Adapter, Context, Feed, Frame
from producers.pbx._asterisk import cel, cel_row, records, zone
from producers.pbx._asterisk.rows import row
from schemas.events import CallEvent
from streams.runtime.errors import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(records.Source):
    path: Path = Path("/var/log/asterisk/cel-custom/Master.csv")
    """The file that cel_custom appends to; values separated by commas, or JSON objects (format = json)."""
    columns: tuple[str, ...] = (
        *("eventtype", "eventtime", "name", "num", "ani", "rdnis", "dnid", "exten", "context", "channame", "appname"),
        *("appdata", "amaflags", "accountcode", "uniqueid", "linkedid", "peer", "userfield", "userdeftype"),
        "eventextra",
    )
    """What the file's line holds, in its order, by the names of cel_custom.conf; as the sample writes it."""
    table: records.Name = "cel"
    """The table, where a database is configured; may be schema.table."""
    key: records.Name = "eventtime"
    """Its column that rises. One that numbers the rows (id) is better: it keeps the order within a second."""
    ivr_events: tuple[str, ...] = ()
    """Names of user-defined events (CELGenUserEvent) by which the dialplan tells an IVR choice."""
    note_events: tuple[str, ...] = ()
    """Names of user-defined events that are a note on the call."""


def feed(config: Config) -> Feed:
    def beginning(frame: Frame) -> tuple[str, str] | None:
        """A channel is created in the second that its uniqueid begins with."""
        if b"CHAN_START" not in frame.raw:
            return None
        try:
            found = cel_row.from_row(row(frame.raw, (config.columns,)))
        except Reject:
            return None
        return found.get("eventtime", ""), found.get("uniqueid", "")

    return zone.measured(records.feed(config, config.path), beginning)


def normalise(frame: Frame, context: Context[Config]) -> Iterator[CallEvent]:
    """The events of one row, at its time: an epoch, or a printed time in the PBX's zone."""
    fields = cel_row.from_row(row(frame.raw, (context.config.columns,)))
    at = records.moment(
        frame, context, fields.get("eventtime", ""), fields.get("uniqueid", ""), fields.get("linkedid", "")
    )
    yield from records.events(frame, context, at, cel.facts(context, fields))


adapter = Adapter(config=Config, feed=feed, normalise=normalise, replays=True, of=lambda config: config.of)
