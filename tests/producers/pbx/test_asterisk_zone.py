"""Printed times of records: in every form, in the hour that comes twice, and the zone that is measured on beginnings."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.adapter import Batch, Frame, Reading
from producers.pbx import asterisk_cel
from producers.pbx._asterisk import zone
from producers.pbx.asterisk_cel import Config
from streams.runtime.clock import ManualClock
from tests.producers.pbx.test_asterisk_cel import house, line, read


@pytest.mark.parametrize(
    ("text", "configured", "ahead", "at", "precision"),
    [
        ("1795519805.356696", "", "", 1795519805356696, "us"),
        ("1795519805", "", "", 1795519805000000, "s"),
        ("2026-11-24 12:30:05", "", "", 1795519805000000, "s"),
        ("2026-11-24 12:43:59", "", "", 1795520639000000, "s"),
        ("2026-11-24 13:30:05.5", "", "3600", 1795523405500000, "us"),  # an hour into the call: measured before
        ("2026-11-24 13:30:05", "Europe/Brussels", "", 1795523405000000, "s"),
        ("2026-11-24T11:30:05Z", "Europe/Brussels", "", 1795519805000000, "s"),
        ("2026-11-24T12:30:05.25+0100", "UTC", "", 1795519805250000, "us"),
        ("2026-11-24 12:30:05+01", "", "", 1795519805000000, "s"),
    ],
)
def test_times_in_every_form(text: str, configured: str, ahead: str, at: int, precision: str) -> None:
    """An epoch, its own zone, the configured one, the one measured before, the one of the uniqueid."""
    frame = line("ANSWER", eventtime=text)
    frame = Frame(frame.raw, 9, 1, 0, {"ahead": ahead})
    (event,) = read(frame, house(zone=configured))
    assert (event.ts, event.ts_precision) == (at, precision)


def test_the_hour_that_comes_twice() -> None:
    """At the end of summer time the channel's own second tells which of the two it is."""
    first, second = 1792888200, 1792891800  # 02:30 and again 02:30 in Brussels, 25 October 2026
    for created in (first, second):
        frame = line("ANSWER", eventtime="2026-10-25 02:30:10", uniqueid=f"{created}.1")
        assert read(frame, house(zone="Europe/Brussels"))[0].ts == (created + 10) * 10**6


def test_the_zone_is_measured_on_beginnings_and_remembered() -> None:
    """Also over a restart, and for a row long after its channel was created."""
    start = line("CHAN_START", eventtime="2026-11-24 12:30:05")
    late = line("HANGUP", eventtime="2026-11-24 14:45:05")

    def rows(reading: Reading) -> Iterator[Batch]:
        frames = [late] if reading.position else [late, start, late]
        yield from (Batch(items=[frame], position={"offset": n}) for n, frame in enumerate(frames))

    def beginning(frame: Frame) -> tuple[str, str] | None:
        return ("2026-11-24 12:30:05", "1795519805.7") if frame is start else None

    feed = zone.measured(rows, beginning)
    clock = ManualClock()
    reading = Reading(pbx="main", clock=clock, chance=random.Random(1), stop=threading.Event(), position={})
    batches = list(feed(reading))
    assert [
        dict(frame.facts or {})["ahead"] for batch in batches for frame in batch.items if isinstance(frame, Frame)
    ] == [
        "",
        "3600",
        "3600",
    ]
    again = Reading(
        pbx="main", clock=clock, chance=random.Random(1), stop=threading.Event(), position=batches[-1].position or {}
    )
    (frame,) = next(iter(feed(again))).items
    assert isinstance(frame, Frame)
    assert read(frame)[0].ts == 1795527905000000


def test_a_file_is_followed_and_its_zone_measured(tmp_path: Path) -> None:
    """The adapter's own feed, from the file to the event."""
    file = tmp_path / "Master.csv"
    file.write_bytes(b"".join(frame.raw + b"\n" for frame in (_at("CHAN_START", 30), _at("HANGUP", 59))))
    reading = Reading(pbx="main", clock=ManualClock(), chance=random.Random(1), stop=threading.Event(), position={})
    feed = asterisk_cel.feed(Config(path=file, backfill=True))
    running = feed(reading)
    batch = next(batch for batch in running if batch.items)
    reading.stop.set()
    assert list(running) == []
    events = [event for frame in batch.items if isinstance(frame, Frame) for event in read(frame)]
    assert [event.ts for event in events] == [1795519800000000, 1795521540000000]
    assert batch.position is not None
    assert batch.position["ahead"] == "3600"


def _at(kind: str, minute: int) -> Frame:
    return line(kind, eventtime=f"2026-11-24 12:{minute}:00", uniqueid="1795519800.1", linkedid="1795519800.1")
