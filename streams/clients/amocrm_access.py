"""How a session with amoCRM shows who it is: one long-lived token, or OAuth's pair that is renewed in a file.

A refresh token works once (amocrm-api-php, issues 123 and 269: a second use is a 401, "Token has been revoked"), and a
request whose answer is lost may have spent it. So one process at a time renews, well before the access token expires;
what comes is on the disk before it is used; and when nothing comes, the old access token serves while there is time for
a person to authorise anew.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import httpx
import structlog
from pydantic import SecretStr

from streams.clients.token_file import TokenFile
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Retry

log = structlog.get_logger()

Send = Callable[[str, Mapping[str, str]], Awaitable[httpx.Response]]
_LEFT = 0.25
"""Part of an access token's life that is left when it is renewed: of a day, six hours for a person to act."""
_AGAIN_S = 60.0
_REFUSED = {400, 401, 404}
_ANEW = "authorise the integration anew and put the new pair into `tokens`"


class Access(Protocol):
    """Where a session's token comes from. `send` posts without one."""

    async def token(self, send: Send) -> str:
        """A token that should be good now. Raises Fatal and Retry."""
        ...

    async def renewed(self, stale: str, send: Send) -> str:
        """Another one, for the portal has refused `stale`. Raises Fatal and Retry."""
        ...


class LongLived:
    """A token that a person made, good for up to five years."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, send: Send) -> str:  # noqa: ARG002 - nothing is ever asked for
        return self._token

    async def renewed(self, stale: str, send: Send) -> str:  # noqa: ARG002
        raise Fatal("amoCRM refuses the token: make a new one and set `token` or `token_file` of this CRM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the file holds; the first three as the portal tells them."""

    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds, from `obtained_at`."""
    obtained_at: int = 0
    """Seconds since the epoch; 0 as a person wrote it: it is renewed at once."""
    asked: bool = False
    """Whether the refresh token was sent off, and may be spent."""


class Pair:
    """The pair on disk."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path, self._file = Path(path), TokenFile(path, clock, patience=math.inf)

    def read(self) -> Tokens:
        try:
            there = json.loads(self._path.read_text(encoding="utf-8"))
            return Tokens(**{k: there[k] for k in Tokens.__dataclass_fields__ if k in there})
        except (OSError, ValueError, TypeError, AttributeError) as e:
            raise Fatal(f"the file `tokens` of this CRM cannot be used ({type(e).__name__}): {_ANEW}") from None

    def write(self, tokens: Tokens) -> None:
        """Return when it is durable."""
        try:
            self._file.store(asdict(tokens))
        except OSError as e:
            raise Fatal(f"the file `tokens` of this CRM cannot be written ({type(e).__name__}): make room") from None

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Wait until no other process is renewing; a process that died holds nothing."""
        return self._file.locked()


class Renewed:
    """OAuth: the pair in the file, renewed by whichever process comes first."""

    def __init__(self, path: str, client: Mapping[str, str], secret: SecretStr, clock: Clock) -> None:
        """`client` holds client_id and redirect_uri."""
        self._file, self._client, self._secret, self._clock = Pair(path, clock), client, secret, clock
        self._door = asyncio.Lock()
        self._held: Tokens | None = None
        self._again_at = 0.0

    async def token(self, send: Send) -> str:
        held = self._held = self._held or self._file.read()
        if self._due(held) and (self._clock.monotonic() >= self._again_at or self._left(held) <= 0):
            return await self._other(held.access_token, send, refused=False)
        return held.access_token

    async def renewed(self, stale: str, send: Send) -> str:
        return await self._other(stale, send, refused=True)

    async def _other(self, stale: str, send: Send, *, refused: bool) -> str:
        async with self._door, self._file.alone():
            there = self._file.read()
            if there.access_token == stale:
                try:
                    there = await self._renew(there, send)
                except (Fatal, Retry) as e:
                    left = self._left(there)
                    # No trace of the call: it would tell nothing, and stands next to secrets.
                    log.error("amocrm.token_not_renewed", reason=str(e), left_s=round(max(0.0, left)))  # noqa: TRY400
                    if refused or left <= 0:
                        raise
            self._held = there
        return there.access_token

    async def _renew(self, old: Tokens, send: Send) -> Tokens:
        """The new pair, durable. Raises Retry and Fatal, and the old access token may still be good."""
        self._again_at = self._clock.monotonic() + _AGAIN_S
        self._file.write(Tokens(**{**asdict(old), "asked": True}))  # also: a full disk shows before the token is spent
        body = {**self._client, "client_secret": self._secret.get_secret_value()}
        body |= {"grant_type": "refresh_token", "refresh_token": old.refresh_token}
        try:
            answer = await send("/oauth2/access_token", body)
        except httpx.HTTPError as e:
            raise Retry(f"no answer to the renewal of amoCRM's token ({type(e).__name__})") from None
        if answer.status_code in _REFUSED:
            lost = ", which a request whose answer was lost may have spent" if old.asked else ""
            raise Fatal(f"amoCRM refuses the refresh token{lost}: {_ANEW}")
        try:
            told = answer.raise_for_status().json()
            new = Tokens(
                access_token=str(told["access_token"]),
                refresh_token=str(told["refresh_token"]),
                expires_in=int(told["expires_in"]),
                obtained_at=self._clock.now() // 1_000_000,
            )
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
            raise Retry(f"amoCRM answered {answer.status_code} to the renewal of its token") from None
        self._file.write(new)
        return new

    def _left(self, held: Tokens) -> float:
        return held.obtained_at + held.expires_in - self._clock.now() / 1_000_000

    def _due(self, held: Tokens) -> bool:
        return self._left(held) <= held.expires_in * _LEFT
