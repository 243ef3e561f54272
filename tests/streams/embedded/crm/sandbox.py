"""The sandbox's application without a network: one request at a time, on a clock that the test moves."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx

from streams.embedded.crm.server import application
from streams.embedded.crm.store import connect
from streams.runtime.clock import ManualClock

TOKEN = "a-token-for-tests"


class App:
    """The application over a file; a second one on the same folder is the sandbox after a restart."""

    def __init__(self, folder: Path, *, seed: int = 1) -> None:
        self.clock, self.db = ManualClock(), connect(folder / "crm.sqlite")
        self.app = application(self.db, TOKEN, self.clock, random.Random(seed))

    def ask(
        self, method: str, path: str, *, token: str = TOKEN, host: str = "127.0.0.1", **more: Any
    ) -> httpx.Response:
        """One request, answered."""
        return asyncio.run(self.asked(method, path, token=token, host=host, **more))

    async def asked(
        self, method: str, path: str, *, token: str = TOKEN, host: str = "127.0.0.1", **more: Any
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=headers) as http:
            return await http.request(method, path, **more)

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, params=query).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        return self.ask("POST", path, json=body).raise_for_status().json()

    def patch(self, path: str, **body: Any) -> Any:
        return self.ask("PATCH", path, json=body).raise_for_status().json()

    def delete(self, path: str) -> None:
        self.ask("DELETE", path).raise_for_status()

    def faults(self, **settings: Any) -> None:
        self.ask("PUT", "/admin/faults", json=settings).raise_for_status()

    def page(self, path: str, **query: Any) -> str:
        """A page for people, as HTML; nobody needs a token for it."""
        return self.ask("GET", path, token="", params=query, follow_redirects=True).raise_for_status().text
