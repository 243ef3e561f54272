"""OAuth tokens in a file that several processes share: one of them renews at a time, and what it got is durable first."""

import fcntl
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Retry

_LOOK_AGAIN = 0.2
_OWNER_ONLY = 0o600


class TokenFile:
    """The token server's last answer, as JSON. Each renewal replaces it whole."""

    def __init__(self, path: str, clock: Clock, *, patience: float) -> None:
        """`patience` is how many seconds another process may take to renew."""
        self._path, self._clock, self._patience = Path(path), clock, patience

    def read(self) -> dict[str, Any]:
        """The tokens; raises Fatal when there are none."""
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("refresh_token"), str):
            raise Fatal('`tokens` of this CRM must hold JSON with the first tokens: {"refresh_token": "…"}')
        return found

    def store(self, tokens: Mapping[str, Any]) -> None:
        """Return when the tokens are on the disk; whoever reads meanwhile sees the old ones whole."""
        new = self._path.with_name(f"{self._path.name}.new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dict(tokens), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Nobody else renews meanwhile; the lock goes with its process. Raises Retry when somebody takes too long."""
        handle = os.open(self._path.with_name(f"{self._path.name}.lock"), os.O_WRONLY | os.O_CREAT, _OWNER_ONLY)
        try:
            until = self._clock.monotonic() + self._patience
            while not _lock(handle):
                if self._clock.monotonic() >= until:
                    raise Retry("another process has been renewing the token for too long")
                await self._clock.pause(_LOOK_AGAIN)
            yield
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
