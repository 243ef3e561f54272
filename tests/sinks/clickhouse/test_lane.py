"""How a partition's records are cut into batches."""

from sinks.clickhouse.lane import Lane, Limits
from sinks.clickhouse.ranges import Range
from tests.sinks.clickhouse.fakes import Record

LIMITS = Limits(rows=3, bytes=10_000, seconds=0.5)


def lane(pending: Range | None = None, *offsets: int) -> Lane:
    made = Lane("crm-writes", 0, LIMITS, pending)
    for offset in offsets:
        made.add([Record(at=offset, body=b"x")])
    return made


def test_a_lone_record_goes_at_once() -> None:
    """Low latency when little comes."""
    made = lane(None, 7)
    assert made.ready(now=100.0)
    batch = made.take(now=100.0)
    assert (batch.first, batch.last, [m.offset() for m in batch.messages], batch.replayed) == (7, 7, [7], False)


def test_the_next_short_batch_waits_its_turn() -> None:
    """Few inserts a second, so that parts do not explode."""
    made = lane(None, 7)
    made.take(now=100.0)
    made.busy = False
    made.add([Record(at=8, body=b"x")])
    assert not made.ready(now=100.4)
    assert made.ready(now=100.5)


def test_a_full_batch_does_not_wait() -> None:
    """High throughput under load; rows beyond the limit are for the next one."""
    made = lane(None, 7)
    made.take(now=100.0)
    made.busy = False
    for offset in (8, 9, 10, 11):
        made.add([Record(at=offset, body=b"x")])
    assert made.ready(now=100.0)
    assert [m.offset() for m in made.take(now=100.0).messages] == [8, 9, 10]


def test_bytes_fill_a_batch_too() -> None:
    """Long records must not make an insert that memory cannot hold."""
    made = lane(None, 7)
    made.take(now=100.0)
    made.busy = False
    made.add([Record(at=8, body=b"x" * 20_000)])
    assert made.ready(now=100.0)
    held = made.bytes
    made.take(now=100.0)
    assert (held > 20_000, made.bytes) == (True, 0)


def test_a_busy_lane_has_nothing_to_give() -> None:
    """One batch per partition at a time keeps the order."""
    made = lane(None, 1, 2, 3)
    made.take(now=0.0)
    made.add([Record(at=4, body=b"x")])
    assert not made.ready(now=100.0)


def test_the_pending_range_is_replayed_exactly() -> None:
    """Neither a record more nor less than the insert had that a crash may have cut."""
    made = lane(Range(first=5, last=9, skipped=frozenset({6})), 5, 6, 8)
    assert not made.ready(now=100.0)
    made.add([Record(at=9, body=b"x")])
    made.add([Record(at=10, body=b"x")])
    assert made.ready(now=100.0)
    batch = made.take(now=100.0)
    assert [m.offset() for m in batch.messages] == [5, 6, 8, 9]
    assert (batch.first, batch.last, batch.skipped, batch.replayed) == (5, 9, frozenset({6}), True)
    made.busy = False
    made.taken_at = 0.0
    assert [m.offset() for m in made.take(now=100.0).messages] == [10]


def test_a_pending_range_ends_where_the_log_goes_on() -> None:
    """Compaction may have taken its last record."""
    made = lane(Range(first=5, last=9), 5, 12)
    assert made.ready(now=0.0)
    assert [m.offset() for m in made.take(now=0.0).messages] == [5]


def test_a_pending_range_ends_where_the_log_ends() -> None:
    """Nothing may come after it for hours."""
    made = lane(Range(first=5, last=9), 5)
    made.end(9)
    assert not made.ready(now=0.0)
    made.end(10)
    assert made.ready(now=0.0)


def test_a_tombstone_is_part_of_the_range() -> None:
    """So that what is committed covers it."""
    made = Lane("calls", 0, LIMITS, None)
    made.add([Record(at=3, body=None)])
    batch = made.take(now=0.0)
    assert (batch.first, batch.last, [m.value() for m in batch.messages]) == (3, 3, [None])
