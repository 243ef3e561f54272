"""Odoo's external API over HTTP: log-in, rate limit, and what each answer means. No topics, no retries.

Two ways in with the same calls (odoo/documentation, external_rpc_api and external_api): JSON-RPC, where every error
comes inside a 200 and is known by the name of its Python class, and from Odoo 19 on `/json/2` with honest statuses.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from streams.clients.crm import Gone, PortalConfig, TokenBucket
from streams.clients.exchange import doubt, holding, pools, retry_after, sending
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject, Retry

_HELD = {429, 503}
"""A proxy in front of Odoo answers so before it passes anything on."""
_FORBIDDEN = {401, 403}
_BROKEN = range(500, 600)
_ROLLED_BACK = {"SerializationFailure", "TransactionRollbackError", "DeadlockDetected", "LockNotAvailable"}
_NO_PASSWORD = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(PortalConfig):
    """Keys of a CRM with `connector = "odoo"`."""

    url: str = ""
    """http(s)://host:port of Odoo."""
    database: str = ""
    """Its database."""
    login: str = ""
    """The user that calls are written as: rights to contacts and to sales are enough."""
    password: SecretStr = _NO_PASSWORD
    """That user's API key (Odoo 14 and later), or password."""
    api: Literal["jsonrpc", "json2"] = "jsonrpc"
    """jsonrpc up to Odoo 18, json2 from 19 on."""
    phone_fields: tuple[str, ...] = ("phone", "mobile")
    """Fields of a contact that hold a number."""
    unknown_on: str = ""
    """Document that calls of nobody known are noted on until they are matched, as model:id, say mail.channel:1. Empty:
    the contact of the user above."""
    missed_task: bool = False
    """Whether an inbound call of a contact that nobody answered is also an activity for the contact's owner."""
    ids_s: float = 60.0
    """Pause between two looks at which contacts there are: Odoo tells nobody what was deleted or merged away."""


def classify(answer: httpx.Response, *, repeatable: bool) -> Any:
    """The call's result (None without one), or what to do instead.

    Raises Retry (nothing was done), Reject (never with this data), Gone, Fatal (a person is needed), and Unknown where a
    request that is not `repeatable` may have been done or not.
    """
    status = answer.status_code
    if status in _HELD:
        raise Retry(f"Odoo answered {status}", after=retry_after(answer))
    try:
        body = answer.json()
    except ValueError:
        body = None
    rpc = isinstance(body, Mapping) and "jsonrpc" in body
    if error := _error(body, status, rpc=rpc):
        raise _told(error, repeatable=repeatable)
    if status in _FORBIDDEN:
        raise _told("AccessDenied", repeatable=repeatable)
    if status in _BROKEN or (answer.is_success and body is None):
        raise doubt(f"Odoo answered {status} without a result", repeatable=repeatable)
    if not answer.is_success:
        raise Fatal(f"Odoo answered {status}: check `url`, `database` and `api` of this CRM")
    return body.get("result") if rpc else body


def _error(body: Any, status: int, *, rpc: bool) -> str:
    """The Python class of an error, "" when there is none."""
    if rpc and "error" in body:
        error = body["error"]
        data = error.get("data") if isinstance(error, Mapping) else None
        return str(data.get("name", "unknown")) if isinstance(data, Mapping) else "unknown"
    if not rpc and status >= 400 and isinstance(body, Mapping):  # noqa: PLR2004 - HTTP's errors
        return str(body.get("name", ""))
    return ""


def _told(name: str, *, repeatable: bool) -> Exception:
    """What an error asks for, by its class."""
    module, _, kind = name.rpartition(".")
    if kind in {"AccessDenied", "Unauthorized"}:
        return Fatal("Odoo refuses the log-in: set `login` and `password` or `password_file` of this CRM")
    if kind in {"AccessError", "Forbidden"}:
        return Fatal("Odoo's user lacks a right: give it contact creation and sales")
    if kind == "MissingError":
        return Gone(kind)
    if module.startswith("psycopg2"):
        if kind in _ROLLED_BACK:
            return Retry(f"Odoo's database rolled back ({kind})")
        return doubt(f"Odoo's database failed ({kind})", repeatable=repeatable)
    return Reject(f"Odoo refused it: {kind}")


class OdooClient:
    """One portal's session. Every request takes from the bucket; a 429 makes everybody hold."""

    def __init__(self, pools: Sequence[httpx.AsyncClient], bucket: TokenBucket, config: Config) -> None:
        self._pools, self._bucket, self._config = itertools.cycle(pools), bucket, config
        self._uid: int | None = None
        self._door = asyncio.Lock()

    async def call(
        self, model: str, method: str, ids: Sequence[int] = (), *, repeatable: bool = True, **named: Any
    ) -> Any:
        """The result of a method of a model, on the records `ids` when there are any; arguments go by their names."""
        if self._config.api == "json2":
            body = {"ids": list(ids), **named} if ids else named
            return await self._post(f"/json/2/{model}/{method}", body, repeatable=repeatable)
        async with self._door:
            if self._uid is None:
                self._uid = await self._log_in()
        on = [list(ids)] if ids else []
        args = [self._config.database, self._uid, self._password, model, method, on, named]
        return await self._rpc("object", "execute_kw", args, repeatable=repeatable)

    async def rows(
        self, model: str, domain: Sequence[Any], fields: Sequence[str], **named: Any
    ) -> list[dict[str, Any]]:
        """The records that fit the domain."""
        found = await self.call(model, "search_read", domain=list(domain), fields=list(fields), **named)
        return list(found or [])

    @property
    def _password(self) -> str:
        return self._config.password.get_secret_value()

    async def _log_in(self) -> int:
        args = [self._config.database, self._config.login, self._password]
        uid = await self._rpc("common", "login", args, repeatable=True)
        if not uid:
            raise _told("AccessDenied", repeatable=True)
        return int(uid)

    async def _rpc(self, service: str, method: str, args: Sequence[Any], *, repeatable: bool) -> Any:
        params = {"service": service, "method": method, "args": args}
        body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
        return await self._post("/jsonrpc", body, repeatable=repeatable)

    async def _post(self, path: str, body: Mapping[str, Any], *, repeatable: bool) -> Any:
        await self._bucket.take()
        with sending("Odoo", repeatable=repeatable):
            answer = await next(self._pools).post(path, json=body)
        with holding(self._bucket):
            return classify(answer, repeatable=repeatable)


@asynccontextmanager
async def connect(
    config: Config, clock: Clock, *, rate: float, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[OdooClient]:
    """A session with at most `rate` requests per second."""
    if not (config.url and config.database):
        raise Fatal("this CRM has no `url` or no `database`: set both")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    headers = {}
    if config.api == "json2":
        headers = {"authorization": f"bearer {config.password.get_secret_value()}", "x-odoo-database": config.database}
    async with pools(config.url, config, headers, transport) as clients:
        yield OdooClient(clients, TokenBucket(clock, rate=rate, burst=config.burst), config)
