"""Following a file that is appended to, rotated, cut, deleted, and whose reader is restarted anywhere."""

import os
import random
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.adapter import Frame, Notice, Position, Reading
from producers.tail import HEAD, LONGEST, Tail
from streams.runtime.clock import ManualClock


class House:
    """A followed file and the reader of the moment."""

    def __init__(self, folder: Path, *, from_start: bool = True) -> None:
        self.path = folder / "Master.csv"
        self.clock = ManualClock()
        self.position: Position = {}
        self.from_start = from_start
        self.notices: list[Notice] = []
        self.start()

    def start(self) -> None:
        self.tail = Tail(self.path, self._reading(), from_start=self.from_start)

    def _reading(self) -> Reading:
        return Reading(
            pbx="main",
            clock=self.clock,
            chance=random.Random(1),
            stop=threading.Event(),
            position=self.position,
        )

    def restart(self) -> None:
        """The reader dies; the next one goes on from the last position."""
        self.tail.close()
        self.start()

    def read(self) -> list[Frame]:
        frames: list[Frame] = []
        for _ in range(100):
            batch = self.tail.next()
            if not batch.items:
                return frames
            frames += [item for item in batch.items if isinstance(item, Frame)]
            self.notices += [item for item in batch.items if isinstance(item, Notice)]
            self.position = batch.position or self.position
        raise AssertionError("it does not end")

    def append(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)


@pytest.fixture
def house(tmp_path: Path) -> Any:
    house = House(tmp_path)
    yield house
    house.tail.close()


def raws(frames: list[Frame]) -> list[bytes]:
    return [frame.raw for frame in frames]


def test_a_line_is_given_once_it_is_whole(house: House) -> None:
    """Nobody reads half a record; the file may come later than its reader."""
    assert house.read() == []
    house.append(b"one\ntw")
    assert raws(house.read()) == [b"one"]
    house.append(b"o")
    assert house.read() == []
    house.append(b"\n\nthree\r\n")
    assert raws(house.read()) == [b"two", b"three"]


def test_rotation_by_renaming(house: House) -> None:
    """The rest of the old file, also a last line without end, comes before the new one."""
    house.append(b"one\n")
    assert raws(house.read()) == [b"one"]
    house.append(b"two\nunended")
    house.path.rename(house.path.with_suffix(".csv.1"))
    assert raws(house.read()) == [b"two"]
    house.append(b"three\n")
    assert raws(house.read()) == [b"unended", b"three"]


def test_rotated_twice_while_nobody_read(house: House) -> None:
    """A restarted reader finds its place in the old file, then reads the ones after it in their order."""
    house.append(b"one\ntwo\n")
    house.read()
    house.append(b"three\n")
    for age, text in ((2, b"four\n"), (1, b"five\n")):
        old = house.path.with_suffix(f".csv.{age}")
        house.path.rename(old)
        stamp = (10 - age) * 10**9
        _touch(old, stamp)
        house.append(text)
    house.restart()
    assert raws(house.read()) == [b"three", b"four", b"five"]
    assert house.notices == []


def test_rotation_by_copying_and_cutting(house: House) -> None:
    """What was written before the cut and not read is in the copy; the file begins anew, also when it has grown already."""
    house.append(b"one\n")
    house.read()
    house.append(b"two\n")
    house.path.with_suffix(".csv.1").write_bytes(house.path.read_bytes())
    house.path.write_bytes(b"three is longer than all that was there before\n")
    assert raws(house.read()) == [b"two", b"three is longer than all that was there before"]
    house.restart()
    house.append(b"four\n")
    assert raws(house.read()) == [b"four"]


def test_an_inode_that_is_used_again(house: House) -> None:
    """A new file may get the number of the deleted one: its beginning tells that it is another, and the gap is told."""
    house.append(b"one\ntwo\n")
    house.read()
    inode = house.path.stat().st_ino
    house.path.write_bytes(b"new beginning\n")
    assert house.path.stat().st_ino == inode
    house.restart()
    assert raws(house.read()) == [b"new beginning"]
    (gap,) = house.notices
    assert (gap.type, gap.data["reason"]) == ("gap.detected", "rotated away")
    assert int(gap.data["from_us"]) <= int(gap.data["to_us"])


def test_identical_lines_keep_their_ordinals_over_a_restart(house: House) -> None:
    """Two equal records are two facts, whoever reads the second."""
    house.append(b"same\nsame\n")
    assert [f.ordinal for f in house.read()] == [0, 1]
    house.restart()
    house.append(b"same\n")
    assert [f.ordinal for f in house.read()] == [2]


def test_the_first_start_reads_what_is_new(tmp_path: Path) -> None:
    """Years of old records are not told as news, unless asked for."""
    (tmp_path / "Master.csv").write_bytes(b"old\n")
    house = House(tmp_path, from_start=False)
    assert house.read() == []
    house.append(b"new\n")
    assert raws(house.read()) == [b"new"]
    house.tail.close()


def test_a_line_without_end_is_bounded(house: House) -> None:
    """A broken file costs a refused piece, not the memory of the process."""
    house.append(b"x" * (LONGEST + 1) + b"\nnext\n")
    assert [len(f.raw) for f in house.read()] == [LONGEST + 1, 4]
    house.append(b"y" * (LONGEST + 1))
    assert [len(f.raw) for f in house.read()] == [LONGEST + 1]


ROTATE, CUT, RESTART, READ = "rotate", "cut", "restart", "read"


@given(st.lists(st.one_of(st.integers(1, HEAD), st.sampled_from([ROTATE, CUT, RESTART, READ])), max_size=30))
def test_every_line_once_whatever_happens(tmp_path_factory: pytest.TempPathFactory, steps: list[int | str]) -> None:
    """Appends, rotations of both kinds and restarts in any order: each line is given once, in order."""
    house = House(tmp_path_factory.mktemp("tail"))
    house.append(b"first\n")
    written, got, age = [b"first"], raws(house.read()), 0
    for n, step in enumerate(steps):
        if isinstance(step, int):
            written.append(b"%d:" % n + b"x" * step)
            house.append(written[-1] + b"\n")
        elif step == READ:
            got += raws(house.read())
        elif step == RESTART:
            house.restart()
        elif house.path.exists() and house.path.stat().st_size:
            age += 1
            old = house.path.with_suffix(f".csv.{age}")
            if step == ROTATE:
                house.path.rename(old)
                house.append(b"")
            else:
                got += raws(house.read())  # a copy tells its file from others by what was read of it
                old.write_bytes(house.path.read_bytes())
                house.path.write_bytes(b"")
            _touch(old, age * 10**9)
    got += raws(house.read())
    house.tail.close()
    assert got == written
    assert house.notices == []


def _touch(path: Path, nanoseconds: int) -> None:
    os.utime(path, ns=(nanoseconds, nanoseconds))


def test_positions_are_plain_values(house: House) -> None:
    """A position goes through JSON."""
    house.append(b"one\n")
    house.read()
    position: Mapping[str, Any] = house.position
    assert {type(v) for v in position.values()} <= {int, str}


def test_a_table_was_read_before(tmp_path: Path) -> None:
    """Its position says nothing of a file: as at a first start, what the file holds is left."""
    house = House(tmp_path, from_start=False)
    house.append(b"old\n")
    house.position = {"column": "id", "key": ["number", "7"], "seen": []}
    house.restart()
    assert raws(house.read()) == []
    house.append(b"new\n")
    assert raws(house.read()) == [b"new"]
    house.tail.close()
