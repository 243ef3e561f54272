"""HubSpot's CRM API over HTTP: a private app's token, two rate limits, and what each answer means. No retries.

HubSpot counts an app's requests in windows of ten seconds, and searches in an account a second besides. It tells what
is wrong by HTTP's status and a category in the body (developers.hubspot.com, API usage and error handling).
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from streams.clients.crm import Gone, PortalConfig, TokenBucket
from streams.clients.exchange import doubt, holding, retry_after, sending
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject, Retry

_HELD = {423, 429, 477, 503}
"""Locked, too many, the account is on the move, overloaded: nothing was done, and the same is welcome later."""
_UNAUTHORIZED, _FORBIDDEN, _MISSING = 401, 403, 404
_BROKEN = range(500, 600)
_TOO_MANY = 429
_PAUSES = {"DAILY": 60.0}
"""By the policy that a request is beyond, where no Retry-After is told: the day's budget comes back at midnight only."""
_PAUSE = 1.0
_CATEGORY = re.compile(r"[A-Z][A-Z_]{0,60}")
_NO_TOKEN = SecretStr("")
_NO_PARAMS: Mapping[str, str] = {}

KEY = "pbx_call_id"
"""The property of calls that holds our call id; its values are unique."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(PortalConfig):
    """Keys of a CRM with `connector = "hubspot"`."""

    token: SecretStr = _NO_TOKEN
    """Access token of a private app that may read contacts, and read and write calls and their properties."""
    url: str = "https://api.hubapi.com"
    """Where HubSpot's API is."""
    phone_fields: tuple[str, ...] = ("phone", "mobilephone")
    """Properties of a contact that hold a number."""
    rate_per_s: float = 13.0
    """Most requests per second of the journal. In ten seconds at most 10 * (rate_per_s + feed_rate_per_s) + 2 * burst are
    sent, which must not be more than the account's plan grants: 190, or 100 on the free and starter plans."""
    feed_rate_per_s: float = 4.0
    """Most requests per second of the contact feed."""
    burst: int = 10
    """Requests that may come at once after a quiet moment, of the journal and of the feed."""
    search_rate_per_s: float = 2.0
    """Most searches per second of the journal, and as many of the contact feed: HubSpot grants 4 to an account."""
    archived_s: float = 300.0
    """Pause between two looks at the list of deleted contacts: HubSpot's search tells nobody who was deleted."""


def classify(answer: httpx.Response, *, repeatable: bool) -> Any:
    """The body of the answer (None without one), or what to do instead.

    Raises Retry (nothing was done), Reject (never with this data), Gone, Fatal (a person is needed), and Unknown where a
    request that is not `repeatable` may have been done or not.
    """
    status = answer.status_code
    try:
        body = answer.json() if answer.content else None
        readable = True
    except ValueError:
        body, readable = None, False
    if status in _HELD:
        raise Retry(f"HubSpot answered {status}", after=retry_after(answer) or _pause(status, body))
    if status == _UNAUTHORIZED:
        raise Fatal("HubSpot refuses the token: set `token_file` of this CRM to the access token of a private app")
    if status == _FORBIDDEN:
        raise Fatal("HubSpot's private app lacks a scope: contacts (read), calls and their properties (read and write)")
    if status in _BROKEN or (answer.is_success and not readable):
        raise doubt(f"HubSpot answered {status} without a result", repeatable=repeatable)
    if status == _MISSING:
        raise Gone(category(body))
    if not answer.is_success:
        raise Reject(f"HubSpot refused it: {status} {category(body)}".strip())
    return body


def category(error: Any) -> str:
    """HubSpot's code of an error, "" when there is none that reads like one."""
    told = error.get("category") if isinstance(error, Mapping) else None
    return told if isinstance(told, str) and _CATEGORY.fullmatch(told) else ""


def _pause(status: int, body: Any) -> float | None:
    """How long everybody waits when there is too much; None, each for itself, otherwise."""
    if status != _TOO_MANY:
        return None
    policy = body.get("policyName") if isinstance(body, Mapping) else None
    return _PAUSES.get(str(policy), _PAUSE)


class HubSpotClient:
    """One account's session. Every request takes from the bucket, a search from its own too; a 429 holds everybody."""

    def __init__(self, http: httpx.AsyncClient, requests: TokenBucket, searches: TokenBucket) -> None:
        self._http, self._requests, self._searches = http, requests, searches

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        repeatable: bool = True,
        params: Mapping[str, str] = _NO_PARAMS,
    ) -> Any:
        """The body of the answer."""
        return await self._send(self._requests, method, path, body, repeatable=repeatable, params=params)

    async def search(self, kind: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """A page of the search for records of a kind. What was written within the last minute may not be found yet."""
        await self._searches.take()
        path = f"/crm/v3/objects/{kind}/search"
        found = await self._send(self._searches, "POST", path, query, repeatable=True, params=_NO_PARAMS)
        return found if isinstance(found, dict) else {}

    async def _send(
        self,
        held: TokenBucket,
        method: str,
        path: str,
        body: object,
        *,
        repeatable: bool,
        params: Mapping[str, str],
    ) -> Any:
        await self._requests.take()
        with sending("HubSpot", repeatable=repeatable):
            answer = await self._http.request(method, path, json=body, params=params)
        with holding(held):
            return classify(answer, repeatable=repeatable)


@asynccontextmanager
async def connect(
    config: Config, clock: Clock, *, rate: float, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[HubSpotClient]:
    """A session with at most `rate` requests per second."""
    token = config.token.get_secret_value()
    if not token:
        raise Fatal("this CRM has no token: set `token_file` to the access token of a private app")
    for library in ("httpx", "httpcore"):  # a path holds the call's id, a log line the path
        logging.getLogger(library).setLevel(logging.WARNING)
    async with httpx.AsyncClient(
        base_url=config.url,
        headers={"authorization": f"Bearer {token}"},
        timeout=config.timeout_s,
        transport=transport,
        trust_env=False,
    ) as http:
        requests = TokenBucket(clock, rate=rate, burst=config.burst)
        yield HubSpotClient(http, requests, TokenBucket(clock, rate=config.search_rate_per_s, burst=1))
