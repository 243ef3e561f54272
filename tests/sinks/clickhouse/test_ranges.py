"""The pending range survives its trip through the commit metadata."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.clickhouse.ranges import Range, parse

OFFSETS = st.integers(0, 2**40)


@given(OFFSETS, st.integers(0, 500_000), st.frozensets(st.integers(0, 300), max_size=200))
def test_what_was_written_down_is_read_back(first: int, more: int, skipped: frozenset[int]) -> None:
    """A replay needs exactly the range that the insert had."""
    span = Range(first=first, last=first + more, skipped=frozenset(first + s for s in skipped))
    assert parse(span.text()) == span


def test_skipped_offsets_are_runs_relative_to_the_first() -> None:
    """Metadata is small, offsets are large."""
    span = Range(first=1_000_000, last=1_000_100).skipping([1_000_003, 1_000_007, 1_000_009, 1_000_008])
    assert span.text() == "1000000:1000100:3,7-9"


def test_a_list_that_kafka_would_refuse_is_left_out() -> None:
    """The broker takes 4096 bytes; without the list a replay asks the server again."""
    span = Range(first=0, last=100_000).skipping(range(0, 100_000, 2))
    assert span.text() == "0:100000"


@pytest.mark.parametrize("text", [None, ""])
def test_no_metadata_is_no_range(text: str | None) -> None:
    """A partition that was committed to its end has nothing pending."""
    assert parse(text) is None


def test_metadata_of_somebody_else_is_not_guessed_at() -> None:
    """A group that another program commits to is not ours to replay."""
    with pytest.raises(ValueError, match="invalid literal"):
        parse("hello:world")
