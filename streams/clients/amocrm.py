"""amoCRM's (Kommo's) API v4 over HTTPS: rate limit, lists page by page, and what each answer means. No topics, no retries.

Protocol facts: developers.kommo.com/docs/limitations (7 requests a second, then 429, then the address is blocked with
403), its reference of contacts and notes, and the vendor's PHP library (an empty list is a 204 without a body).
"""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import structlog
from pydantic import SecretStr

from streams.clients.amocrm_access import Access, LongLived, Renewed
from streams.clients.crm import Gone, PortalConfig, TokenBucket
from streams.clients.exchange import doubt, holding, retry_after, sending
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject, Retry

log = structlog.get_logger()

MOST_PER_SECOND = 7
PAGE = 250
_THROTTLED_S = 5.0
"""Pause after a 429 that names none: the next step of the portal is to block the address."""
_BROKEN = range(500, 600)
_NO_SECRET = SecretStr("")
Kind = Literal["contacts", "companies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(PortalConfig):
    """Keys of a CRM with `connector = "amocrm"`."""

    url: str = ""
    """https:// address of the account itself, as https://name.kommo.com or https://name.amocrm.ru."""
    token: SecretStr = _NO_SECRET
    """Long-lived token of a private integration. Without one, OAuth: the three keys below and `tokens`."""
    client_id: str = ""
    """Id of the integration."""
    client_secret: SecretStr = _NO_SECRET
    """Its secret."""
    redirect_uri: str = ""
    """Its redirect address, as the integration has it."""
    tokens: str = ""
    """Path of the JSON file that holds the pair of tokens, first as /oauth2/access_token answered, then renewed in place.
    Each refresh token works once: all processes of this CRM must share this one file, on one machine."""
    cards: tuple[Kind, ...] = ("contacts", "companies")
    """Which cards hold customers' numbers."""
    unknown_on: str = ""
    """Card that calls of nobody known are noted on until they are matched, as contacts/1, companies/1 or leads/1. Empty:
    they are refused, with that reason in the ledger, until a later revision knows the customer."""
    notes_days: float = 30.0
    """How far back the account's call notes are read when the journal first looks for one. Calls that began before are
    refused, because nobody could tell whether they have a note already."""
    settle_s: float = 15.0
    """How long after a note of unknown outcome it is looked for before it is written again. The portal promises nothing
    about how soon its lists show it."""
    blocked_s: float = 900.0
    """How long nothing is sent after a 403, which says that the portal has blocked this address."""
    rate_per_s: float = 4.0
    """Most requests per second of all of the journal's processes; with `feed_rate_per_s` no more than 7."""
    burst: int = 1
    """Requests that may come at once after a quiet moment; they count among the 7."""
    in_flight: int = 8
    """Calls that are written at the same time; each call's own revisions stay in order."""
    feed_rate_per_s: float = 2.0
    """Most requests per second of the contact feed."""
    poll_s: float = 5.0
    """Pause between two looks at the change feed; each is one request for each of `cards`."""
    reconcile_s: float = 86_400.0
    """Pause between two full scans, which alone find deletions. The portal dislikes to be read whole often."""


class Denied(Exception):  # noqa: N818 - a signal, as in streams.runtime.errors
    """401: the token is not, or no longer, good."""


class Blocked(Exception):  # noqa: N818
    """403 of the portal's front: this address sends too much."""


def classify(answer: httpx.Response, *, repeatable: bool) -> Any:
    """The answer's JSON, None for 204.

    Raises Retry (nothing was done), Reject (never with this data), Gone, Fatal, Denied, Blocked, and Unknown where a
    request that is not `repeatable` may have been done or not.
    """
    status = answer.status_code
    if status == httpx.codes.NO_CONTENT:
        return None
    if status in {429, 503}:
        raise Retry(
            f"amoCRM answered {status}",
            after=retry_after(answer, _THROTTLED_S if status == httpx.codes.TOO_MANY_REQUESTS else None),
        )
    if status == httpx.codes.UNAUTHORIZED:
        raise Denied
    if status == httpx.codes.FORBIDDEN and "json" not in answer.headers.get("content-type", ""):
        raise Blocked
    if status == httpx.codes.NOT_FOUND:
        raise Gone
    try:
        body = answer.json()
    except ValueError:
        body = None
    if status in _BROKEN or (answer.is_success and body is None):
        raise doubt(f"amoCRM answered {status} without a result", repeatable=repeatable)
    if answer.is_success:
        return body
    if status in {402, 403} or answer.is_redirect:
        raise Fatal(f"amoCRM answered {status}: see that the account is paid, its `url` right, and the user allowed")
    raise Reject(f"amoCRM refused it with {status}: {', '.join(sorted(set(_codes(body)))) or 'no code'}")


def _codes(body: Any) -> Iterator[str]:
    """What a validation found, by its codes; the texts may quote a number."""
    for part in body.get("validation-errors", []) if isinstance(body, Mapping) else []:
        yield from (str(error.get("code")) for error in part.get("errors", []))


class AmoClient:
    """One account's session. Every request takes from the bucket; a 429 or a 403 makes everybody hold."""

    def __init__(self, http: httpx.AsyncClient, bucket: TokenBucket, access: Access, config: Config) -> None:
        self._http, self._bucket, self._access, self._config = http, bucket, access, config

    async def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """What is at the path; None for an empty list."""
        return await self._ask("GET", path, params=query)

    async def post(self, path: str, body: Any) -> Any:
        """Raises Unknown when the outcome is not known."""
        return await self._ask("POST", path, body=body, repeatable=False)

    async def patch(self, path: str, body: Any) -> Any:
        return await self._ask("PATCH", path, body=body)

    async def rows(self, path: str, query: Mapping[str, Any], number: int = 1) -> list[dict[str, Any]]:
        """Page `number` of a list."""
        size = {"limit": PAGE, "page": number, **query}
        return embedded(await self.get(path, size), path)

    async def stays(self, path: str, query: Mapping[str, Any], number: int, last: int) -> bool:
        """Whether page `number` still ends with the row `last`: else rows have moved ahead, and the next page lacks some."""
        found = embedded(await self.get(path, {"limit": 1, "page": number * PAGE, **query}), path)
        return bool(found) and int(found[0]["id"]) == last

    async def _ask(
        self, method: str, path: str, *, params: Any = None, body: Any = None, repeatable: bool = True
    ) -> Any:
        token = await self._access.token(self._post_open)
        try:
            return await self._send(method, path, token, params=params, body=body, repeatable=repeatable)
        except Denied:
            token = await self._access.renewed(token, self._post_open)
        try:
            return await self._send(method, path, token, params=params, body=body, repeatable=repeatable)
        except Denied:
            raise Fatal("amoCRM refuses a token that it has just given: see that the integration is still on") from None

    async def _send(self, method: str, path: str, token: str, *, params: Any, body: Any, repeatable: bool) -> Any:
        await self._bucket.take()
        headers = {"authorization": f"Bearer {token}"}
        with sending("amoCRM", repeatable=repeatable):
            answer = await self._http.request(method, f"/api/v4/{path}", params=params, json=body, headers=headers)
        return self._understood(answer, repeatable=repeatable)

    async def _post_open(self, path: str, body: Mapping[str, str]) -> httpx.Response:
        """A request without a token; raises what httpx does, and Retry where the portal wants to be left alone."""
        await self._bucket.take()
        answer = await self._http.post(path, json=body)
        if answer.status_code in {403, 429, 503}:
            self._understood(answer, repeatable=True)
        return answer

    def _understood(self, answer: httpx.Response, *, repeatable: bool) -> Any:
        try:
            with holding(self._bucket):
                return classify(answer, repeatable=repeatable)
        except Blocked:
            pause = self._config.blocked_s
            log.error("amocrm.address_blocked", pause_s=pause)  # noqa: TRY400 - where it was read tells nothing
            self._bucket.hold(pause)
            raise Retry("amoCRM has blocked this address; lower the rates of this CRM", after=pause) from None


def embedded(body: Any, path: str) -> list[dict[str, Any]]:
    """The rows of a list's answer."""
    return [] if body is None else list(body["_embedded"][path.rpartition("/")[2]])


def checked(config: Config) -> Config:
    """The configuration; Fatal when it cannot work or asks for more than the portal allows."""
    if not config.url.startswith(("https://", "http://")):
        raise Fatal("this CRM has no `url`: set the account's own address, as https://name.kommo.com")
    if config.rate_per_s + config.feed_rate_per_s + 2 * (config.burst - 1) > MOST_PER_SECOND:
        raise Fatal("`rate_per_s`, `feed_rate_per_s` and twice `burst` - 1 together must not be above 7 a second")
    return config


def access(config: Config, clock: Clock) -> Access:
    """The token, or the file of tokens, that the configuration names."""
    if token := config.token.get_secret_value():
        return LongLived(token)
    if not (config.tokens and config.client_id and config.client_secret.get_secret_value()):
        raise Fatal("this CRM has no `token`: set it, or `client_id`, `client_secret`, `redirect_uri` and `tokens`")
    client = {"client_id": config.client_id, "redirect_uri": config.redirect_uri}
    return Renewed(config.tokens, client, config.client_secret, clock)


@asynccontextmanager
async def connect(
    config: Config, clock: Clock, *, rate: float, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[AmoClient]:
    """A session with at most `rate` requests per second."""
    checked(config)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs addresses, and one can hold a telephone number
    async with httpx.AsyncClient(
        base_url=config.url, timeout=config.timeout_s, transport=transport, trust_env=False
    ) as http:
        yield AmoClient(http, TokenBucket(clock, rate=rate, burst=config.burst), access(config, clock), config)
