"""The closed list of what Trunkline measures. A metric that is not declared here does not exist.

Labels never hold a number, a name or a token: they are roles, topics, configured names and words of closed lists.
"""

from collections.abc import Sequence
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def _counter(name: str, sentence: str, labels: Sequence[str] = ()) -> Counter:
    return Counter(f"trunkline_{name}", sentence, labels)


def _gauge(name: str, sentence: str, labels: Sequence[str] = ()) -> Gauge:
    return Gauge(f"trunkline_{name}", sentence, labels)


def _seconds(name: str, sentence: str, labels: Sequence[str] = ()) -> Histogram:
    return Histogram(f"trunkline_{name}_seconds", sentence, labels, buckets=_SECONDS)


FRAMES_RECEIVED = _counter("frames_received", "Frames read from a PBX.", ["pbx"])
EVENTS_PUBLISHED = _counter("events_published", "Events that the broker acknowledged.", ["pbx"])
FRAMES_IGNORED = _counter("frames_ignored", "Frames that carry no fact of the taxonomy.", ["pbx"])
SOURCE_UP = _gauge("source_up", "1 while the adapter reads from its PBX.", ["pbx"])
SOURCE_GAP = _counter("source_gap_seconds", "Seconds during which a PBX was not being read.", ["pbx"])
SOURCE_LOST = _counter("source_lost_frames", "Beginnings and ends of channels that only an audit told.", ["pbx"])
CLOCK_SKEW = _gauge("clock_skew_seconds", "The PBX's clock minus ours.", ["pbx"])
SPOOL_BYTES = _gauge("spool_bytes", "Events on disk that wait for the broker.", ["pbx"])
SPOOL_TORN = _counter("spool_torn_bytes", "Bytes of a half-written last event, cut after a crash.", ["pbx"])
SPOOL_DAMAGED = _counter("spool_damaged_bytes", "Bytes of the spool that could not be read back: lost.", ["pbx"])
SPOOL_REFUSED = _counter(
    "spool_refused_events", "Events that a full spool could not take; published as a gap.", ["pbx"]
)

STREAM_RECEIVED = _counter("stream_received", "Records read by a stream.", ["stream"])
STREAM_PUBLISHED = _counter("stream_published", "Records that a stream committed.", ["stream"])
STREAM_DUPLICATES = _counter("stream_duplicates", "Events dropped because they were seen before.", ["stream"])
STREAM_ABORTED = _counter("stream_aborted_batches", "Batches that were aborted and read again.", ["stream"])
STREAM_COMMIT = _seconds("stream_commit", "Time to commit a batch.", ["stream"])
STREAM_LAG = _gauge("stream_lag_records", "Records between a stream and the end of its input.", ["stream", "partition"])
OPEN_CALLS = _gauge("open_calls", "Calls that the fold holds open.", ["partition"])
CALLS_DIFFER = _counter(
    "calls_differing", "Calls whose sources (AMI, CEL, CDR) contradict each other by more than rounding.", ["pbx"]
)
CALLS_INCOMPLETE = _counter(
    "calls_incomplete", "Calls of which the PBX's events contradict each other: one or more never came.", ["pbx"]
)
CONTACTS = _gauge("contacts", "Numbers that enrichment knows.", [])

DEAD_LETTERS = _counter(
    "dead_letters", "Records that could not be used; see `trunkline dead list`.", ["topic", "stage"]
)

ROWS_INSERTED = _counter("rows_inserted", "Rows that ClickHouse acknowledged.", ["topic"])
INSERT_SECONDS = _seconds("insert", "Time of one insert.", ["topic"])
INSERT_RETRIES = _counter("insert_retries", "Inserts tried again with the same token.", ["topic"])
TOMBSTONES = _counter("sink_tombstones", "Tombstones that a sink passed over.", ["topic"])
SINK_LOST = _counter("sink_lost_records", "Offsets that retention took before a sink had read them.", ["topic"])
SINK_LAG = _gauge("sink_lag_records", "Records between a sink and the end of its input.", ["sink"])

CRM_WRITES = _counter("crm_writes", "Ledger entries by state.", ["crm", "state"])
CRM_JOURNAL = _seconds("crm_journal", "From hang-up to the confirmed journal entry.", ["crm"])
CRM_REQUESTS = _counter("crm_requests", "Requests to a CRM by verdict.", ["crm", "verdict"])
CRM_CONTACTS = _counter("crm_contacts", "Contact records produced by a feed: changed or deleted.", ["crm", "kind"])


def declared() -> set[str]:
    """The names that the registry may hold from us."""
    return {metric.name for metric in REGISTRY.collect() if metric.name.startswith("trunkline_")}
