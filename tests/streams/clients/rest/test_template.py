"""Templates and paths: a value stays a value, whatever is in it."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clients.rest import template
from streams.runtime.errors import Reject

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT.filter(lambda v: v not in {".", ".."}))
def test_a_value_in_a_path_is_one_segment(value: str) -> None:
    """On the wire it is what it was, and the way to the resource has as many steps as it should."""
    url = httpx.URL("http://crm.test").copy_with(raw_path=template.path("/api/{id}/notes", {"id": value}).encode())
    before, api, one, notes = url.raw_path.decode("ascii").split("/")
    assert (before, api, unquote(one), notes) == ("", "api", value, "notes")


@pytest.mark.parametrize("value", ["", ".", "..", None])
def test_a_value_that_would_lead_elsewhere_is_refused(value: str | None) -> None:
    """DELETE of an entry must never become DELETE of all of them."""
    with pytest.raises(Reject):
        template.path("/api/activities/{id}", {"id": value})


def test_an_empty_value_beside_text_is_refused_too() -> None:
    """`calls-` is no entry."""
    with pytest.raises(Reject):
        template.path("/api/calls-{id}", {"id": ""})


@given(TEXT)
def test_a_value_in_a_query_is_one_value(value: str) -> None:
    """No `&` or `=` of it begins another parameter."""
    query = template.query({"q": "{call_id}", "limit": "5"}, {"call_id": value})
    sent = str(httpx.URL("http://crm.test/", params=query))
    assert parse_qs(urlsplit(sent).query, keep_blank_values=True, strict_parsing=True) == {"q": [value], "limit": ["5"]}


def test_a_parameter_without_its_value_is_left_out() -> None:
    """Empty and not there are two things."""
    assert template.query({"a": "{cursor}", "b": "{since}"}, {"cursor": "", "since": None}) == {"a": ""}


@given(TEXT)
def test_a_value_in_a_body_is_one_value(value: str) -> None:
    """Quotes, braces and line ends of it make no JSON of their own."""
    built = template.body({"a": "{x}", "b": ["[{x}]", {"c": 7, "{x}": True}]}, {"x": value})
    assert built == {"a": value, "b": [f"[{value}]", {"c": 7, "{x}": True}]}


def test_a_name_alone_keeps_its_type() -> None:
    """A number is a number in JSON, and text within text."""
    assert template.body(["{n}", "{n}", "at {n}", "{none}"], {"n": 3}) == [3, 3, "at 3", None]


def test_braces_are_written_twice() -> None:
    """A CRM may want them."""
    assert template.text("{{{x}}}", {"x": "1"}) == "{1}"


@pytest.mark.parametrize("wrong", ["{", "}", "{}", "{0}", "{a.b}", "{a!r}", "{a:>9}", "{a[0]}", "{A}"])
def test_what_is_no_plain_name_is_refused(wrong: str) -> None:
    """No reaching into values, no formats."""
    with pytest.raises(ValueError, match=r".+"):
        template.parts(wrong)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("", [{"a": {"b": [{"c": 1}, {"c": 2}, {}]}, "n": None}]),
        ("a.b[].c", [1, 2]),
        ("a.b.1.c", [2]),
        ("a.b.9", []),
        ("a.b.c", []),
        ("n", [None]),
        ("n[]", []),
        ("n.x", []),
        ("a[]", []),
        ("x", []),
    ],
)
def test_what_stands_at_a_path(where: str, found: list[Any]) -> None:
    """None, one, or every item."""
    assert template.select({"a": {"b": [{"c": 1}, {"c": 2}, {}]}, "n": None}, where) == found


def test_a_list_alone_has_items_too() -> None:
    """Some answers are nothing but a list."""
    assert template.select([{"id": 1}, {"id": 2}], "[].id") == [1, 2]


def test_tables_on_the_way_are_made() -> None:
    """And what stands in them stays."""
    tree = {"a": {"x": 1}}
    template.put(tree, "a.b.c", 2)
    assert tree == {"a": {"x": 1, "b": {"c": 2}}}
