"""Finished calls are remembered within bounds."""

from streams.processors.folding import wire
from streams.processors.folding.past import Past

HOUR = 3_600_000_000


def said(name: str, state: str = "final", into: str = "", rev: int = 1) -> wire.Said:
    return wire.Said(name, rev, "t/main", state, into)


def put(past: Past, name: str, at: int | None = None, *, state: str = "final", into: str = "", size: int = 100) -> None:
    past.put(("t/main", name), b"x" * size, said(name, state, into), at)


def names(past: Past, count: int) -> list[int]:
    return [n for n in range(count) if past.final("t/main", f"c{n}")]


def test_too_many_bytes_push_out_the_oldest() -> None:
    """The bound holds at every moment, and the newest stay."""
    past = Past(HOUR, 100_000)
    for n in range(1000):
        put(past, f"c{n}", n, size=500)
        assert past.size <= 100_000
    kept = names(past, 1000)
    assert kept == list(range(kept[0], 1000))
    assert len(kept) > 80


def test_open_calls_are_not_pushed_out() -> None:
    """What was recalled of an open call is needed for its next revision, however many are finished since."""
    past = Past(HOUR, 50_000)
    put(past, "open", state="connected")
    for n in range(500):
        put(past, f"c{n}", n)
    assert past.pop(("t/main", "open")) is not None


def test_the_old_go() -> None:
    """By the moment they were put away; recalled ones by the moment that the worker began."""
    past = Past(HOUR, 1_000_000)
    put(past, "recalled")
    past.trim(10 * HOUR)
    put(past, "new", 10 * HOUR + HOUR // 2)
    past.trim(11 * HOUR + 1)
    assert past.final("t/main", "recalled") is None
    assert past.final("t/main", "new") is not None
    past.trim(12 * HOUR)
    assert len(past) == 0
    assert past.size == 0


def test_a_merged_call_leads_to_the_one_it_became_part_of() -> None:
    """Over any number of merges; to a call that is still open it leads nowhere."""
    past = Past(HOUR, 1_000_000)
    put(past, "a", state="merged", into="b")
    put(past, "b", state="merged", into="c")
    assert past.final("t/main", "a") is None
    put(past, "c")
    found = past.final("t/main", "a")
    assert found is not None
    assert found[0] == ("t/main", "c")
