"""The loop of one PBX: what is published, what is refused, and when a position may be saved."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from producers.adapter import Adapter, Batch, Context, Frame, Notice, Position, Reading, event_id
from producers.numbers import NumberPlan
from producers.publish import Publisher
from producers.run import Positions, Source, run, source
from producers.spool import Spool
from schemas.codec import decode
from schemas.events import CallEvent, DeadLetter
from streams.runtime import plugins
from streams.runtime.clock import ManualClock
from streams.runtime.config import Settings, load
from streams.runtime.errors import Fatal, Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A PBX that needs no keys."""


def normalise(frame: Frame, context: Context[Config]) -> Iterator[CallEvent]:
    """Text is an event, an empty message none, and `bad` is refused."""
    if frame.raw == b"bad":
        raise Reject("it is bad")
    if frame.raw:
        yield CallEvent(
            event_id=event_id("t", "main", frame.raw, frame.ordinal),
            tenant="t",
            pbx="main",
            merge_key="t/main",
            type="leg.updated",
            ts=1,
            received_at=frame.received_at,
            leg_id=frame.raw.decode(),
        )


class Saved(Positions):
    """Positions that write every save into the log of effects."""

    def __init__(self, path: Path, effects: list[str]) -> None:
        super().__init__(path)
        self._effects = effects

    def save(self, position: Position) -> None:
        super().save(position)
        self._effects.append(f"save {position['n']}")


