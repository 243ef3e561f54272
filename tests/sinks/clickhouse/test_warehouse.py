"""What arrives in the tables: every field of every example, versions side by side, revisions, reports."""

import datetime as dt
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from structlog.testing import capture_logs

from schemas.codec import HEADER, as_row, encode, header
from schemas.events import Call, CallEvent, CrmWrite, QueueVisit, Segment
from schemas.samples import samples
from schemas.topics import manifest
from sinks.clickhouse.avro import extended
from sinks.clickhouse.migrate import migrate, migrations
from sinks.clickhouse.sink import open_writer
from sinks.clickhouse.tables import TABLES, Format, Table, formats
from sinks.clickhouse.writer import ClickHouseWriter
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal
from tests.sinks.clickhouse.fakes import batch_of
from tests.support.services import ClickHouseServer

pytestmark = pytest.mark.integration

SECOND = 1_000_000
START = 1_790_000_000 * SECOND


def call(number: int, **fields: Any) -> Call:
    known: dict[str, Any] = {
        "call_id": f"main:{number}",
        "rev": 1,
        "tenant": "acme",
        "pbx": "main",
        "merge_key": "acme/main",
    }
    times = {"state": "final", "started_at": START + number * SECOND, "updated_at": START}
    return Call(**known | times | fields)


