"""The tables hold exactly what the log holds, whatever dies: count, place and no gap, asked in SQL."""

import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.embedded.clickhouse import EmbeddedClickHouse
from streams.embedded.kafka import EmbeddedKafka
from streams.runtime.config import ClickHouse
from tests.sinks.clickhouse.world import CLOCK, EVENTS, World, broken, event
from tests.support.services import ClickHouseServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MakeWorld = Callable[..., World]


def fill(world: World, partition: int, numbers: range, every: int) -> tuple[set[int], set[int]]:
    """Produce events, each `every`th of them unusable; returns the offsets of rows and of dead letters."""
    start = world.ends(EVENTS)[partition]
    rows, dead = set(), set()
    values: list[bytes | None] = []
    for at, number in enumerate(numbers, start):
        value: bytes | None = event(partition, number)
        if number % every == every - 1:
            assert value
            value = broken(value, number // every)
            if value is not None:
                dead.add(at)
        else:
            rows.add(at)
        values.append(value)
    world.produce(EVENTS, partition, values)
    return rows, dead


def assert_exact(world: World, rows: dict[int, set[int]], dead: dict[int, set[int]]) -> None:
    """In = rows + dead letters + tombstones, each at its place, none twice."""
    found: dict[int, set[int]] = {}
    for partition, offsets in world.query("SELECT _partition, groupArray(_offset) FROM call_events GROUP BY 1"):
        assert len(offsets) == len(set(offsets)), f"rows twice in {partition}"
        found[partition] = set(offsets)
    assert found == rows
    letters = Counter((letter.partition, letter.offset) for letter in world.dead(EVENTS))
    assert set(letters) == {(partition, offset) for partition, offsets in dead.items() for offset in offsets}
    ((askew,),) = world.query(
        "SELECT count() FROM call_events WHERE reinterpret(substring(event_id, 16, 1), 'UInt8') "
        "!= toUInt64OrZero(data['n']) % 256"
    )
    assert askew == 0


def test_killed_at_random_moments(make_world: MakeWorld) -> None:
    """SIGKILL of the sink, many times, in small batches full of poison: nothing lost, nothing twice."""
    chance = random.Random(7)
    world = make_world(partitions=3)
    rows, dead = {}, {}
    for partition in range(3):
        rows[partition], dead[partition] = fill(world, partition, range(6000), every=701)
    deaths = 0
    for _ in range(8):
        sink = world.start(rows=150, seconds=0.01)
        before = len(world.rows("SELECT 1 FROM call_events"))
        world.wait(lambda before=before: len(world.rows("SELECT 1 FROM call_events")) > before)  # type: ignore[misc]
        CLOCK.sleep(chance.uniform(0.0, 0.7))
        deaths += sink.poll() is None
        sink.kill()
        sink.wait(10)
        if world.done(EVENTS)():
            break
    assert deaths >= 3
    world.start()
    world.wait(world.done(EVENTS))
    assert_exact(world, rows, dead)


def test_the_engine_is_killed_and_comes_back(make_world: MakeWorld, tmp_path: Path) -> None:
    """Inserts without an answer are repeated under the same token, and looked up."""
    chance = random.Random(11)
    engine = EmbeddedClickHouse(tmp_path / "engine")
    with engine:
        world = make_world(partitions=2, url=engine.url, name="trunkline")
        world.start(rows=100, seconds=0.01)
        rows, dead = {}, {}
        for partition in range(2):
            rows[partition], dead[partition] = fill(world, partition, range(5000), every=997)
        for goal in (0, 1500, 3000, 4500):
            world.wait(lambda goal=goal: len(world.rows("SELECT 1 FROM call_events")) > goal)  # type: ignore[misc]
            CLOCK.sleep(chance.uniform(0.0, 0.3))
            engine.kill()
            CLOCK.sleep(chance.uniform(0.0, 1.0))
            engine.start()
        world.wait(world.done(EVENTS))
        assert_exact(world, rows, dead)
        world.stop()


def test_partitions_move_between_two_sinks(make_world: MakeWorld) -> None:
    """A second sink joins under load, the first is killed, then stopped cleanly: each range has one owner."""
    world = make_world(partitions=4)
    rows, dead = {}, {}
    first = world.start(rows=100, seconds=0.01)
    for partition in range(4):
        rows[partition], dead[partition] = fill(world, partition, range(3000), every=499)
    world.wait(lambda: len(world.rows("SELECT 1 FROM call_events")) > 500)
    second = world.start(rows=100, seconds=0.01)
    CLOCK.sleep(3)
    for partition in range(4):
        more, poison = fill(world, partition, range(3000, 5000), every=499)
        rows[partition] |= more
        dead[partition] |= poison
    first.kill()
    first.wait(10)
    CLOCK.sleep(1)
    third = world.start(rows=100, seconds=0.01)
    CLOCK.sleep(2)
    second.terminate()
    assert second.wait(15) == 0
    world.wait(world.done(EVENTS))
    third.terminate()
    assert third.wait(15) == 0
    assert_exact(world, rows, dead)


def test_a_lone_record_is_there_at_once(make_world: MakeWorld) -> None:
    """Without waiting for a batch to fill."""
    world = make_world()
    world.start(seconds=20)
    world.produce(EVENTS, 0, [event(0, 1)])
    world.wait(lambda: len(world.rows("SELECT 1 FROM call_events")) == 1)
    assert world.query("SELECT _topic, _partition, _offset FROM call_events") == [(EVENTS, 0, 0)]


def test_records_that_were_deleted_unread_are_told(make_world: MakeWorld) -> None:
    """The sink goes on where the log begins, and says at ERROR level that it had to."""
    world = make_world()
    sink = world.start()
    world.produce(EVENTS, 0, [event(0, number) for number in range(10)])
    world.wait(world.done(EVENTS))
    sink.terminate()
    assert sink.wait(15) == 0
    world.produce(EVENTS, 0, [event(0, number) for number in range(10, 30)])
    world.delete_before(EVENTS, 0, 20)
    world.start()
    world.wait(world.done(EVENTS))
    assert [r for (r,) in world.query("SELECT _offset FROM call_events ORDER BY 1")] == [*range(10), *range(20, 30)]
    (told,) = [line for line in world.said() if line.get("event") == "sink.lost"]
    assert [told[key] for key in ("level", "partition", "first", "log_begins_at")] == ["error", 0, 10, 20]


def test_a_first_start_on_an_old_log_loses_nothing_that_is_there(make_world: MakeWorld) -> None:
    """What retention took before is nobody's loss."""
    world = make_world()
    world.produce(EVENTS, 0, [event(0, number) for number in range(10)])
    world.delete_before(EVENTS, 0, 4)
    world.start()
    world.wait(world.done(EVENTS))
    assert [r for (r,) in world.query("SELECT _offset FROM call_events ORDER BY 1")] == [*range(4, 10)]
    assert not [line for line in world.said() if line.get("level") == "error"]


def test_a_wrong_password_ends_the_sink_with_what_to_do(make_world: MakeWorld, tmp_path: Path) -> None:
    """No number of tries lets it in."""
    password = tmp_path / "password"
    password.write_text("right", encoding="ascii")
    with EmbeddedClickHouse(tmp_path / "engine", password_file=password) as engine:
        world = make_world(url=engine.url)
        sink = world.start()
        assert sink.wait(60) == 1
        said = (tmp_path / "sink.log").read_text()
        assert "clickhouse.password" in said
        assert "Traceback" not in said


@pytest.mark.chaos
def test_a_sink_that_was_frozen_wakes_up_to_find_its_partitions_taken(make_world: MakeWorld) -> None:
    """What it had under way it may not commit; what it inserts a second time the server knows by its token."""
    world = make_world(partitions=2)
    rows, dead = {}, {}
    first = world.start(rows=40, seconds=0.01)
    for partition in range(2):
        rows[partition], dead[partition] = fill(world, partition, range(6000), every=499)
    world.wait(lambda: len(world.rows("SELECT 1 FROM call_events")) > 500)
    first.send_signal(signal.SIGSTOP)
    there = len(world.rows("SELECT 1 FROM call_events"))
    second = world.start(rows=40, seconds=0.01)
    world.wait(lambda: len(world.rows("SELECT 1 FROM call_events")) > there + 1000)
    first.send_signal(signal.SIGCONT)
    world.wait(world.done(EVENTS))
    second.terminate()
    assert second.wait(15) == 0
    more, poison = fill(world, 0, range(6000, 6500), every=499)
    rows[0] |= more
    dead[0] |= poison
    world.wait(world.done(EVENTS))
    assert_exact(world, rows, dead)


@pytest.mark.chaos
def test_the_broker_is_killed_and_comes_back(
    tmp_path: Path, clickhouse: ClickHouseServer, database: str, say: Callable[[str], None]
) -> None:
    """Also when it does not know its own member any more."""
    chance = random.Random(5)
    with EmbeddedKafka(tmp_path / "kafka", heap="400m", progress=say) as broker:
        warehouse = ClickHouse(url=clickhouse.url, database=database, password=SecretStr(clickhouse.password))
        world = World(tmp_path, broker.bootstrap, warehouse, 2)
        try:
            rows, dead = {}, {}
            for partition in range(2):
                rows[partition], dead[partition] = fill(world, partition, range(5000), every=997)
            world.start(rows=50, seconds=0.01)
            for goal in (0, 2000, 4000):
                world.wait(lambda goal=goal: len(world.rows("SELECT 1 FROM call_events")) > goal)  # type: ignore[misc]
                CLOCK.sleep(chance.uniform(0.0, 0.3))
                broker.kill()
                CLOCK.sleep(chance.uniform(0.0, 3.0))
                broker.start()
            world.wait(world.done(EVENTS))
            assert_exact(world, rows, dead)
        finally:
            world.stop()