class House:
    """A source over a scripted feed; every effect outside goes into one log, in order."""

    def __init__(self, folder: Path, *, limit: int = 1 << 20, replays: bool = False) -> None:
        self.effects: list[str] = []
        self.records: list[tuple[str, bytes]] = []
        self.readings: list[Reading] = []
        self.sessions: list[list[Batch]] = []
        self.between: dict[int, Callable[[], None]] = {}
        self.away = False
        self.pace = 2.0
        self.clock = ManualClock()
        self.stop = threading.Event()
        self._queue: list[tuple[str, bytes, Callable[[Any, Any], None]]] = []
        self._yielded = 0
        spool = Spool(folder / "spool", limit)
        self.positions = Saved(folder / "state.json", self.effects)
        self.source = Source(
            name="main",
            adapter=Adapter(config=Config, feed=lambda _: self.feed, normalise=normalise, replays=replays),
            feed=self.feed,
            context=Context(tenant="t", pbx="main", numbers=NumberPlan(), config=Config()),
            publisher=Publisher(lambda: self, spool, self.clock, window=3),
            spool=spool,
            positions=self.positions,
            clock=self.clock,
            topics=("events", "dead"),
        )

    # As a feed

    def feed(self, reading: Reading) -> Iterator[Batch]:
        self.readings.append(reading)
        for batch in self.sessions.pop(0) if self.sessions else []:
            self.between.pop(self._yielded, lambda: None)()
            self._yielded += 1
            self.clock.advance(self.pace)
            yield batch
        while self.sessions and not reading.stop.is_set():  # the next session is for another reading
            self.clock.advance(2)
            yield Batch()
        if not self.sessions:
            self.stop.set()
            yield Batch()

    # As a sender

    def produce(self, topic: str, *, key: bytes, value: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        self._queue.append((topic, value, on_delivery))

    def poll(self, timeout: float) -> int:
        self.clock.advance(timeout)
        queue, self._queue = (self._queue, []) if not self.away else ([], self._queue)
        for topic, value, on_delivery in queue:
            self.records.append((topic, value))
            self.effects.append(f"ack {self.name(topic, value)}")
            on_delivery(None, None)
        return len(queue)

    def purge(self, *, in_queue: bool = True, in_flight: bool = True) -> None:
        self._queue = []

    def name(self, topic: str, value: bytes) -> str:
        if topic == "dead":
            return f"dead {(decode(DeadLetter, value).value or b'').decode()}"
        event = decode(CallEvent, value)
        return event.leg_id or event.type

    def go(self, *sessions: list[Batch]) -> None:
        self.sessions = list(sessions)
        self.source.run(self.stop)


def batch(n: int, *raws: bytes) -> Batch:
    return Batch(items=[Frame(raw, 5) for raw in raws], position={"n": n})


def test_a_position_is_saved_after_everything_before_it(tmp_path: Path) -> None:
    """Saving is the last effect: never before the broker has what was read up to there."""
    house = House(tmp_path)
    house.go([batch(1, b"a", b"b"), batch(2, b"c")])
    assert house.effects == ["ack a", "ack b", "save 1", "ack c", "save 2"]
    assert house.positions.load() == {"n": 2}


def test_the_first_position_is_saved_at_once(tmp_path: Path) -> None:
    """A process killed in its first second must leave a trace of how far it was; later ones are saved each second."""
    house = House(tmp_path)
    house.pace = 0.01
    house.go([batch(1, b"a"), batch(2, b"b"), batch(3, b"c")])
    assert house.effects == ["ack a", "save 1", "ack b", "ack c", "save 3"]


def test_no_position_is_saved_while_the_broker_is_silent(tmp_path: Path) -> None:
    """Until the records are durable in the spool; then the position is, too."""
    house = House(tmp_path)
    house.away = True
    house.between[1] = lambda: house.effects.append("second batch")
    house.go([batch(1, b"a"), batch(2, b"b"), batch(3, b"c")])
    assert house.effects[0] == "second batch"
    assert house.positions.load() == {"n": 3}
    assert Spool(tmp_path / "spool", 1 << 20).waiting


def test_what_is_refused_goes_to_the_dead_letters_with_its_bytes(tmp_path: Path) -> None:
    """In its place among the others, with the reason and the topic it was meant for."""
    house = House(tmp_path)
    house.go([batch(1, b"a", b"bad", b"", b"b")])
    assert house.effects == ["ack a", "ack dead bad", "ack b", "save 1"]
    letter = decode(DeadLetter, house.records[1][1])
    assert (letter.topic, letter.value, letter.reason, letter.key) == ("events", b"bad", "it is bad", b"t/main")


def test_facts_about_the_source_are_events_too(tmp_path: Path) -> None:
    """A notice becomes a synthetic event that belongs to no call."""
    house = House(tmp_path)
    data = {"from_us": "1", "to_us": "9", "session": "s"}
    house.go([Batch(items=[Notice(type="gap.detected", ts=9, received_at=5, seq=2, data=data)])])
    event = decode(CallEvent, house.records[0][1])
    assert (event.type, event.synthetic, event.call_id, event.leg_id, event.data) == (
        "gap.detected",
        True,
        "",
        "",
        data,
    )


def test_a_full_spool_is_told_as_a_gap_from_the_last_safe_position(tmp_path: Path) -> None:
    """What cannot be kept is counted; once there is room, reading begins anew before the loss and says how much it was."""
    house = House(tmp_path, limit=1000)
    house.away = True

    def back() -> None:
        house.away = False

    flood = [batch(n, b"%0100d" % n) for n in range(1, 30)]
    house.between[len(flood)] = back
    house.go([*flood, Batch(), Batch()], [batch(99, b"again")])
    first, second = house.readings
    safe = int(second.position["n"])
    assert (first.position, first.lost) == ({}, 0)
    assert 0 < safe < 29
    assert second.lost > 0
    assert [house.name(*r) for r in house.records][:safe] == [f"{n:0100d}" for n in range(1, safe + 1)]
    assert house.name(*house.records[-1]) == "again"
    assert first.stop.is_set()


def test_a_source_that_replays_is_waited_for(tmp_path: Path) -> None:
    """A file keeps what was not read: with a full spool nothing is lost, reading stands still."""
    house = House(tmp_path, limit=1000, replays=True)
    house.away = True
    slept = []

    def sleep(seconds: float, until: threading.Event | None = None) -> bool:
        slept.append(seconds)
        house.away = len(slept) < 5
        return False

    house.clock.sleep = sleep  # type: ignore[method-assign]
    house.go([batch(n, b"%0100d" % n) for n in range(1, 20)])
    assert len(slept) >= 5
    assert [house.name(*r) for r in house.records] == [f"{n:0100d}" for n in range(1, 20)]
    assert house.positions.load() == {"n": 19}


def test_a_feed_that_needs_a_person_leaves_nothing_behind(tmp_path: Path) -> None:
    """Fatal goes up, after what was read is published and the position saved."""
    house = House(tmp_path)

    def refuse() -> None:
        raise Fatal("wrong password: set the right one")

    house.between[1] = refuse
    with pytest.raises(Fatal, match="right one"):
        house.go([batch(1, b"a"), batch(2, b"b")])
    assert house.effects == ["ack a", "save 1"]


def test_an_unreadable_position_is_as_none(tmp_path: Path) -> None:
    """Half a file after a power cut is no reason to stay down."""
    positions = Positions(tmp_path / "state.json")
    assert positions.load() == {}
    (tmp_path / "state.json").write_bytes(b'{"seen_us": 17')
    assert positions.load() == {}
    positions.save({"seen_us": 18})
    assert positions.load() == {"seen_us": 18}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, r"no \[pbx.main\] and no \[crm.main\]"),
        ({"crm": {"main": {"connector": "nonesuch"}}}, "nonesuch"),
        ({"pbx": {"main": {"adapter": "nonesuch"}}}, "nonesuch"),
    ],
)
def test_what_is_not_there_is_named(settings: dict[str, Any], text: str, tmp_path: Path) -> None:
    """A name that is not configured, or a connector that does not exist, ends the process with its name."""
    with pytest.raises(Fatal, match=text):
        run("main", Settings.model_validate({"data_dir": tmp_path, **settings}), ManualClock(), threading.Event())


@pytest.mark.parametrize(("own", "country"), [("", "DE"), ('[pbx.log.numbers]\ncountry = "FR"\n', "FR")])
def test_a_second_source_of_a_pbx_knows_its_house_by_the_first(tmp_path: Path, own: str, country: str) -> None:
    """Number plan and agents need not be written twice, or numbers would read differently by source."""
    file = tmp_path / "trunkline.toml"
    file.write_text(
        'data_dir = "data"\n[pbx.main]\nadapter = "asterisk_cdr"\nagents = { "Anna" = "201" }\n'
        '[pbx.main.numbers]\ncountry = "DE"\n[pbx.log]\nadapter = "asterisk_queue_log"\nof = "main"\n' + own,
        encoding="utf-8",
    )
    settings = load(file, {})
    section = settings.pbx["log"]
    adapter: Adapter[Any] = plugins.load("producers.pbx", section.adapter, Adapter)
    context = source("log", section, adapter, settings, ManualClock())._context
    assert (context.pbx, context.numbers.country, context.agents) == ("main", country, {"Anna": "201"})
