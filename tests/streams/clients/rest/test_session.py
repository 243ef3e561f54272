"""What an answer asks for by a mapping's rules, how the token is shown, how lists are read."""

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from streams.clients.crm import Expired, Gone, Unknown, UnknownContact
from streams.clients.rest import answer as answers
from streams.clients.rest.load import load
from streams.clients.rest.mapping import Auth, Mapping, Rule
from streams.clients.rest.requests import Pages, Search
from streams.clients.rest.session import Access, connect
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject, Retry

PLAIN = load("sandbox")


def mapping(**changes: Any) -> Mapping:
    return PLAIN.model_copy(update={"errors": (), "code": "error", **changes})


def classify(given: httpx.Response, known: Mapping, *, repeatable: bool, method: str = "POST") -> Any:
    return answers.classify(given, known, method=method, repeatable=repeatable)


def answer(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("then", "raised"),
    [
        ("retry", Retry),
        ("unknown", Unknown),
        ("reject", Reject),
        ("gone", Gone),
        ("unknown_contact", UnknownContact),
        ("expired", Expired),
        ("fatal", Fatal),
    ],
)
def test_each_rule_asks_for_what_it_says(then: Any, raised: type[Exception]) -> None:
    """By status, code and header together."""
    rule = Rule(status=("4xx",), code=("E1",), header={"x-kind": "soft"}, then=then)
    with pytest.raises(raised):
        classify(answer(409, {"error": "E1"}, x_kind="soft"), mapping(errors=(rule,)), repeatable=False)


@pytest.mark.parametrize(
    "other",
    [
        answer(509, {"error": "E1"}, x_kind="soft"),
        answer(409, {"error": "E2"}, x_kind="soft"),
        answer(409, {"error": "E1"}),
    ],
)
def test_a_rule_that_fits_in_part_does_not_count(other: httpx.Response) -> None:
    """All that it names must be so."""
    rule = Rule(status=("4xx",), code=("E1",), header={"x-kind": "soft"}, then="ok")
    with pytest.raises((Reject, Unknown)):
        classify(other, mapping(errors=(rule,)), repeatable=False)


def test_the_first_rule_that_fits_counts() -> None:
    """The order is the author's."""
    rules = (Rule(status=("404",), then="ok"), Rule(status=("4xx",), then="fatal"))
    assert classify(answer(404, {"x": 1}), mapping(errors=rules), repeatable=True) == {"x": 1}


def test_the_same_answer_may_mean_another_thing_to_another_request() -> None:
    """404: the contact of the entry that is made, or the entry that is changed."""
    rules = (Rule(status=("404",), method=("POST",), then="unknown_contact"), Rule(status=("404",), then="gone"))
    for method, raised in (("POST", UnknownContact), ("PATCH", Gone)):
        with pytest.raises(raised):
            classify(answer(404), mapping(errors=rules), method=method, repeatable=False)


def test_doubt_about_what_may_be_repeated_is_none() -> None:
    """It is simply sent again."""
    rule = Rule(status=("408",), then="unknown")
    with pytest.raises(Retry):
        classify(answer(408), mapping(errors=(rule,)), repeatable=True)


@pytest.mark.parametrize(
    ("given", "raised"),
    [
        (answer(500, {"error": "E"}), Unknown),
        (httpx.Response(200, content=b"<html>"), Unknown),
        (answer(200, {"error": "E"}), Reject),
        (answer(200, {"error": 17}), Reject),
        (answer(400), Reject),
        (answer(301), Reject),
    ],
)
def test_what_no_rule_names_is_decided_with_care(given: httpx.Response, raised: type[Exception]) -> None:
    """Doubt where it may have been done, a refusal where it was not."""
    with pytest.raises(raised):
        classify(given, mapping(), repeatable=False)


@pytest.mark.parametrize(("after", "waits"), [({}, 9), ({"retry_after": "4"}, 4), ({"retry_after": "soon"}, 9)])
def test_a_pause_is_the_crms_or_the_rules(after: dict[str, str], waits: float) -> None:
    """Retry-After wins where it can be read."""
    with pytest.raises(Retry) as raised:
        classify(answer(429, **after), mapping(errors=(Rule(status=("429",), then="retry", after=9),)), repeatable=True)
    assert raised.value.after == waits


@pytest.mark.parametrize("code", ["+33123456789", "Jan 33123456789 is no customer", "x" * 80, "token=abc123"])
def test_a_code_that_may_hold_a_persons_data_is_not_told(code: str) -> None:
    """Some CRMs have nothing but a message there."""
    with pytest.raises(Reject) as raised:
        classify(answer(200, {"error": code}), mapping(), repeatable=False)
    assert str(raised.value) == "the CRM refused it: 200 with a code"


