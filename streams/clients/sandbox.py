"""The sandbox CRM over HTTP: authentication, rate limit, and what each answer means. No topics, no retries."""

import itertools
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from streams.clients.crm import Expired, Gone, PortalConfig, TokenBucket, Unknown, UnknownContact
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject, Retry

_POOL = 4
"""Connections of one pool. Each request looks at every connection of its pool several times: 300 calls of three requests
took 5 s with one pool of 32 connections, and 1 s with pools of 4."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_DONE = range(200, 300)
_HELD = {429, 503}
"""The sandbox answers so before it does anything."""
_FORBIDDEN = {401, 403}
_BROKEN = range(500, 600)
_NO_TOKEN = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(PortalConfig):
    """Keys of a CRM with `connector = "sandbox"`."""

    url: str = ""
    """http(s)://host:port; empty: the sandbox that `trunkline up` starts."""
    port: int = 8069
    """Port of that sandbox on the loopback; 0: any free one."""
    token: SecretStr = _NO_TOKEN
    """Bearer token of the API."""


def classify(answer: httpx.Response, *, repeatable: bool) -> Any:
    """The answer's JSON (None without a body), or what to do instead.

    Raises Retry (nothing was done), Reject (never with this data), UnknownContact, Gone, Expired, Fatal (a person is
    needed), and Unknown where a request that is not `repeatable` may have been done or not.
    """
    status = answer.status_code
    if status in _HELD:
        raise Retry(f"the CRM answered {status}", after=_retry_after(answer))
    if status in _FORBIDDEN:
        raise Fatal(f"the CRM refuses the token ({status}): set `token` or `token_file` of this CRM")
    if status in _BROKEN:
        raise _doubt(f"the CRM answered {status}", repeatable=repeatable)
    try:
        body = answer.json() if answer.content else None
    except ValueError:
        raise _doubt(f"the CRM answered {status} without JSON", repeatable=repeatable) from None
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, Mapping):  # also inside a 200
        raise _told(str(error.get("code", "")), status)
    if status not in _DONE:
        raise Reject(f"the CRM answered {status}")
    return body


def _told(code: str, status: int) -> Exception:
    """What an error code of the API asks for."""
    match code:
        case "busy":
            return Retry("the CRM is busy")
        case "unknown_contact" if status != 404:  # noqa: PLR2004 - 404: the contact asked for, 422: the entry's contact
            return UnknownContact(code)
        case "unknown_contact" | "unknown_activity" | "merged":
            return Gone(code)
        case "expired":
            return Expired(code)
        case _:
            return Reject(f"the CRM refused it: {status} {code}")


def _doubt(what: str, *, repeatable: bool) -> Exception:
    return Retry(what) if repeatable else Unknown(what)


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


class SandboxClient:
    """One portal's session. Every request takes from the bucket; a 429 makes everybody hold."""

    def __init__(self, pools: Sequence[httpx.AsyncClient], bucket: TokenBucket) -> None:
        self._pools, self._bucket = itertools.cycle(pools), bucket

    async def get(self, path: str, **params: str) -> Any:
        return await self._ask("GET", path, repeatable=True, params=params)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Not repeatable: raises Unknown when no answer tells whether it was done."""
        return await self._ask("POST", path, repeatable=False, json=body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._ask("PATCH", path, repeatable=True, json=body)

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", path, repeatable=True)

    async def _ask(self, method: str, path: str, *, repeatable: bool, **more: Any) -> Any:
        await self._bucket.take()
        try:
            answer = await next(self._pools).request(method, path, **more)
        except _NOT_SENT as e:
            raise Retry(f"the CRM cannot be reached ({type(e).__name__})") from None
        except httpx.HTTPError as e:
            raise _doubt(f"no answer from the CRM ({type(e).__name__})", repeatable=repeatable) from None
        try:
            return classify(answer, repeatable=repeatable)
        except Retry as e:
            if e.after:
                self._bucket.hold(e.after)
            raise


@asynccontextmanager
async def connect(
    config: Config, clock: Clock, *, rate: float, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[SandboxClient]:
    """A session with at most `rate` requests per second."""
    if not config.url:
        raise Fatal("this CRM has no `url`: set it, or run `trunkline up`, which starts the sandbox")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs addresses, and one can hold a telephone number
    headers = {"authorization": f"Bearer {config.token.get_secret_value()}"}
    limits = httpx.Limits(max_connections=_POOL, max_keepalive_connections=_POOL)
    async with AsyncExitStack() as stack:
        pools = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=config.url,
                    headers=headers,
                    timeout=config.timeout_s,
                    limits=limits,
                    transport=transport,
                    trust_env=False,
                )
            )
            for _ in range(-(-config.in_flight // _POOL))
        ]
        yield SandboxClient(pools, TokenBucket(clock, rate=rate, burst=config.burst))
