"""Bitrix24's REST API: OAuth, both of its limits, and what each answer means. No topics, no retries.

Facts are from bitrix24/b24restdocs (`limits.md`, `settings/oauth`, `settings/how-to-call-rest-api/batch.md`). Two limits:
a leaky bucket of requests for each portal and source address, and `operating`, the seconds that each method has taken
within ten minutes. Everything goes through `batch`, which is one request for the bucket and answers 200 whatever fails
inside.
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr

from streams.clients.bitrix24_operating import Operating
from streams.clients.crm import Gone, PortalConfig, TokenBucket
from streams.clients.exchange import doubt, sending
from streams.clients.token_file import TokenFile
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject, Retry

_HELD = {429, 503}
_BROKEN = range(500, 600)
_TOO_MANY = "QUERY_LIMIT_EXCEEDED"
_BUSY = {_TOO_MANY, "OPERATION_TIME_LIMIT"}
_HOLD_S = 5.0
"""Nobody asks for so long when others at this address have filled the bucket: ten requests run out of it meanwhile."""
_STALE = {"EXPIRED_TOKEN", "INVALID_TOKEN"}
_ANEW = "authorize the application again and renew `tokens`"
_APPLICATION = "set `client_id` and `client_secret` or `client_secret_file`"
_FATAL = {
    "ACCESS_DENIED": "its user lacks a right: it needs CRM, call statistics and, for contacts, administration",
    "ACCESS_ERROR": "its user lacks a right",
    "INVALID_CREDENTIALS": "its user lacks a right",
    "INSUFFICIENT_SCOPE": "the application needs the scopes crm and telephony",
    "INVALID_SCOPE": "the application needs the scopes crm and telephony",
    "USER_ACCESS_ERROR": "an administrator must let this user use the application",
    "ALLOWED_ONLY_INTRANET_USER": "the application must be authorized by an employee",
    "WRONG_AUTH_TYPE": "calls are written by an application only, not by a webhook",
    "NO_AUTH_FOUND": _ANEW,
    "AUTHORIZATION_ERROR": _ANEW,
    "ERROR_OAUTH": _ANEW,
    "INVALID_GRANT": _ANEW,
    "INVALID_CLIENT": _APPLICATION,
    "WRONG_CLIENT": _APPLICATION,
    "APPLICATION_NOT_FOUND": _APPLICATION,
    "NOT_INSTALLED": "install the application in this portal",
    "PAYMENT_REQUIRED": "the application or the plan is not paid",
    "PORTAL_DELETED": "the portal is closed",
    "OVERLOAD_LIMIT": "Bitrix24 has blocked this portal by hand: ask its support",
    "ERROR_METHOD_NOT_FOUND": "the plan or the scopes of the application do not have a method",
    "INVALID_REQUEST": "`url` must be https, and `client_id` and `client_secret` be set",
}
"""Codes of both servers, as the vendor's client compares them: in capitals."""
_BROKEN_CODES = {"INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER"}
_CODE = re.compile(r"\w{1,64}")
_NO_SECRET = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(PortalConfig):
    """Keys of a CRM with `connector = "bitrix24"`."""

    url: str = ""
    """https://name.bitrix24.com of the portal."""
    client_id: str = ""
    """The application's code: calls can be written by a local application only, never by a webhook."""
    client_secret: SecretStr = _NO_SECRET
    """Its secret key."""
    tokens: str = ""
    """File with the application's tokens as JSON. First written by hand as {"refresh_token": "…"}, then replaced at each
    renewal: it must outlive the machine's restarts, and everybody who reads it can act as the application."""
    token_url: str = "https://oauth.bitrix.info/oauth/token/"  # noqa: S105 - an address
    """Where tokens are renewed."""
    user_id: int = 1
    """Id of the Bitrix24 user that calls are written for."""
    line: str = ""
    """Number of the application's external line, as Bitrix24 lists it; empty: none."""
    unknown_on: str = ""
    """What calls of nobody known, or of one of several, are noted on: C_1 for contact 1, CO_1 for company 1, or lead,
    which makes a lead where Bitrix24 itself finds nobody by the number. Empty: Bitrix24 chooses by the number; where
    it finds nobody the call stands in the call statistics alone, which take no later revision."""
    hidden_as: str = ""
    """Number that stands for a hidden one: Bitrix24 takes no call without. Empty: such calls are refused."""
    rate_per_s: float = 1.5
    """Most requests per second of the journal. Bitrix24 counts by address and portal: with the contact feed and other
    applications on this machine it must stay within 2 (5 on Enterprise)."""
    burst: int = 35
    """Requests of the journal that may come at once after a quiet moment; with the feed's 10 within Bitrix24's 50."""
    feed_rate_per_s: float = 0.5
    """Most requests per second of the contact feed."""
    poll_s: float = 5.0
    """Pause between two looks at the change feed: each costs a request of the portal's few."""
    operating_s: float = 420.0
    """Seconds per ten minutes that a method may take before it is left alone for a while; Bitrix24 stops it at 480."""
    timeout_s: float = 65.0
    """Longest wait for an answer: Bitrix24 itself gives up after 60 s."""
    settle_s: float = 70.0
    """How long after a write of unknown outcome Bitrix24 may still do it: longer than its own 60 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What came of the calls of a batch, which ends at the first that fails."""

    results: Mapping[str, Any]
    failed: str = ""
    """Key of the call that failed; "" when all are done."""
    error: Exception | None = None
    """What that failure asks for."""
    code: str = ""
    """Bitrix24's name of it."""

    def whole(self) -> Mapping[str, Any]:
        """The results; raises what the first failure asks for."""
        if self.error:
            raise self.error
        return self.results


