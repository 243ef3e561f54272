"""The text of a ClickHouse query as its HTTP interface sees it: which format, and where the data of an INSERT begins."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_STATEMENT = 262_144
"""Bytes of a statement: ClickHouse's default max_query_size. The data of an INSERT is not part of it."""

# Comments and quotes as ClickHouse's own lexer has them; an escape or a doubled quote does not end a string.
_TOKEN = re.compile(
    rb"""(?xs)
      (?P<space> \s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?\*/ )
    | (?P<quoted> '(?:[^'\\]|\\.)*' | `(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<word> [A-Za-z_]\w* )
    | (?P<open> [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<other> . )
    """
)
_NAME_FOLLOWS = (b"into", b"table", b".")
_FILE_FOLLOWS = (b"outfile", b"infile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What the interface must know of a query before the engine, which parses it again, sees it."""

    statement: bytes
    """The whole text; of an INSERT that brings data, what stands before FORMAT or VALUES."""
    format: str | None
    """The format that the text itself names."""
    data: int | None
    """Where in the text the data of an INSERT begins; None where the statement takes none."""
    touches_files: bool
    """INTO OUTFILE or FROM INFILE, which only a local client may say."""


def parse(text: bytes) -> Query:
    """Find format and data in a query; the first `MAX_STATEMENT` bytes of it are enough. Never raises."""
    insert = touches_files = False
    form: bytes | None = None
    last, last_start = b"", 0
    for word, start, end in _top_level(text):
        touches_files |= last in _FILE_FOLLOWS and word[:1] in {b"'", b"$"}
        if not last:
            insert = word == b"insert"
        elif last == b"format" and word[:1].isalpha():
            form = text[start:end]
            if insert:
                return _insert(text[:last_start], form, text, end, touches_files=touches_files)
        elif insert and word == b"values" and last not in _NAME_FOLLOWS:
            return _insert(text[:start], b"Values", text, end, touches_files=touches_files)
        elif insert and word in {b"select", b"with"}:
            insert = False  # what it inserts it reads itself
        elif form and word == b"settings":
            break
        elif form and word != b";":
            form = None  # a column that is called format, not the clause at the end
        last, last_start = (b"name" if word == b"format" and last in _NAME_FOLLOWS else word), start
    return Query(statement=text, format=form.decode() if form else None, data=None, touches_files=touches_files)


def split_settings(insert: bytes) -> tuple[bytes, bytes]:
    """An INSERT before and from its SETTINGS clause: where the file's name has to stand."""
    for word, start, _ in _top_level(insert):
        if word == b"settings" and start:
            return insert[:start], insert[start:]
    return insert, b""


def _top_level(text: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Tokens outside brackets, in lower case, with their place; comments and blanks left out."""
    depth = 0
    for token in _TOKEN.finditer(text, 0, MAX_STATEMENT):
        if token.lastgroup != "space":
            depth -= token.lastgroup == "close"
            if depth <= 0:
                yield token.group().lower(), token.start(), token.end()
            depth += token.lastgroup == "open"


def _insert(statement: bytes, form: bytes, text: bytes, end: int, *, touches_files: bool) -> Query:
    # Data starts after the first newline if there is one, or else after the blanks (ClickHouse's ParserInsertQuery).
    blanks = re.compile(rb"[ \t\f]*\r?\n?").match(text, end)
    data = blanks.end() if blanks else end
    return Query(statement=statement, format=form.decode(), data=data, touches_files=touches_files)
