"""Texts in TOML: whatever they hold, they stay one text."""

import tomllib

from hypothesis import example, given
from hypothesis import strategies as st

from streams.runtime.reference import toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
@example("it's \\d")
@example('"\n[pbx.evil]\nhost = "x')
@example("'\n[x]")
@example("\x7f\\")
def test_a_text_comes_back_as_it_was(text: str) -> None:
    """An answer with quotes or line ends cannot become a key of its own."""
    assert tomllib.loads(f"a = {toml(text)}") == {"a": text}


@given(st.lists(TEXT))
def test_a_list_comes_back_as_it_was(texts: list[str]) -> None:
    """The same holds inside a list."""
    assert tomllib.loads(f"a = {toml(texts)}") == {"a": texts}


def test_an_expression_stays_readable() -> None:
    """A person edits it."""
    assert toml(r"[1-9]\d{3}") == r"'[1-9]\d{3}'"