def told(code: str, *, repeatable: bool, after: float | None = None) -> Exception:
    """What an error asks for, by its code; the text beside it is never read, for it repeats what was sent."""
    if code in _BUSY:
        return Retry(f"Bitrix24: {code}", after=after)
    if code in _FATAL:
        return Fatal(f"Bitrix24: {code}: {_FATAL[code]}")
    if code in _STALE:
        return Fatal("Bitrix24 does not take the token that it has just given")
    if code in {"NOT_FOUND", "OWNER_NOT_FOUND"}:
        return Gone(code)
    if code in _BROKEN_CODES:
        return doubt(f"Bitrix24: {code}", repeatable=repeatable)
    return Reject(f"Bitrix24 refused it: {code if _CODE.fullmatch(code) else 'no code'}")


def code_of(answer: httpx.Response) -> str:
    """The error's code in capitals, "" when there is none."""
    body = _json(answer)
    return str(body.get("error", "")).upper() if isinstance(body, Mapping) else ""


def classify(answer: httpx.Response, *, repeatable: bool) -> Mapping[str, Any]:
    """The body of an answer that has a result, or what to do instead.

    Raises Retry (nothing was done), Reject (never with this data), Gone, Fatal (a person is needed), and Unknown where a
    request that is not `repeatable` may have been done or not.
    """
    status, body, code = answer.status_code, _json(answer), code_of(answer)
    if code:
        raise told(code, repeatable=repeatable)
    if status in _HELD:
        raise Retry(f"Bitrix24 answered {status}")
    if isinstance(body, Mapping) and "result" in body and answer.is_success:
        return body
    if status in _BROKEN or answer.is_success:
        raise doubt(f"Bitrix24 answered {status} without a result", repeatable=repeatable)
    if isinstance(body, Mapping) and "error" in body:
        raise Reject("Bitrix24 refused it: no code")
    raise Fatal(f"Bitrix24 answered {status}: check `url` of this CRM")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