@pytest.mark.parametrize(
    ("auth", "header", "shown"),
    [
        (Auth(), "authorization", "Bearer user:pass"),
        (Auth(scheme="basic"), "authorization", "Basic dXNlcjpwYXNz"),
        (Auth(scheme="header", header="X-Key"), "x-key", "user:pass"),
    ],
)
def test_how_the_token_is_shown(auth: Auth, header: str, shown: str) -> None:
    """With every request, beside the mapping's own headers, below the path of the url."""
    seen: list[httpx.Request] = []
    every(Search(path="/things"), [[]], seen, mapping(auth=auth, headers={"x-version": "2"}), token="user:pass")
    assert (seen[0].headers[header], seen[0].headers["x-version"]) == (shown, "2")
    assert seen[0].url == "http://crm.test/base/things"


def every(
    search: Search, pages: list[Any], seen: list[httpx.Request], known: Mapping | None = None, token: str = ""
) -> list[Any]:
    """A whole list from a CRM that answers these pages in turn."""

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        page = pages[len(seen) - 1]
        return page if isinstance(page, httpx.Response) else httpx.Response(200, json=page)

    async def one() -> list[Any]:
        config = Access(url="http://crm.test/base", token=SecretStr(token))
        transport = httpx.MockTransport(handle)
        async with connect(known or mapping(), config, ManualClock(), rate=100, transport=transport) as session:
            return await session.every(search, {})

    return asyncio.run(one())


def item(number: int) -> dict[str, Any]:
    return {"id": number}


@pytest.mark.parametrize(
    ("pages", "answers", "cursors"),
    [
        (
            Pages(kind="token", next="n"),
            [{"d": [item(1), item(2)], "n": "x"}, {"d": [item(3)], "n": None}],
            [None, "x"],
        ),
        (Pages(kind="token", next="n", first="0"), [{"d": [item(1), item(2), item(3)]}], ["0"]),
        (Pages(kind="last", next="id"), [{"d": [item(1), item(2)]}, {"d": [item(3)]}, {"d": []}], [None, "2", "3"]),
        (Pages(kind="number"), [{"d": [item(1), item(2)]}, {"d": [item(3)]}, {"d": []}], ["1", "2", "3"]),
        (Pages(kind="number", first="0", size=2), [{"d": [item(1), item(2)]}, {"d": [item(3)]}], ["0", "1"]),
        (Pages(kind="offset", size=2), [{"d": [item(1), item(2)]}, {"d": [item(3)]}], ["0", "2"]),
        (Pages(kind="offset"), [{"d": [item(1), item(2)]}, {"d": [item(3)]}, {"d": []}], ["0", "2", "3"]),
    ],
)
def test_each_kind_of_pages_is_read_to_its_end(pages: Pages, answers: list[Any], cursors: list[str | None]) -> None:
    """Every item once, and no page more than needed."""
    seen: list[httpx.Request] = []
    search = Search(path="/things", query={"at": "{cursor}"}, items="d", pages=pages)
    assert every(search, answers, seen) == [item(1), item(2), item(3)]
    assert [request.url.params.get("at") for request in seen] == cursors


def test_a_crm_that_names_the_same_page_again_needs_a_person() -> None:
    """Stopping there would be taken for the end."""
    search = Search(path="/things", query={"at": "{cursor}"}, items="d", pages=Pages(kind="token", next="n"))
    with pytest.raises(Fatal, match="same page again"):
        every(search, [{"d": [item(1)], "n": "x"}, {"d": [item(1)], "n": "x"}], [])


def test_items_that_do_not_count_do_not_end_a_list() -> None:
    """A page is short by what the CRM sent, not by what we keep."""
    search = Search(
        path="/things", query={"at": "{cursor}"}, items="d", where={"id": "3"}, pages=Pages(kind="number", size=2)
    )
    assert every(search, [{"d": [item(1), item(2)]}, {"d": [item(3)]}], []) == [item(3)]


def test_nothing_is_a_list_only_where_the_crm_says_so() -> None:
    """204, an empty list in place of the table, or a rule; an empty 200 is no answer to who asks for entries."""
    search = Search(path="/things", items="d")
    silent = mapping(errors=(Rule(status=("404",), then="empty"),))
    for said in (httpx.Response(204), httpx.Response(200, json=[]), httpx.Response(404, content=b"<html>")):
        assert every(search, [said], [], silent) == []
    for said in (httpx.Response(200), httpx.Response(200, json={}), httpx.Response(200, json=None)):
        with pytest.raises(Fatal, match="no list at items = 'd'"):
            every(search, [said], [], silent)
