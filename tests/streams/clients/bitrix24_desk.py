"""A session with a Bitrix24 in memory, and its tokens in a folder."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from streams.clients.bitrix24 import Bitrix24Client, Config, connect
from streams.runtime.clock import ManualClock
from tests.fakes.bitrix24 import Bitrix24
from tests.fakes.bitrix24_rest import CLIENT, SECRET

T = TypeVar("T")


class Desk:
    """A portal and a folder for its tokens."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.b24 = Bitrix24("access-0", lambda: self.clock.now() / 1_000_000)
        self.file = folder / "tokens.json"
        self.keep(access_token="access-0", refresh_token="refresh-1")
        self.config = Config(
            url="https://b24.test/", client_id=CLIENT, client_secret=SecretStr(SECRET), tokens=str(self.file)
        )

    def keep(self, **tokens: str) -> None:
        self.file.write_text(json.dumps(tokens), "utf-8")

    def kept(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text("utf-8"))
        return found

    def ask(
        self,
        verb: Callable[[Bitrix24Client], Awaitable[T]],
        transport: httpx.AsyncBaseTransport | None = None,
        **keys: Any,
    ) -> T:
        """What a verb of a new session returns."""

        async def one() -> T:
            config = replace(self.config, **keys)
            road = transport or self.b24.transport
            async with connect(config, self.clock, rate=1.5, burst=35, transport=road) as client:
                return await verb(client)

        return asyncio.run(one())
