"""Asterisk: queue_log, the file or the realtime table, followed as it grows.

quality: records only, of queues and their agents, in whole seconds: why a caller left, who rang, talked and paused. A
call has no number of its own here but its caller's channel. Beside `asterisk_ami` or `asterisk_cel` of the same PBX
(`of`) it tells what they do not. Shown on Asterisk 16.

queues.conf, so that the agents are those of AMI:

    [general]
    log_membername_as_agent = no

For a table: `queue_log => odbc,asterisk` in extconfig.conf, and `queue_log_realtime_use_gmt = yes` in logger.conf with
`zone = "UTC"` here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from producers.adapter import Adapter, Context, Feed, Frame
from producers.pbx._asterisk import queue_log, records, zone
from schemas.events import CallEvent
from streams.runtime.errors import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(records.Source):
    path: Path = Path("/var/log/asterisk/queue_log")
    """The file that the queues append to."""
    table: records.Name = "queue_log"
    """The table, where a database is configured; may be schema.table."""
    key: records.Name = "id"
    """Its column that rises: the number that the database gives, or time."""


def feed(config: Config) -> Feed:
    def beginning(frame: Frame) -> tuple[str, str] | None:
        """A caller enters the queue soon after his channel is created."""
        if b"ENTERQUEUE" not in frame.raw:
            return None
        try:
            found = queue_log.read(frame.raw)
        except Reject:
            return None
        return found.get("time", ""), queue_log.uniqueid(found)

    return zone.measured(records.feed(config, config.path), beginning)


def normalise(frame: Frame, context: Context[Config]) -> Iterator[CallEvent]:
    """The events of one row, at its time: an epoch in the file, a printed time in the table."""
    found = queue_log.read(frame.raw)
    if facts := list(queue_log.facts(context, found)):
        at = records.moment(frame, context, found.get("time", ""), queue_log.uniqueid(found))
        yield from records.events(frame, context, at, facts)


adapter = Adapter(config=Config, feed=feed, normalise=normalise, replays=True, of=lambda config: config.of)
