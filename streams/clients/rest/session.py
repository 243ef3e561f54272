"""A portal over HTTP as its mapping says: authentication, rate limit, and what each answer means. No topics, no retries."""

import base64
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import httpx
from pydantic import AfterValidator, SecretStr

from streams.clients.crm import PortalConfig, TokenBucket
from streams.clients.exchange import holding, pools, sending
from streams.clients.rest import template
from streams.clients.rest.answer import classify
from streams.clients.rest.load import load
from streams.clients.rest.mapping import Auth, Mapping
from streams.clients.rest.requests import Pages, Request, Search
from streams.clients.rest.template import Values
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal

_MOST_PAGES = 100
"""Of a list that the journal reads; who has more entries for one call, or holders of one number, has a wrong mapping."""
_NO_TOKEN = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access(PortalConfig):
    """Keys of every CRM that is spoken to by a mapping."""

    url: str = ""
    """http(s)://host:port, with a path where the API has one."""
    token: SecretStr = _NO_TOKEN
    """Token of the API; user:password where the mapping says basic."""


def _known(name: str) -> str:
    load(name)
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Access):
    """Keys of a CRM with `connector = "rest"`."""

    mapping: Annotated[str, AfterValidator(_known)]
    """Path of the TOML file that says how this CRM is spoken to, or the name of a mapping that comes with the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A good answer."""

    body: Any
    status: int
    date: str
    """The header of that name, "" where there is none."""

    @property
    def at(self) -> int | None:
        """Microseconds, by the CRM's clock in whole seconds; None where it does not say."""
        try:
            return round(parsedate_to_datetime(self.date).timestamp()) * 1_000_000
        except ValueError:
            return None


class Session:
    """One portal's session. Every request takes from the bucket; an answer that names a pause makes everybody hold."""

    def __init__(self, mapping: Mapping, pools: Sequence[httpx.AsyncClient], bucket: TokenBucket) -> None:
        self.mapping = mapping
        self._pools, self._bucket = itertools.cycle(pools), bucket

    async def ask(self, request: Request, values: Values, body: Any = None) -> Answer:
        """Send it; `body` in place of the mapping's own. Raises what the answer asks for, and Reject before it is sent."""
        path, query = template.path(request.path, values), template.query(request.query, values)
        json = template.body(request.body, values) if body is None else body
        await self._bucket.take()
        with sending("the CRM", repeatable=request.safe):
            answer = await next(self._pools).request(request.method, path, params=query or None, json=json)
        with holding(self._bucket):
            body = classify(answer, self.mapping, method=request.method, repeatable=request.safe)
            return Answer(body=body, status=answer.status_code, date=answer.headers.get("date", ""))

    async def page(self, search: Search, values: Values, cursor: str) -> tuple[list[Any], str, Answer]:
        """One page of a list from `cursor` ("": the first): its items, the next cursor ("": none), the whole answer."""
        pages = search.pages
        at = cursor or (_first(pages) if pages else "")
        counted = pages is not None and pages.kind in {"number", "offset"}
        answer = await self.ask(search, {**values, "cursor": int(at) if counted else at or None})
        nothing = answer.status == httpx.codes.NO_CONTENT or answer.body == []
        many = [] if nothing else template.first(answer.body, search.items)
        if not isinstance(many, list):
            raise Fatal(f"the CRM's answer has no list at items = {search.items!r}: mend the mapping")
        return [item for item in many if _counts(item, search, values)], _next(pages, at, answer.body, many), answer

    async def every(self, search: Search, values: Values) -> list[Any]:
        """All items of a list, oldest first."""
        found, cursor = [], ""
        for _ in range(_MOST_PAGES):
            items, cursor, _answer = await self.page(search, values, cursor)
            found += items
            if not cursor:
                return found[::-1] if search.newest_first else found
        raise Fatal(f"a list of more than {_MOST_PAGES} pages: mend `pages` or the search in the mapping")


def identity(item: Any, where: str) -> str:
    """An item's id; Fatal where there is none, for nothing could be done with it."""
    found = template.first(item, where)
    if found is None or found == "" or isinstance(found, dict | list):
        raise Fatal(f"the CRM's answer has no id at {where!r}: mend the mapping")
    return str(found)


def _first(pages: Pages) -> str:
    return pages.first or {"number": "1", "offset": "0"}.get(pages.kind, "")


def _next(pages: Pages | None, at: str, body: Any, many: Sequence[Any]) -> str:
    if pages is None:
        return ""
    if pages.kind == "token":
        found = template.first(body, pages.next)
        if found is not None and str(found) == at:
            raise Fatal(f"the CRM names the same page again at next = {pages.next!r}: mend `pages` in the mapping")
        return "" if found is None else str(found)
    if len(many) < max(1, pages.size):
        return ""
    match pages.kind:
        case "last":
            return identity(many[-1], pages.next)
        case "number":
            return str(int(at) + 1)
        case _:
            return str(int(at) + len(many))


def _counts(item: Any, search: Search, values: Values) -> bool:
    return all(
        str(template.first(item, where)) == template.text(wanted, values) for where, wanted in search.where.items()
    ) and all(
        template.text(wanted, values) in str(template.first(item, where) or "")
        for where, wanted in search.contains.items()
    )


def _shown(auth: Auth, token: str) -> dict[str, str]:
    if not token:
        return {}
    if auth.scheme == "basic":
        return {auth.header: "Basic " + base64.b64encode(token.encode()).decode()}
    return {auth.header: f"Bearer {token}" if auth.scheme == "bearer" else token}


@asynccontextmanager
async def connect(
    mapping: Mapping, config: Access, clock: Clock, *, rate: float, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Session]:
    """A session with at most `rate` requests per second."""
    if not config.url:
        raise Fatal("this CRM has no `url`: set it, or run `trunkline up`, which starts the sandbox")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs addresses, and one can hold a telephone number
    headers = {**mapping.headers, **_shown(mapping.auth, config.token.get_secret_value())}
    async with pools(config.url, config, headers, transport) as clients:
        yield Session(mapping, clients, TokenBucket(clock, rate=rate, burst=config.burst))
