"""One HTTP request to a CRM, as every connector's client judges it: never sent, in doubt, or too much for now."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import httpx

from streams.clients.crm import PortalConfig, TokenBucket, Unknown
from streams.runtime.errors import Retry

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_POOL = 4
"""Connections of one pool. Each request looks at every connection of its pool several times: 300 calls of three requests
took 5 s with one pool of 32 connections, and 1 s with pools of 4."""


def doubt(what: str, *, repeatable: bool) -> Exception:
    """What to do when it may have been done or not: again, where that does no more."""
    return Retry(what) if repeatable else Unknown(what)


def retry_after(answer: httpx.Response, otherwise: float | None = None) -> float | None:
    """Seconds that the answer asks to wait."""
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):
        return otherwise


@contextmanager
def sending(whom: str, *, repeatable: bool) -> Iterator[None]:
    """Around a request: httpx's errors as ours. Their texts can hold an address with a telephone number, so they end here."""
    try:
        yield
    except _NOT_SENT as e:
        raise Retry(f"{whom} cannot be reached ({type(e).__name__})") from None
    except httpx.HTTPError as e:
        raise doubt(f"no answer from {whom} ({type(e).__name__})", repeatable=repeatable) from None


@contextmanager
def holding(bucket: TokenBucket) -> Iterator[None]:
    """Around the reading of an answer: where it names a time to wait, everybody at this bucket waits."""
    try:
        yield
    except Retry as e:
        if e.after:
            bucket.hold(e.after)
        raise


@asynccontextmanager
async def pools(
    url: str, config: PortalConfig, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None
) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
    """Clients that take turns: with one connection for each call in flight."""
    limits = httpx.Limits(max_connections=_POOL, max_keepalive_connections=_POOL)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=url,
                    headers=headers,
                    timeout=config.timeout_s,
                    limits=limits,
                    transport=transport,
                    trust_env=False,
                )
            )
            for _ in range(-(-config.in_flight // _POOL))
        ]
