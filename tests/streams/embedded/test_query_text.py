"""Format and data are found in a query however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.embedded.query_text import parse


@pytest.mark.parametrize(
    ("text", "statement", "form", "data"),
    [
        ("INSERT INTO t FORMAT CSV\n1,2", "INSERT INTO t ", "CSV", "1,2"),
        ("insert into t format CSV 1,2", "insert into t ", "CSV", "1,2"),
        ("INSERT INTO t FORMAT CSV\r\n\n1", "INSERT INTO t ", "CSV", "\n1"),
        ("INSERT INTO t (a, b) VALUES (1, 2)", "INSERT INTO t (a, b) ", "Values", "(1, 2)"),
        ("INSERT INTO t VALUES('FORMAT CSV')", "INSERT INTO t ", "Values", "('FORMAT CSV')"),
        ("INSERT INTO format FORMAT TSV\nx", "INSERT INTO format ", "TSV", "x"),
        ("INSERT INTO values VALUES (1)", "INSERT INTO values ", "Values", "(1)"),
        (
            "INSERT INTO db.format (format, values) FORMAT Avro\nObj",
            "INSERT INTO db.format (format, values) ",
            "Avro",
            "Obj",
        ),
        ("INSERT INTO t /* FORMAT CSV */ SETTINGS x = 'FORMAT' -- VALUES\n FORMAT JSON {}", None, "JSON", "{}"),
        ("INSERT INTO `a FORMAT b` FORMAT CSV\n1", "INSERT INTO `a FORMAT b` ", "CSV", "1"),
        ("INSERT INTO FUNCTION file('x', 'CSV') FORMAT CSV\n1", "INSERT INTO FUNCTION file('x', 'CSV') ", "CSV", "1"),
    ],
)
def test_data_of_an_insert(text: str, statement: str | None, form: str, data: str) -> None:
    """The statement ends before FORMAT or VALUES; the data begins after the blanks and at most one line break."""
    found = parse(text.encode())
    assert found.data is not None
    assert (found.format, text[found.data :]) == (form, data)
    if statement is not None:
        assert found.statement.decode() == statement


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("SELECT 1", None),
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1 format JSON;", "JSON"),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "JSON"),
        ("SELECT format FROM t", None),
        ("SELECT a AS format, b FROM t FORMAT CSV -- done", "CSV"),
        ("SELECT ' FORMAT JSON'", None),
        ("SELECT 'it''s \\' FORMAT JSON'", None),
        ("SELECT (SELECT 1 FORMAT JSON)", None),
        ("SELECT $$ FORMAT JSON $$ FORMAT TSV", "TSV"),
        ("INSERT INTO t SELECT 1", None),
        ("INSERT INTO t SELECT values FROM u", None),
        ("INSERT INTO t", None),
        ("", None),
    ],
)
def test_format_of_other_statements(text: str, form: str | None) -> None:
    """Only a FORMAT clause at the end counts; a statement that brings no data has none."""
    found = parse(text.encode())
    assert (found.format, found.data, found.statement) == (form, None, text.encode())


@pytest.mark.parametrize(
    ("text", "touches"),
    [
        ("SELECT 1 INTO OUTFILE 'x'", True),
        ("SELECT 1 into /* */ outfile 'x' FORMAT CSV", True),
        ("INSERT INTO t FROM INFILE 'x' FORMAT CSV", True),
        ("SELECT 'INTO OUTFILE' AS outfile", False),
        ("SELECT 1 INTO OUTFILE $x$/tmp/no$x$", True),
        ("INSERT INTO outfile VALUES (1)", False),
        ("INSERT INTO t FORMAT CSV\nINTO OUTFILE", False),
    ],
)
def test_file_clauses_are_seen(text: str, touches: bool) -> None:
    """INTO OUTFILE and FROM INFILE are found outside quotes, comments and data."""
    assert parse(text.encode()).touches_files is touches


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"INSERT INTO t FORMAT CSV\n", b"SELECT 1 FORMAT ", b"INSERT INTO t "]),
)
def test_any_bytes_are_taken(tail: bytes, start: bytes) -> None:
    """Nothing that a client can send raises, and statement and data lie in the text in this order."""
    text = start + tail
    found = parse(text)
    assert text.startswith(found.statement)
    assert found.data is None or len(found.statement) <= found.data <= len(text)
