"""Channel event logging from a growing database table to the real Kafka, over late rows and kill -9."""

import csv
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from producers.pbx.asterisk_cel import Config
from streams.runtime.clock import SystemClock
from tests.contracts.adapter_laws import FOLDER, messages
from tests.producers.test_asterisk_cdr_live import published

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
COLUMNS = ("id", *Config().columns)


def start(folder: Path, kafka: str, prefix: str) -> "subprocess.Popen[bytes]":
    config = folder / "trunkline.toml"
    config.write_text(
        f'tenant = "acme"\ndata_dir = "{folder / "data"}"\n'
        f'[kafka]\nbootstrap = "{kafka}"\ntopic_prefix = "{prefix}"\n'
        f'[pbx.records]\nadapter = "asterisk_cel"\nof = "main"\nbackfill = true\nkey = "id"\n'
        f'database = "sqlite:///{folder / "asterisk.db"}"\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "streams.runtime.cli", "run", "producer", "records", f"--config={config}"]
    return subprocess.Popen(command, env=dict(os.environ))


def one_each() -> Iterator[Path]:
    """Recordings of which each row is one event: there are rows that tell nothing, and rows that tell of two channels."""
    for case in sorted((FOLDER / "asterisk_cel").glob("*/Master.csv")):
        events = (case.parent / "events.jsonl").read_text(encoding="utf-8").splitlines()
        if len(messages(case.parent)) == len(events):
            yield case.parent


def test_every_row_once_over_kill_and_late_rows(kafka: str, tmp_path: Path) -> None:
    """Rows of eleven real calls, every seventh of them late, while the adapter is killed twice: each gives its events once."""
    prefix = f"cel-{uuid.uuid4().hex}-"
    topic = f"{prefix}call-events"
    admin = AdminClient({"bootstrap.servers": kafka})
    for created in admin.create_topics([NewTopic(topic, 1), NewTopic(f"{topic}.dead", 1)]).values():
        created.result(30)
    lines = [line.decode() for case in one_each() for line in messages(case)]
    rows = list(enumerate(csv.reader(lines), start=1))
    third = len(rows) // 3
    parts = [rows[:third], rows[third : 2 * third], rows[2 * third :]]
    writer = sqlite3.connect(tmp_path / "asterisk.db")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute(f"CREATE TABLE cel ({', '.join(COLUMNS)})")

    def write(part: list[tuple[int, list[str]]], *, late: bool) -> None:
        chosen = [(number, *row) for number, row in part if (number % 7 == 0) is late]
        writer.executemany(f"INSERT INTO cel VALUES ({', '.join('?' * len(COLUMNS))})", chosen)
        writer.commit()

    child = start(tmp_path, kafka, prefix)
    try:
        for n, part in enumerate(parts):
            write(part, late=False)
            published(kafka, topic, sum(number % 7 != 0 for each in parts[: n + 1] for number, _ in each))
            write(part, late=True)
            if n < 2:
                CLOCK.sleep(1.5 * n)  # with a saved position, and perhaps without
                child.kill()
                child.wait(10)
                child = start(tmp_path, kafka, prefix)
        found = published(kafka, topic, len(rows))
        child.terminate()
        assert child.wait(12) == 0
    finally:
        child.kill()
        child.wait(10)
        writer.close()
    assert len(found) == len(rows)
    assert {(e.data["source"], e.merge_key, e.synthetic) for e in found} == {("cel", "acme/main", True)}
