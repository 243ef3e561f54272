"""What all adapters of records share: their keys, and a table as source, from the database to the event."""

import random
import sqlite3
import threading
from pathlib import Path

import pytest

from producers.adapter import Context, Frame, Reading
from producers.numbers import NumberPlan
from producers.pbx import asterisk_cdr
from producers.pbx._asterisk import records
from producers.pbx.asterisk_cel import Config
from schemas.events import CallEvent
from streams.runtime.clock import ManualClock
from streams.runtime.config import Pbx, connector_config
from streams.runtime.errors import Fatal


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("table", "cel; drop table cel", "letters, digits"),
        ("key", 'a"', "letters, digits"),
        ("zone", "Mars/Olympus", "no iana zone"),
    ],
)
def test_keys_are_checked_when_the_configuration_is_read(key: str, value: str, fix: str) -> None:
    """Before anything is opened, naming the key."""
    section = Pbx.model_validate({"adapter": "asterisk_cel", key: value})
    with pytest.raises(Fatal, match=rf"pbx.main.{key}: .*{fix}"):
        connector_config(Config, section, "pbx.main")


def test_a_table_needs_an_overlap() -> None:
    """Without one a row that comes late would be lost in silence."""
    config = Config(database="sqlite:////tmp/x.db", overlap=0)
    with pytest.raises(Fatal, match="overlap"):
        records.feed(config, config.path)


def from_table(folder: Path, columns: dict[str, object], **keys: str) -> CallEvent:
    """The one event that a database with one CDR gives through the adapter's own feed."""
    file = folder / "asterisk.db"
    with sqlite3.connect(file) as writer:
        names = ", ".join(f'"{name}"' for name in columns)
        writer.execute(f"CREATE TABLE cdr ({names})")
        writer.execute(f"INSERT INTO cdr VALUES ({', '.join('?' * len(columns))})", tuple(columns.values()))
    writer.close()
    section = Pbx.model_validate({"adapter": "asterisk_cdr", "database": f"sqlite:///{file}", "backfill": True, **keys})
    config = connector_config(asterisk_cdr.Config, section, "pbx.records")
    reading = Reading(pbx="records", clock=ManualClock(), chance=random.Random(1), stop=threading.Event(), position={})
    feed = asterisk_cdr.feed(config)(reading)
    (frame,) = next(batch.items for batch in feed if batch.items)
    reading.stop.set()
    assert [item for batch in feed for item in batch.items] == []
    assert isinstance(frame, Frame)
    context = Context(tenant="acme", pbx="main", numbers=NumberPlan(country="BE", extensions=r"2\d\d"), config=config)
    (event,) = asterisk_cdr.normalise(frame, context)
    return event


CDR = {
    "clid": '"Zoë" <0470123401>',
    "src": "0470123401",
    "dst": "201",
    "channel": "PJSIP/trunk-00000001",
    "dstchannel": "PJSIP/201-00000002",
    "duration": 10,
    "billsec": 7,
    "uniqueid": "1795519805.7",
}


def test_a_table_of_cdr_adaptive_odbc(tmp_path: Path) -> None:
    """Its columns are those of Master.csv."""
    times = {"start": "2026-11-24 12:30:05", "answer": "2026-11-24 12:30:08", "end": "2026-11-24 12:30:15"}
    event = from_table(tmp_path, CDR | times | {"disposition": "ANSWERED", "linkedid": "1795519805.5"})
    assert (event.type, event.leg_id, event.call_id) == ("cdr.final", "main:1795519805.7", "main:1795519805.5")
    assert (event.ts, event.data["answer_us"], event.data["billsec"]) == (1795519815000000, "1795519808000000", "7")
    assert (event.caller_name, event.customer_number, event.data["source"]) == ("Zoë", "+32470123401", "cdr")


def test_a_table_that_has_only_the_beginning(tmp_path: Path) -> None:
    """As FreePBX makes it: the end is duration after it, the answer billsec before that; a number for the outcome."""
    event = from_table(tmp_path, CDR | {"calldate": "2026-11-24 12:30:05", "disposition": 8}, key="calldate")
    assert (event.ts, event.data["start_us"], event.data["answer_us"]) == (
        1795519815000000,
        "1795519805000000",
        "1795519808000000",
    )
    assert event.data["disposition"] == "ANSWERED"
