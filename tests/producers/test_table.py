"""Following a table that grows: each row once, also when it came late, was read twice, or its reader was restarted."""

import random
import sqlite3
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import database, feeds, table
from producers.adapter import Frame, Position, Reading
from producers.table import LOOK_BACK, PAGE, Follow
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Retry


class House:
    """A table in a real database, and the reader of the moment."""

    def __init__(self, folder: Path, *, key: str = "id", overlap: float = 100.0, from_start: bool = True) -> None:
        self.file = folder / "asterisk.db"
        self.writer = sqlite3.connect(self.file)
        self.writer.execute("CREATE TABLE cel (id INTEGER, at TEXT, what TEXT)")
        self.clock = ManualClock()
        self.position: Position = {}
        self.key, self.overlap, self.from_start = key, overlap, from_start
        self.start()

    def reading(self) -> Reading:
        return Reading(
            pbx="main",
            clock=self.clock,
            chance=random.Random(1),
            stop=threading.Event(),
            position=orjson.loads(orjson.dumps(dict(self.position))),  # as it comes back from the disk
        )

    def table(self) -> database.Table:
        target = database.target(f"sqlite:///{self.file}", "", None)
        return database.Table(target, table="cel", key=self.key)

    def start(self) -> None:
        """The reader dies; the next one goes on from the last position."""
        self.follow = Follow(self.reading(), key=self.key, overlap=self.overlap, from_start=self.from_start)

    def add(self, *rows: tuple[int | None, str, str]) -> None:
        self.writer.executemany("INSERT INTO cel VALUES (?, ?, ?)", rows)
        self.writer.commit()

    def frames(self) -> list[Frame]:
        found: list[Frame] = []
        opened = self.table()
        for batch in self.follow.turn(opened):
            found += [item for item in batch.items if isinstance(item, Frame)]
            if batch.position is not None:
                self.position = batch.position
        opened.close()
        return found

    def read(self) -> list[str]:
        return [orjson.loads(frame.raw)["what"] for frame in self.frames()]

    def later(self) -> list[str]:
        """Read when late rows are looked for again."""
        self.clock.advance(LOOK_BACK)
        return self.read()


def second(n: int) -> str:
    return f"2026-11-24 12:{n // 60:02d}:{n % 60:02d}"


def test_rows_come_once_and_in_order(tmp_path: Path) -> None:
    """What is there, then what is added."""
    house = House(tmp_path)
    house.add((2, "", "two"), (1, "", "one"))
    assert house.read() == ["one", "two"]
    house.add((3, "", "three"))
    assert (house.read(), house.read(), house.later()) == (["three"], [], [])


def test_what_the_table_holds_already_is_left_at_the_first_start(tmp_path: Path) -> None:
    """Without backfill only new rows come, also those that stand a little below the highest."""
    house = House(tmp_path, from_start=False)
    house.add((1, "", "old"), (5, "", "old"))
    assert house.read() == []
    house.start()
    house.add((6, "", "new"), (4, "", "late"))
    assert house.later() == ["late", "new"]


def test_an_empty_table_is_read_from_its_first_row(tmp_path: Path) -> None:
    """Nothing was there at the first start: everything is new."""
    house = House(tmp_path, from_start=False)
    assert house.read() == []
    house.add((1, "", "one"))
    assert house.later() == ["one"]


