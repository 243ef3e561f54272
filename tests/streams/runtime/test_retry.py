"""Waits between tries."""

from streams.runtime.retry import Backoff


def test_waits_double_up_to_the_most() -> None:
    """Each failure doubles the wait until it is the longest allowed."""
    backoff = Backoff(first=1, most=5)
    assert [backoff.wait() for _ in range(5)] == [1, 2, 4, 5, 5]


def test_a_success_begins_anew() -> None:
    """After something worked, the first wait is short again."""
    backoff = Backoff(first=1, most=5)
    backoff.wait()
    backoff.wait()
    backoff.success()
    assert backoff.wait() == 1


def test_what_the_far_side_asks_for_counts() -> None:
    """A Retry-After wins over our own guess, also when it is nothing."""
    backoff = Backoff(first=1, most=5)
    assert backoff.wait(60) == 60
    assert backoff.wait(0) == 0