class Bitrix24Client:
    """One portal's session. Every request takes from the bucket."""

    def __init__(self, http: httpx.AsyncClient, bucket: TokenBucket, config: Config, clock: Clock) -> None:
        self._http, self._bucket, self._config = http, bucket, config
        self._operating = Operating(clock, config.operating_s)
        self._tokens = TokenFile(config.tokens, clock, patience=config.timeout_s)
        self._access = str(self._tokens.read().get("access_token", ""))

    async def batch(self, calls: Mapping[str, tuple[str, Mapping[str, Any]]], *, repeatable: bool = True) -> Batch:
        """The calls, in this order, up to the first that fails; `$result[key][field]` in one stands for another's."""
        for method, _ in calls.values():
            self._operating.check(method)
        cmd = {key: f"{method}?{urlencode(_flat(named))}" for key, (method, named) in calls.items()}
        answer = await self._authorized("batch", {"halt": 1, "cmd": cmd}, repeatable=repeatable)
        body = answer["result"]
        if not isinstance(body, Mapping) or "result" not in body:
            raise doubt("Bitrix24 answered a batch without results", repeatable=repeatable)
        results, errors, times = (_keyed(body.get(k)) for k in ("result", "result_error", "result_time"))
        for key in times.keys() & calls.keys():
            self._operating.note(calls[key][0], times[key])
        for key, error in errors.items():
            code = str(_keyed(error).get("error", "")).upper()
            after = self._operating.blocked(calls[key][0]) if code == "OPERATION_TIME_LIMIT" and key in calls else None
            what = told(code, repeatable=repeatable, after=after)
            return Batch(results=results, failed=key, error=what, code=code)
        if missing := [key for key in calls if key not in results]:
            what = doubt("Bitrix24 left out a part of a batch", repeatable=repeatable)
            return Batch(results=results, failed=missing[0], error=what)
        return Batch(results=results)

    async def call(self, method: str, named: Mapping[str, Any]) -> Any:
        """The result of one call that may be repeated."""
        return (await self.batch({"one": (method, named)})).whole()["one"]

    async def _authorized(self, method: str, body: Mapping[str, Any], *, repeatable: bool) -> Mapping[str, Any]:
        """Ask, and once more with a new token where the old one has run out: then nothing was done."""
        if not self._access:
            await self._renew("")
        for last in (False, True):
            used = self._access
            answer = await self._send("POST", self._address(method), repeatable=repeatable, body={**body, "auth": used})
            if last or code_of(answer) not in _STALE:
                break
            await self._renew(used)
        if code_of(answer) == _TOO_MANY:
            self._bucket.hold(_HOLD_S)
        return classify(answer, repeatable=repeatable)

    def _address(self, method: str) -> str:
        return f"{self._config.url.rstrip('/')}/rest/{method}"

    async def _send(
        self, verb: str, url: str, *, repeatable: bool, body: Any = None, query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        await self._bucket.take()
        with sending("Bitrix24", repeatable=repeatable):
            return await self._http.request(verb, url, json=body, params=query)

    async def _renew(self, used: str) -> None:
        """A new pair of tokens, unless somebody has fetched one since; on the disk before it is used.

        Where the answer is lost the old refresh token is still the one on the disk, and is tried again; if the token
        server takes it no longer, that is Fatal.
        """
        async with self._tokens.locked():
            there = self._tokens.read()
            if (known := str(there.get("access_token", ""))) and known != used:
                self._access = known
                return
            query = {
                "grant_type": "refresh_token",
                "client_id": self._config.client_id,
                "client_secret": self._config.client_secret.get_secret_value(),
                "refresh_token": there["refresh_token"],
            }
            answer = await self._send("GET", self._config.token_url, repeatable=True, query=query)
            new = _json(answer)
            if not (answer.is_success and isinstance(new, Mapping) and {"access_token", "refresh_token"} <= new.keys()):
                if code := code_of(answer):
                    raise told(code, repeatable=True)
                raise Retry(f"the token server answered {answer.status_code} without tokens")
            self._tokens.store({**there, **new})
            self._access = str(new["access_token"])


def _keyed(part: Any) -> Mapping[str, Any]:
    """An object of Bitrix24's; PHP writes an empty one as []."""
    return part if isinstance(part, Mapping) else {}


def _flat(named: Any, name: str = "") -> list[tuple[str, str]]:
    """Arguments as PHP reads them from a query: a[b][0]=1."""
    if isinstance(named, Mapping):
        inner = [(f"{name}[{key}]" if name else str(key), value) for key, value in named.items()]
    elif isinstance(named, list | tuple):
        inner = [(f"{name}[{n}]", value) for n, value in enumerate(named)]
    else:
        return [(name, str(named))]
    return [pair for key, value in inner for pair in _flat(value, key)]


@asynccontextmanager
async def connect(
    config: Config, clock: Clock, *, rate: float, burst: int, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Bitrix24Client]:
    """A session with at most `rate` requests per second, `burst` at once."""
    if not (config.url and config.client_id and config.tokens):
        raise Fatal("this CRM has no `url`, `client_id` or `tokens`: set all three")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with httpx.AsyncClient(timeout=config.timeout_s, transport=transport, trust_env=False) as http:
        yield Bitrix24Client(http, TokenBucket(clock, rate=rate, burst=burst), config, clock)
