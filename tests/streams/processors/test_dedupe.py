"""The seen-set of a partition."""

from hypothesis import given
from hypothesis import strategies as st

from streams.processors.dedupe import Seen


def knows(seen: Seen, event_id: bytes) -> bool:
    """Look where the hot loop looks."""
    return event_id in seen.new or event_id in seen.old


def ids(count: int) -> list[bytes]:
    return [i.to_bytes(16) for i in range(count)]


def test_an_id_is_known_once_it_was_added() -> None:
    """And no other is."""
    seen = Seen(10)
    seen.add(b"a" * 16)
    assert knows(seen, b"a" * 16)
    assert not knows(seen, b"b" * 16)


@given(limit=st.integers(2, 50), count=st.integers(0, 200))
def test_memory_is_bounded_and_the_last_half_is_always_known(limit: int, count: int) -> None:
    """Never more than the limit; at least the last half of it."""
    seen = Seen(limit)
    for event_id in ids(count):
        seen.add(event_id)
        assert len(seen.new) + len(seen.old) <= limit
    for event_id in ids(count)[-(limit // 2) :]:
        assert knows(seen, event_id)


def test_the_oldest_go_first() -> None:
    """A generation is let go as a whole."""
    seen = Seen(4)
    for event_id in ids(5):
        seen.add(event_id)
    assert [knows(seen, event_id) for event_id in ids(5)] == [False, False, True, True, True]
