"""The AMI adapter alone: a flood of recorded events from a child process, from socket to Kafka."""

import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pydantic import SecretStr

from producers.adapter import Context, Frame
from producers.numbers import NumberPlan
from producers.pbx import asterisk_ami
from producers.run import run
from schemas.topics import manifest
from streams.clients.ami import END
from streams.runtime.clock import Clock, SystemClock
from streams.runtime.config import Kafka, Numbers, Pbx, Settings
from streams.runtime.metrics import EVENTS_PUBLISHED
from tests.support.pbx import SECRET, recorded

EVENTS = 100_000
RECORDINGS = Path(__file__).parents[1] / "producers" / "pbx" / "asterisk_ami"
EXTENSIONS = r"2\d\d"


def bench(kafka: str) -> dict[str, float]:
    """events_per_s, and cpu_us_per_event of the whole process with librdkafka's threads.

    Every event of the flood makes one record.
    """
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name:
        folder = Path(name)
        recording = folder / "frames.txt"
        recording.write_bytes(_flood_frames())
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.support.pbx", str(recording), str(EVENTS)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        port = int(child.stdout.readline())
        settings = _settings(kafka, folder, port)
        try:
            return _measure(settings, clock)
        finally:
            child.terminate()
            child.wait(10)
            child.stdout.close()


def _measure(settings: Settings, clock: Clock) -> dict[str, float]:
    stop = threading.Event()
    former = _published()
    reader = threading.Thread(target=run, args=("bench", settings, clock, stop))
    process = psutil.Process()
    reader.start()
    try:
        while _published() < former + 100:  # the flood has begun
            clock.sleep(0.01)
        begin, cpu, before = clock.monotonic(), process.cpu_times(), _published()
        while _published() < former + EVENTS and reader.is_alive() and clock.monotonic() - begin < 120:
            clock.sleep(0.02)
        count = _published() - before
        seconds = clock.monotonic() - begin
        now = process.cpu_times()
        used = now.user + now.system - cpu.user - cpu.system
    finally:
        stop.set()
        reader.join(30)
    return {"events_per_s": count / seconds, "cpu_us_per_event": used / count * 1e6}


def _published() -> float:
    counted: float = EVENTS_PUBLISHED.labels("bench")._value.get()
    return counted


def _flood_frames() -> bytes:
    """All events of the real Asterisk that make a record each: what a PBX is told not to send, and what says nothing, is left out."""
    site = Context(
        tenant="bench",
        pbx="bench",
        numbers=NumberPlan(country="BE", extensions=EXTENSIONS),
        config=asterisk_ami.Config(host="", username="", secret=SecretStr("")),
    )
    frames = [f for case in sorted(RECORDINGS.glob("*/truth.json")) for f in recorded(case.parent / "frames.txt")]
    return b"".join([f for f in frames if len(list(asterisk_ami.normalise(Frame(f.removesuffix(END), 0), site))) == 1])


def _settings(kafka: str, folder: Path, port: int) -> Settings:
    broker = Kafka(bootstrap=kafka, topic_prefix=f"bench-{uuid.uuid4().hex}-")
    topics = [broker.name(t.name) for t in manifest().topics.values() if t.record in ("CallEvent", "DeadLetter")]
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(name, 1) for name in topics]).values():
        future.result(30)
    own: dict[str, Any] = {"host": "127.0.0.1", "port": port, "username": "bench", "secret": SecretStr(SECRET)}
    pbx = Pbx(adapter="asterisk_ami", numbers=Numbers(country="BE", extensions=EXTENSIONS, outside_prefix="9"), **own)
    return Settings(data_dir=folder / "data", kafka=broker, pbx={"bench": pbx})
