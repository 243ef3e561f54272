"""Outside text in SOQL and SOSL stands for itself, whatever it holds."""

import re

from hypothesis import given
from hypothesis import strategies as st

from streams.clients.soql import literal, phrase
from tests.fakes.soql import parsed, searched

_TEXT = st.text(st.sampled_from("a1'\"\\ \n\r\t%_(){}[]*?&|!^~:+-;é\u2028\uff21OR"), max_size=30)


@given(_TEXT | st.text(max_size=30))
def test_a_string_means_its_text_and_ends_nowhere_else(text: str) -> None:
    """It fits the row that has it and no other, and the query still has its own end."""
    query = parsed(f"SELECT Id FROM Task WHERE Key = {literal(text)} AND Id > '1' LIMIT 1")
    assert query.test({"Key": text, "Id": "2"})
    assert not query.test({"Key": text, "Id": "1"})
    assert not query.test({"Key": text + "x", "Id": "2"})
    assert query.limit == 1


@given(_TEXT | st.text(max_size=30))
def test_a_phrase_is_one_phrase(text: str) -> None:
    """No operator, wildcard or brace gets out of it."""
    sosl = f"FIND {{{phrase(text)} OR {phrase('42')}}} IN PHONE FIELDS RETURNING Contact(Id) LIMIT 9"
    query = searched(sosl, lambda row: [row["Phone"]])
    assert query.columns == ["Id"]
    assert query.test({"Phone": "42"})
    assert query.test({"Phone": f"x {text}"}) is bool(re.search(r"\w", text))