def plain(value: Any) -> Any:
    """A value from the warehouse as the record has it."""
    if isinstance(value, dt.datetime):
        return (value.replace(tzinfo=dt.UTC) - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_field_of_every_example_arrives(table: Table, writer: ClickHouseWriter, client: Client) -> None:
    """Nested, nullable, bytes, times to the microsecond: as they were sent."""
    records = samples(table.topic)
    assert writer.write(batch_of(table.topic, [encode(r) for r in records])) == []
    found = client.query(f"SELECT * FROM {table.name} ORDER BY _offset", column_formats={"event_id": "bytes"})
    rows = [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]
    assert [{k: plain(v) for k, v in row.items() if k[0] != "_"} for row in rows] == [as_row(r) for r in records]
    assert [(row["_topic"], row["_partition"], row["_offset"]) for row in rows] == [
        (table.topic, 0, offset) for offset in range(len(records))
    ]


SIMPLE = {"string": "String", "int": "Int32", "long": "Int64", "double": "Float64", "boolean": "Bool"}


def column_type(avro: Any) -> str:
    """The column type that an Avro type asks for."""
    if isinstance(avro, list):
        (inner,) = (t for t in avro if t != "null")
        return f"Nullable({column_type(inner)})"
    if isinstance(avro, str):
        return SIMPLE[avro]
    if avro.get("logicalType") == "timestamp-micros":
        return "DateTime64(6, 'UTC')"
    made = {
        "fixed": lambda: f"FixedString({avro['size']})",
        "map": lambda: f"Map(String, {column_type(avro['values'])})",
        "array": lambda: f"Array({column_type(avro['items'])})",
        "record": lambda: "Tuple({})".format(
            ", ".join("{} {}".format(f["name"], column_type(f["type"])) for f in avro["fields"])
        ),
    }
    return made[avro["type"]]()


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_field_has_its_column_and_every_column_its_field(table: Table, client: Client) -> None:
    """With the type and the words of the schema: whoever reads the warehouse needs no other documentation."""
    fields = manifest().schemas[table.record].parsed()["fields"]
    wanted = [(f["name"], column_type(f["type"]), f["doc"]) for f in fields]
    found = client.query(
        "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = {t:String} "
        "ORDER BY position",
        {"t": table.name},
    ).result_rows
    assert [(name, kind.replace("LowCardinality(String)", "String"), comment) for name, kind, comment in found] == [
        *wanted,
        ("_topic", "String", "The topic that the record was read from."),
        ("_partition", "Int32", "Partition of the record."),
        ("_offset", "Int64", "Offset of the record: with the partition, its place in the log."),
    ]


def test_an_insert_is_remembered_long_enough(client: Client) -> None:
    """A retry after the window would double; replicas remember as long as the topics do."""
    created = client.query(
        "SELECT create_table_query FROM system.tables WHERE engine LIKE '%MergeTree' "
        "AND database = currentDatabase() AND name != 'schema_migrations'"
    ).result_rows
    assert len(created) == len(TABLES)
    for (sql,) in created:
        assert "non_replicated_deduplication_window = 10000" in sql
        assert "replicated_deduplication_window_seconds = 604800" in sql


def test_old_versions_go_in_beside_new_ones(
    writer: ClickHouseWriter, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an old version lacks has its default."""
    (current,) = formats("CrmWrite").items()
    schema = manifest().schemas["CrmWrite"].parsed()
    shorter = {**schema, "fields": schema["fields"][:-1]}
    known = {current[0]: current[1], header(7): Format(number=7, schema=extended(shorter))}
    monkeypatch.setattr("sinks.clickhouse.writer.formats", lambda _: known)
    new = encode(CrmWrite(tenant="acme", crm="s", call_id="main:1", state="INTENT", rev=1, at=START))
    old = header(7) + new[HEADER:-1]  # an empty last field is one byte
    assert writer.write(batch_of("crm-writes", [new, old, new, old])) == []
    assert client.query("SELECT count(), uniqExact(_offset), uniqExact(at) FROM crm_writes").result_rows == [(4, 4, 1)]


def test_the_highest_revision_wins_before_and_after_merges(writer: ClickHouseWriter, client: Client) -> None:
    """Whatever order they come in, and a call that became part of another is none."""
    revisions = [
        call(1, rev=1, state="ringing"),
        call(2, rev=3, outcome="answered"),
        call(1, rev=2, outcome="busy"),
        call(3, rev=1, state="connected"),
        call(2, rev=2, state="connected"),
        call(3, rev=2, state="merged", merged_into="main:2"),
    ]
    for offset, revision in enumerate(revisions):
        writer.write(batch_of("calls", [encode(revision)], first=offset))
    latest = [("main:1", 2, "busy"), ("main:2", 3, "answered")]
    sql = "SELECT call_id, rev, outcome FROM calls_latest ORDER BY call_id"
    assert client.query(sql).result_rows == latest
    client.command("OPTIMIZE TABLE calls FINAL")
    assert client.query(sql).result_rows == latest


def test_the_ledgers_last_word_is_one_row_per_call(writer: ClickHouseWriter, client: Client) -> None:
    """Also when two entries are of the same microsecond."""
    entry = CrmWrite(tenant="acme", crm="s", call_id="main:1", state="INTENT", rev=1, at=START)
    later = replace(entry, at=START + SECOND)
    entries = [entry, later, replace(later, state="CONFIRMED"), replace(entry, call_id="main:2")]
    writer.write(batch_of("crm-writes", [encode(e) for e in entries]))
    found = client.query("SELECT call_id, state FROM crm_writes_latest ORDER BY call_id").result_rows
    assert found == [("main:1", "CONFIRMED"), ("main:2", "INTENT")]


def test_a_duplicate_of_any_age_changes_no_answer(writer: ClickHouseWriter, client: Client) -> None:
    """The same event again at another place of the log, past every token."""
    events = samples("call-events-enriched")
    values = [encode(e) for e in events]
    writer.write(batch_of("call-events-enriched", values))
    writer.write(batch_of("call-events-enriched", values, first=1000))
    client.command("OPTIMIZE TABLE call_events FINAL")
    assert client.query("SELECT count() FROM call_events").result_rows == [(len(events),)]


def test_the_reports_answer(writer: ClickHouseWriter, client: Client) -> None:
    """Numbers that can be counted by hand, the three parts of the service level apart."""
    waits = [(10.0, "connected"), (30.0, "connected"), (3.0, "abandoned"), (40.0, "abandoned"), (60.0, "timeout")]
    calls = [
        call(
            number,
            direction="inbound",
            outcome="answered" if reason == "connected" else reason,
            wait_s=wait,
            queue_visits=(
                QueueVisit(queue="sales", entered_at=START, left_at=START + 60 * SECOND, wait_s=wait, reason=reason),
            ),
            segments=(
                Segment(agent="ann", result="no_answer", ring_s=15.0),
                Segment(agent="bob", result="answered", ring_s=5.0, talk_s=60.0, hold_s=None),
            )
            if reason == "connected"
            else (),
        )
        for number, (wait, reason) in enumerate(waits)
    ]
    writer.write(batch_of("calls", [encode(c) for c in calls]))
    answers = {}
    for file in files("sinks.clickhouse").joinpath("queries").iterdir():
        result = client.query(file.read_text(encoding="utf-8"))
        answers[file.name] = [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]
    (hour,) = answers["peak_hours.sql"]
    assert (hour["calls"], hour["answered"], hour["answered_rate"], hour["wait_median_s"]) == (5, 2, 0.4, 30.0)
    bob, ann = answers["agent_productivity.sql"]
    assert (bob["agent"], bob["offered"], bob["answered"], bob["talk_s"], bob["hold_s"]) == ("bob", 2, 2, 120, None)
    assert (ann["agent"], ann["offered"], ann["missed"], ann["ring_mean_s"]) == ("ann", 2, 2, 15.0)
    assert {(r["outcome"], r["calls"], r["share"]) for r in answers["outcomes.sql"]} == {
        ("answered", 2, 0.4),
        ("abandoned", 2, 0.4),
        ("timeout", 1, 0.2),
    }
    (sales,) = answers["queue_service_level.sql"]
    parts = ("visits", "answered_in_20_s", "answered_later", "not_answered", "abandoned", "abandoned_in_5_s")
    assert [sales[part] for part in parts] == [5, 1, 1, 3, 2, 1]


def test_a_row_that_is_read_askew_is_found(
    writer: ClickHouseWriter, client: Client, clickhouse: ClickHouseServer
) -> None:
    """One byte too many, and all that follows would be somebody else's numbers: the tail tells."""
    client.command("CREATE TABLE probe (a UInt8, CONSTRAINT small CHECK a < 5) ENGINE = MergeTree ORDER BY a")
    try:
        client.command("INSERT INTO probe FORMAT TSV", data="9\n")
    except Exception:  # noqa: BLE001 - that is how it should be
        pass
    else:
        pytest.skip("this engine acknowledges inserts that break a constraint")
    good = [encode(e) for e in samples("call-events-enriched")]
    assert [r.offset for r in writer.write(batch_of("call-events-enriched", [good[0] + b"\0"]))] == [0]
    assert client.query("SELECT count() FROM call_events").result_rows == [(0,)]


def test_a_second_start_changes_nothing(writer: ClickHouseWriter, settings: Settings, client: Client) -> None:
    """And a changed file is told, on the real server."""
    with capture_logs() as lines:
        open_writer(settings).close()
    assert lines == []
    changed = [replace(m, text=m.text + "-- more\n") for m in migrations()]
    with pytest.raises(Fatal, match="restore the file"):
        list(migrate(client, changed))


def test_a_foreign_record_type_is_refused(writer: ClickHouseWriter) -> None:
    """A CallEvent on the topic of enriched ones has a number of its own."""
    event = CallEvent(
        event_id=b"0" * 16, tenant="t", pbx="p", merge_key="t/p", type="note", ts=START, received_at=START
    )
    (rejected,) = writer.write(batch_of("call-events-enriched", [encode(event)]))
    assert rejected.reason == "schema number 100001 is no released version of EnrichedCallEvent"
