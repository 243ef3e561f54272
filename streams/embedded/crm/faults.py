"""Faults that an operator or a test switches on: the ways in which real CRMs answer, with rates and a seed."""

import random
import sqlite3
from collections import Counter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.runtime.clock import Clock

Rate = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """What goes wrong, how often (0 to 1 of the API's requests), and how it feels."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: int = 1
    throttled: Rate = 0
    """429 with Retry-After; nothing was done."""
    unavailable: Rate = 0
    """503 with Retry-After; nothing was done."""
    retry_after_s: Annotated[float, Field(ge=0)] = 1
    lost_answer: Rate = 0
    """Everything was done, then the connection is cut without an answer, after `stall_s`."""
    dropped: Rate = 0
    """The connection is cut after `stall_s`, and nothing was done: the client cannot tell this from `lost_answer`."""
    stall_s: Annotated[float, Field(ge=0, le=120)] = 0
    error_in_200: Rate = 0
    """Status 200 whose body says that the system was busy; nothing was done."""
    slow: Rate = 0
    """Everything was done at once, the answer comes `slow_s` later."""
    slow_s: Annotated[float, Field(ge=0, le=120)] = 0.5
    lost_changes: Rate = 0
    """Contact changes that never appear in the change feed."""
    commit_lag_s: Annotated[float, Field(ge=0, le=120)] = 0
    """A contact's time is when its write began; it becomes visible so much later, as after a long transaction."""
    index_lag_s: Annotated[float, Field(ge=0, le=120)] = 0
    """An activity is found by its call id only when it is so old, as where a search index lags."""
    changes_kept: Annotated[int, Field(ge=0)] = 100_000
    """How many entries the change feed keeps; an older token is answered with 410."""


_DRAWN = ("throttled", "unavailable", "lost_answer", "dropped", "error_in_200", "slow")


class Faults:
    """The settings in force, kept in the database over restarts, and how often each fault struck since the start."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        row = db.execute("SELECT value FROM settings WHERE name = 'faults'").fetchone()
        self.now = Settings.model_validate_json(row["value"]) if row else Settings()
        self.struck: Counter[str] = Counter()
        self._rng = random.Random(self.now.seed)  # noqa: S311 - play, not secrecy

    def switch(self, settings: Settings) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES('faults', ?)", (settings.model_dump_json(),))
        self.now = settings
        self._rng = random.Random(settings.seed)  # noqa: S311

    def draw(self) -> str:
        """The fault of the next request, or ""."""
        chance = self._rng.random()
        for name in _DRAWN:
            chance -= getattr(self.now, name)
            if chance < 0:
                self.struck[name] += 1
                return name
        return ""


class FaultyMiddleware:
    """Draws a fault for each request to the API and lets it happen."""

    def __init__(self, app: ASGIApp, *, faults: Faults, clock: Clock) -> None:
        self._app, self._faults, self._clock = app, faults, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._faults.draw() if scope["type"] == "http" and scope["path"].startswith("/api/") else ""
        settings = self._faults.now
        if fault in {"throttled", "unavailable"}:
            code = 429 if fault == "throttled" else 503
            headers = {"retry-after": f"{settings.retry_after_s:g}"}
            await _error(code, fault, headers)(scope, receive, send)
        elif fault == "error_in_200":
            await _error(200, "busy")(scope, receive, send)
        elif fault in {"lost_answer", "dropped"}:
            if fault == "lost_answer":
                await self._app(scope, receive, _unheard)
            await self._clock.pause(settings.stall_s)
            await _cut(send)
        elif fault == "slow":
            await self._app(scope, receive, self._late(send, settings.slow_s))
        else:
            await self._app(scope, receive, send)

    def _late(self, send: Send, delay: float) -> Send:
        async def late(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._clock.pause(delay)
            await send(message)

        return late


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": "switched on as a fault"}}, status, headers)


async def _unheard(_message: Message) -> None:
    """Swallow an answer."""


async def _cut(send: Send) -> None:
    """An answer that promises a body and ends before it: the server then closes the connection."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
