"""As much of SOQL and SOSL as the connector asks, over rows in memory; anything else is refused as Salesforce does it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
Test = Callable[[Row], bool]
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)|(?P<word>[A-Za-z_]\w*|\d+)"
    r"|(?P<sign>>=|[=>(),]))",
    re.ASCII | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_SEARCH = re.compile(
    r"FIND \{(.*)\} IN PHONE FIELDS RETURNING (\w+)\(([\w, ]+?)(?: ORDER BY Id)?\) LIMIT \d+", re.DOTALL
)
_PHRASE = re.compile(r'"((?:[^?&|!{}\[\]()^~*:\\"\'+-]|\\[?&|!{}\[\]()^~*:\\"\'+-])*)"(?: OR (?=")|$)', re.DOTALL)


class MalformedError(Exception):
    """The text is not of the language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """SELECT columns FROM kind WHERE test ORDER BY order LIMIT limit."""

    columns: Sequence[str]
    kind: str
    test: Test
    order: Sequence[str]
    limit: int | None

    def of(self, rows: Iterable[Row]) -> list[Row]:
        """The rows that fit, in order."""
        found = sorted((r for r in rows if self.test(r)), key=lambda r: [r[column] for column in self.order])
        return found[: self.limit]


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if not found or not found.lastgroup:
                raise MalformedError(text[at:])
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()

    def query(self) -> Query:
        self._want("SELECT")
        columns = self._list()
        self._want("FROM")
        kind = self._take("word")
        test = self._any() if self._met("WHERE") else lambda _: True
        order: Sequence[str] = ()
        if self._met("ORDER"):
            self._want("BY")
            order = self._list()
        limit = int(self._take("word")) if self._met("LIMIT") else None
        if self._tokens:
            raise MalformedError(str(self._tokens))
        return Query(columns=columns, kind=kind, test=test, order=order, limit=limit)

    def _take(self, *kinds: str) -> str:
        if not self._tokens or self._tokens[0][0] not in kinds:
            raise MalformedError(str(self._tokens))
        return self._tokens.pop(0)[1]

    def _met(self, text: str) -> bool:
        there = bool(self._tokens) and self._tokens[0][0] != "string" and self._tokens[0][1] == text
        if there:
            self._tokens.pop(0)
        return there

    def _want(self, text: str) -> None:
        if not self._met(text):
            raise MalformedError(f"{text} before {self._tokens}")

    def _list(self) -> list[str]:
        names = [self._take("word")]
        while self._met(","):
            names.append(self._take("word"))
        return names

    def _any(self) -> Test:
        """Terms that AND or OR joins; Salesforce refuses both without parentheses."""
        terms = [self._term()]
        word = next((w for w in ("AND", "OR") if self._met(w)), "")
        while word:
            terms.append(self._term())
            if not self._met(word):
                break
        if word == "OR":
            return lambda row: any(term(row) for term in terms)
        return lambda row: all(term(row) for term in terms)

    def _term(self) -> Test:
        if self._met("("):
            test = self._any()
            self._want(")")
            return test
        column, how = self._take("word"), self._take("sign", "word")
        if how == "IN":
            return self._among(column)
        value = self._take("string", "moment", "word")
        return lambda row: _holds(row[column], how, value)

    def _among(self, column: str) -> Test:
        self._want("(")
        values = [self._take("string")]
        while self._met(","):
            values.append(self._take("string"))
        self._want(")")
        return lambda row: any(_holds(row[column], "=", value) for value in values)


def _holds(found: Any, how: str, value: str) -> bool:
    if value in {"true", "false"}:
        return how == "=" and bool(found) == (value == "true")
    if not value.startswith("'"):
        return how == ">=" and str(found)[:19] + "Z" >= value
    match how:
        case "=":
            return str(found or "").lower() == _decoded(value).lower()
        case ">":
            return str(found) > _decoded(value)
        case "LIKE":
            pattern = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in _decoded(value))
            return re.fullmatch(pattern, str(found or ""), re.IGNORECASE | re.DOTALL) is not None
    raise MalformedError(how)


def _decoded(string: str) -> str:
    def meant(found: re.Match[str]) -> str:
        if found[1] not in _MEANS:
            raise MalformedError(found[0])
        return _MEANS[found[1]]

    return _ESCAPE.sub(meant, string[1:-1])


def parsed(text: str) -> Query:
    """A query of SOQL; raises MalformedError."""
    return _Reader(text).query()


def searched(text: str, phones: Callable[[Row], Iterable[str]]) -> Query:
    """A search of SOSL in phone numbers: words, which all but letters and digits divide, one after the other."""
    found = _SEARCH.fullmatch(text)
    if not found:
        raise MalformedError(text)
    wanted, at = [], 0
    while at < len(found[1]):
        one = _PHRASE.match(found[1], at)
        if not one:
            raise MalformedError(found[1][at:])
        wanted.append(_words(_ESCAPE.sub(r"\1", one[1])))
        at = one.end()
    return Query(
        columns=found[3].split(", "),
        kind=found[2],
        test=lambda row: any(f" {w} " in f" {_words(phone)} " for w in wanted for phone in phones(row)),
        order=("Id",),
        limit=None,
    )


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text))
