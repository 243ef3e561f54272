"""Fields and times in the CRM's words and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clients.rest import template, values
from streams.clients.rest.mapping import Column, TimeFormat

MOMENT = 1_767_225_600_000_000


@pytest.mark.parametrize(
    ("how", "written"), [("rfc3339", "2026-01-01T00:00:00Z"), ("unix", 1_767_225_600), ("unix_ms", 1_767_225_600_000)]
)
def test_a_time_is_written_as_the_crm_wants_it_and_read_again(how: TimeFormat, written: str | int) -> None:
    """Whole seconds, UTC."""
    column = Column(to="at", type="time", time=how)
    assert values.theirs(column, "2026-01-01T00:00:00Z") == written
    assert values.ours(column, {"at": written}) == "2026-01-01T00:00:00Z"
    assert values.micros(written) == MOMENT


@pytest.mark.parametrize("told", ["2026-01-01T01:00:00+01:00", "2026-01-01 00:00:00", "2026-01-01T00:00:00.000000Z"])
def test_a_time_is_read_in_any_notation(told: str) -> None:
    """Without an offset it is UTC."""
    assert values.ours(Column(to="at", type="time"), {"at": told}) == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("told", [True, None, [], "noon", float("nan"), float("inf")])
def test_what_is_no_time_is_none(told: Any) -> None:
    """A truth value is not one second past the epoch."""
    with pytest.raises((ValueError, OverflowError)):
        values.micros(told)


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(["inbound", "outbound", "internal", ""]), st.text())
def test_what_is_written_is_read_again(seconds: int, direction: str, text: str) -> None:
    """Numbers, words of theirs, any text, and nothing at all."""
    columns = [
        (Column(to="a.b", type="integer"), str(seconds)),
        (Column(to="a.b", type="integer"), ""),
        (Column(to="d", values={"inbound": "1", "outbound": "2"}), direction),
        (Column(to="t"), text),
        (Column(to="t", null=True), text),
    ]
    for column, ours in columns:
        entry: dict[str, Any] = {}
        template.put(entry, column.to, values.theirs(column, ours))
        assert values.ours(column, entry) == ours
