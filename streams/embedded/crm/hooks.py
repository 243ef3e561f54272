"""Webhooks of the sandbox, signed as in the Standard Webhooks specification; at least once, in no order.

Signature: `webhook-signature: v1,<base64 of HMAC-SHA256(secret, id + "." + timestamp + "." + body)>`.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import sqlite3
from collections.abc import Mapping

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from streams.runtime.clock import Clock

ATTEMPTS = 10
_AT_ONCE = 20
_LOOK = 0.1
_TIMEOUT = 5.0
_LONGEST_WAIT = 60
_OK = range(200, 300)


class HookIn(BaseModel):
    """Where changes are told. A sandbox calls nobody but this machine."""

    model_config = ConfigDict(extra="forbid")
    url: str
    secret: str = Field(min_length=16, max_length=200)

    @field_validator("url")
    @classmethod
    def _on_this_machine(cls, url: str) -> str:
        parsed = httpx.URL(url)
        if parsed.scheme != "http" or parsed.host not in {"127.0.0.1", "localhost"} or parsed.userinfo:
            raise ValueError("must be http://127.0.0.1:PORT/…")
        return url


def sign(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`."""
    digest = hmac.new(secret.encode(), f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def enqueue(db: sqlite3.Connection, event: Mapping[str, str], now: int) -> None:
    """Note a delivery for every hook, inside the caller's transaction."""
    db.execute(
        "INSERT INTO deliveries(hook, body, attempts, due) SELECT id, ?, 0, ? FROM hooks", (json.dumps(event), now)
    )


async def deliver(db: sqlite3.Connection, clock: Clock, rng: random.Random) -> None:
    """Send what is due, for ever: again with growing pauses until the receiver says 2xx, at most `ATTEMPTS` times."""
    async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:
        while True:
            due = db.execute(
                "SELECT d.id, d.body, d.attempts, h.url, h.secret FROM deliveries d JOIN hooks h ON h.id = d.hook"
                " WHERE d.due <= ? ORDER BY d.due LIMIT ?",
                (clock.now(), _AT_ONCE),
            ).fetchall()
            rng.shuffle(due)
            await asyncio.gather(*(_send(db, client, clock, row) for row in due))
            if len(due) < _AT_ONCE:
                await clock.pause(_LOOK)


async def _send(db: sqlite3.Connection, client: httpx.AsyncClient, clock: Clock, row: sqlite3.Row) -> None:
    body, delivery, timestamp = row["body"].encode(), f"msg_{row['id']}", str(clock.now() // 1_000_000)
    signature = sign(row["secret"], delivery, timestamp, body)
    headers = {"webhook-id": delivery, "webhook-timestamp": timestamp, "webhook-signature": signature}
    try:
        answer = await client.post(row["url"], content=body, headers={**headers, "content-type": "application/json"})
        done = answer.status_code in _OK
    except httpx.HTTPError:
        done = False
    if done or row["attempts"] + 1 >= ATTEMPTS:
        db.execute("DELETE FROM deliveries WHERE id = ?", (row["id"],))
    else:
        wait = min(2 ** row["attempts"], _LONGEST_WAIT) * 1_000_000
        again = (clock.now() + wait, row["id"])
        db.execute("UPDATE deliveries SET attempts = attempts + 1, due = ? WHERE id = ?", again)