@pytest.mark.parametrize(("key", "overlap"), [("id", 10.0), ("at", 10.0)])
def test_a_late_row_is_found_within_the_overlap(tmp_path: Path, key: str, overlap: float) -> None:
    """Its transaction ended after that of a higher row; one that is below the overlap is not looked for."""
    house = House(tmp_path, key=key, overlap=overlap)
    house.add((20, second(20), "b"))
    assert house.read() == ["b"]
    house.add((11, second(11), "late"), (5, second(5), "too late"))
    assert house.read() == []
    assert house.later() == ["late"]
    house.start()
    assert house.later() == []


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed before the last position was saved: the rows since then come again, and they are the same."""
    house = House(tmp_path)
    house.add((1, "", "one"))
    house.read()
    saved = house.position
    house.add((2, "", "two"))
    (first,) = house.frames()
    house.position = saved
    house.start()
    (again,) = house.frames()
    assert (again.raw, again.ordinal) == (first.raw, first.ordinal)
    house.start()
    assert house.frames() == []


@pytest.mark.parametrize(
    "before", [{"inode": 1, "offset": 5, "head": 0, "hash": ""}, {"column": "at", "key": ["text", "2"]}]
)
def test_another_source_was_read_before(tmp_path: Path, before: Position) -> None:
    """A file, or the table by another column: its position says nothing here, and what is there is left."""
    house = House(tmp_path, from_start=False)
    house.position = before
    house.start()
    house.add((1, "", "old"))
    assert house.read() == []
    house.add((2, "", "new"))
    assert house.read() == ["new"]


def test_equal_rows_are_told_apart(tmp_path: Path) -> None:
    """A table without a number of its own may hold the same row twice."""
    house = House(tmp_path, key="at")
    house.add((None, second(1), "same"), (None, second(1), "same"))
    assert [frame.ordinal for frame in house.frames()] == [0, 1]
    house.add((None, second(1), "same"))
    assert [frame.ordinal for frame in house.frames()] == [2]


def test_more_rows_of_one_key_than_a_page(tmp_path: Path) -> None:
    """A second in which very much was written does not stand in the way."""
    house = House(tmp_path, key="at")
    rows = [(n, second(7), str(n)) for n in range(3 * PAGE)]
    house.add(*rows, (9999, second(8), "end"))
    found = house.read()
    assert (len(found), len(set(found)), found[-1]) == (3 * PAGE + 1, 3 * PAGE + 1, "end")


def test_every_page_has_its_position(tmp_path: Path) -> None:
    """A long backfill that is killed goes on in the middle."""
    house = House(tmp_path)
    house.add(*[(n, "", str(n)) for n in range(2 * PAGE)])
    opened = house.table()
    turn = house.follow.turn(opened)
    house.position = next(turn).position or {}
    opened.close()
    house.start()
    assert house.read() == [str(n) for n in range(PAGE, 2 * PAGE)]


def test_numbers_that_begin_again_are_read(tmp_path: Path) -> None:
    """The table was emptied and filled anew, and its numbers with it."""
    house = House(tmp_path)
    house.add((1000, "", "old"))
    house.read()
    house.writer.execute("DELETE FROM cel")
    house.add((1, "", "new"))
    assert house.read() + house.read() == ["new"]


def test_a_row_without_a_key_is_not_read(tmp_path: Path) -> None:
    """It has no place in the order."""
    house = House(tmp_path)
    house.add((None, "", "lost"), (1, "", "one"))
    assert house.read() == ["one"]


@given(st.lists(st.sampled_from(["read", "restart", "late", "add"]), max_size=30))
def test_each_row_once_whatever_happens(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """Rows, late rows, restarts and looks in any order: each row comes once."""
    house = House(tmp_path_factory.mktemp("table"), overlap=1000.0)
    found: list[str] = []
    high, low = 1000, 1000
    for step in steps:
        if step == "add":
            high += 1
            house.add((high, "", str(high)))
        elif step == "late":
            low -= 1
            house.add((low, "", str(low)))
        elif step == "restart":
            house.start()
        else:
            found += house.read()
    found += house.later()
    house.writer.close()
    assert sorted(found, key=int) == [str(n) for n in range(low, high + 1) if n != 1000]


@pytest.mark.parametrize("key", ["1795520622.401000", "2026-11-24 12:00:00.401000", "no time"])
def test_texts_that_sort_as_their_times_do(key: str) -> None:
    """An epoch and a printed time can be gone back from; of another text there is nothing behind."""
    below = table._text_behind(key, 60.0)
    assert below == key if key == "no time" else below < key


class Flaky:
    """A database that is away, then there, then away."""

    def __init__(self, answers: list[list[dict[str, Any]] | Exception]) -> None:
        self.answers = answers
        self.closed = 0

    def rows(self, since: Any, limit: int) -> list[dict[str, Any]]:
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    def newest(self) -> Any:
        return None

    def close(self) -> None:
        self.closed += 1


def run(rows: Flaky, seconds: float = 60.0) -> tuple[list[str], list[float]]:
    clock, stop = ManualClock(), threading.Event()
    reading = Reading(pbx="main", clock=clock, chance=random.Random(3), stop=stop, position={})
    connected: list[float] = []

    def connect() -> Flaky:
        connected.append(clock.monotonic())
        return rows

    found = []
    for batch in feeds.table(connect, key="id", overlap=5.0, from_start=True)(reading):
        found += [orjson.loads(item.raw)["id"] for item in batch.items if isinstance(item, Frame)]
        if clock.monotonic() > seconds:
            stop.set()
    return found, connected


def test_a_database_that_is_away_is_asked_again() -> None:
    """Each time after a longer while, and what was written meanwhile is read; the last connection is closed."""
    away = Retry("away")
    rows = Flaky([[{"id": 1}], away, away, [{"id": 2}]])
    found, connected = run(rows)
    assert found == ["1", "2"]
    assert [round(b - a) for a, b in pairwise(connected)] == [2, 2]
    assert rows.closed == 1


def test_a_table_that_may_not_be_read_ends_the_reader() -> None:
    """A person is needed."""
    with pytest.raises(Fatal):
        run(Flaky([Fatal("no such table")]))


def test_values_of_every_kind_become_text() -> None:
    """As a row of JSON, the same for every reader."""
    row = {"B": b"\xff", "t": "Zoë", "n": None, "f": 1.5, "i": 3, "a": "\ud800"}
    assert table._raw(row) == '{"a":"?","b":"\ufffd","f":"1.5","i":"3","n":"","t":"Zoë"}'.encode()
