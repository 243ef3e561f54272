"""Interval sets, and who talks with whom."""

from hypothesis import given
from hypothesis import strategies as st

from streams.processors.folding.legs import Leg, Stay
from streams.processors.folding.times import common, held, merged, paired, seconds, stays, talks

INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair))))


def moments(intervals: list[tuple[int, int]]) -> set[int]:
    return {moment for start, end in intervals for moment in range(start, end)}


def leg(name: str, *moves: tuple[int, str], local: str = "", ended: int | None = None) -> Leg:
    """A leg that enters a bridge, or leaves it (`-b`), at those moments."""
    stays = [Stay(at, seq, bridge.lstrip("-"), joined=bridge[0] != "-") for seq, (at, bridge) in enumerate(moves)]
    return Leg(id=name, created_at=0, last_at=0, local=local, stays=stays, ended_at=ended)


@given(INTERVALS, INTERVALS)
def test_sets_are_sets_of_moments(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    """Union and intersection of intervals are those of the moments in them, and a union counts no moment twice."""
    assert moments(merged([*one, *two])) == moments(one) | moments(two)
    assert moments(common(merged(one), merged(two))) == moments(one) & moments(two)
    assert seconds(merged(one)) == len(moments(one)) / 1e6


def test_on_and_off() -> None:
    """An off without an on means nothing; an on that is told twice goes on; a missing off leaves the last one open."""
    assert paired([(1, False), (2, True), (3, True), (4, False), (5, True)]) == [(2, 3), (3, 4), (5, None)]


def test_a_talk_needs_two() -> None:
    """From the second one's coming to the first one's leaving."""
    assert talks([leg("a", (1, "b"), (9, "-b")), leg("c", (4, "b"), (7, "-b"))], 20) == [(4, 7, frozenset("ac"))]
    assert talks([leg("a", (1, "b"))], 20) == []


def test_what_goes_on_ends_at_the_asked_moment() -> None:
    """And a leg that ends leaves its bridge, told or not."""
    assert talks([leg("a", (1, "b")), leg("c", (4, "b"))], 20) == [(4, 20, frozenset("ac"))]
    assert talks([leg("a", (1, "b")), leg("c", (4, "b"), ended=9)], 20) == [(4, 9, frozenset("ac"))]


def test_a_leave_that_comes_after_the_next_bridge() -> None:
    """Whoever is in a new bridge has left the old one, whenever that is told."""
    spans = talks([leg("a", (1, "b"), (5, "x"), (6, "-b")), leg("c", (1, "b")), leg("d", (1, "x"))], 9)
    assert spans == [(1, 5, frozenset("ac")), (5, 9, frozenset("ad"))]


def test_local_channels_connect_two_bridges() -> None:
    """Both halves must be in: before and after, the two sides do not hear each other."""
    spans = talks(
        [
            leg("a", (1, "x")),
            leg("one", (3, "x"), (8, "-x"), local="Local/201"),
            leg("two", (4, "y"), local="Local/201"),
            leg("c", (1, "y")),
        ],
        20,
    )
    assert spans == [(4, 8, frozenset("ac"))]


def test_three_in_one_bridge() -> None:
    """A conference is one group that changes."""
    spans = talks([leg("a", (1, "b")), leg("c", (2, "b")), leg("d", (3, "b"), (5, "-b"))], 9)
    assert spans == [(2, 3, frozenset("ac")), (3, 5, frozenset("acd")), (5, 9, frozenset("ac"))]


def test_hold_is_clipped_to_the_bridge_and_queue_music_is_none() -> None:
    """A hold outlasts its talk, and the music of the queue began before it."""
    one = leg("a", (10, "b"), (20, "-b"))
    one.holds = [(15, True)]
    one.music = [(2, True)]
    assert held(one, 30) == [(15, 20)]
    assert stays(one, 30) == [(10, 20)]
