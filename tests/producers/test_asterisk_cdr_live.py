"""Call detail records from a growing file to the real Kafka, over rotation and kill -9."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.codec import decode
from schemas.events import CallEvent
from streams.runtime.clock import SystemClock
from tests.contracts.adapter_laws import FOLDER, messages

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
WAIT = 40.0


def start(folder: Path, kafka: str, prefix: str) -> "subprocess.Popen[bytes]":
    config = folder / "trunkline.toml"
    config.write_text(
        f'tenant = "acme"\ndata_dir = "{folder / "data"}"\n'
        f'[kafka]\nbootstrap = "{kafka}"\ntopic_prefix = "{prefix}"\n'
        f'[pbx.records]\nadapter = "asterisk_cdr"\nof = "main"\nbackfill = true\npath = "{folder / "Master.csv"}"\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "streams.runtime.cli", "run", "producer", "records", f"--config={config}"]
    return subprocess.Popen(command, env=dict(os.environ))


def published(kafka: str, topic: str, count: int) -> list[CallEvent]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "t", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: dict[bytes, CallEvent] = {}
    deadline = CLOCK.monotonic() + WAIT
    while len(found) < count and CLOCK.monotonic() < deadline:
        for message in consumer.consume(1000, 0.2):
            event = decode(CallEvent, message.value() or b"")
            found.setdefault(event.event_id, event)
    consumer.close()
    return list(found.values())


def test_every_record_once_over_rotation_and_kill(kafka: str, tmp_path: Path) -> None:
    """Records of 24 real calls: written, rotated and cut while the adapter is killed twice; each is there, in order."""
    prefix = f"cdr-{uuid.uuid4().hex}-"
    topic = f"{prefix}call-events"
    admin = AdminClient({"bootstrap.servers": kafka})
    for created in admin.create_topics([NewTopic(topic, 1), NewTopic(f"{topic}.dead", 1)]).values():
        created.result(30)
    lines = [line + b"\n" for case in sorted((FOLDER / "asterisk_cdr").glob("*/")) for line in messages(case)]
    file = tmp_path / "Master.csv"
    third = len(lines) // 3
    child = start(tmp_path, kafka, prefix)
    try:
        file.write_bytes(b"".join(lines[:third]))
        assert len(published(kafka, topic, third)) == third
        CLOCK.sleep(1.5)  # a position is saved each second
        child.kill()
        child.wait(10)
        with file.open("ab") as out:
            out.write(b"".join(lines[third : third + 5]))
        file.rename(tmp_path / "Master.csv.1")
        file.write_bytes(b"".join(lines[third + 5 : 2 * third]))
        child = start(tmp_path, kafka, prefix)
        assert len(published(kafka, topic, 2 * third)) == 2 * third
        child.kill()  # before or after the position was saved: records may come twice, with the same ids
        child.wait(10)
        with file.open("ab") as out:
            out.write(b"".join(lines[2 * third :]))
        child = start(tmp_path, kafka, prefix)
        events = published(kafka, topic, len(lines))
        child.terminate()
        assert child.wait(12) == 0
    finally:
        child.kill()
        child.wait(10)
    assert [e.data["sequence"] for e in events] == [line.rsplit(b",", 1)[1].strip().decode() for line in lines]
    assert {(e.type, e.merge_key, e.pbx) for e in events} == {("cdr.final", "acme/main", "main")}
