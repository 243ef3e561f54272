"""Salesforce's REST API over HTTP: OAuth, the org's daily budget, and what each answer means. No topics, no retries.

An error is known by its `errorCode`, for each record of a collection, inside a 200, by its `statusCode`. A 403 may be a
limit: REQUEST_LIMIT_EXCEEDED has no Retry-After and says nothing of the token (Salesforce, REST API Developer Guide:
Status Codes and Error Responses, sObject Collections, API Usage).
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from streams.clients.crm import Gone, PortalConfig, TokenBucket
from streams.clients.exchange import doubt, holding, retry_after, sending
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject, Retry

_HELD = {429, 503}
_FORBIDDEN = {401, 403}
_NOT_THERE = 404
_BROKEN = range(500, 600)
_AGAIN = {"UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "REQUEST_LIMIT_EXCEEDED"}
_UNKNOWN_FIELD = {"INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE"}
_GRANT_AGAIN = {"unknown_error", "server_error", "temporarily_unavailable"}
_LOOK_S = 60.0
_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_NO_SECRET = SecretStr("")
_CREDENTIALS = {"grant_type": "client_credentials"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(PortalConfig):
    """Keys of a CRM with `connector = "salesforce"`."""

    poll_s: float = 20.0
    """Pause between two looks at the change feed: each is one of the org's daily API requests."""
    sweep_s: float = 600.0
    """Pause between two scans of recently updated contacts, for changes that the feed lost."""
    overlap_s: float = 600.0
    """How far a look or such a scan looks back behind the one before: longer than the CRM's longest transaction."""
    url: str = ""
    """https://NAME.my.salesforce.com, the org's My Domain; log-in and API are both there."""
    client_id: str = ""
    """Consumer key of the external client app (or connected app)."""
    client_secret: SecretStr = _NO_SECRET
    """Its consumer secret."""
    refresh_token: SecretStr = _NO_SECRET
    """Empty: the client credentials flow, as the app's "run as" user. Else that user's refresh token, without
    rotation."""
    api_version: str = "61.0"
    """Version of the REST API."""
    budget: float = 0.9
    """Part of the org's API requests of 24 hours, by all who use it, that may be spent before this CRM holds back: then
    it asks once a minute until there is room again."""
    call_id_field: str = "PBX_Call_Id__c"
    """Field of activities that holds the call's id: text of 255, external id, unique and case sensitive."""
    status: str = "Completed"
    """Status of a task that counts as closed, as this org calls it."""
    phone_fields: tuple[str, ...] = ("Phone", "MobilePhone", "HomePhone", "OtherPhone")
    """Fields of a contact that hold a number."""
    find: Literal["soql", "sosl"] = "soql"
    """How a number that enrichment did not know is looked up. soql: any spelling, and it reads all contacts. sosl: by
    the search index, for millions of contacts; it lags by minutes and finds the usual spellings only."""


class Refused(Reject):
    """A record was refused; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Salesforce refused it: {code}")
        self.code = code


def error_code(answer: httpx.Response) -> str:
    """The code of an error answer, "" when there is none."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    first = body[0] if answer.is_error and isinstance(body, list) and body else None
    return str(first.get("errorCode", "")) if isinstance(first, Mapping) else ""


def classify(answer: httpx.Response, *, repeatable: bool, row: bool) -> Any:
    """The answer's JSON (None without one), or what to do instead.

    Raises Retry (nothing was done), Refused, Fatal (a person is needed), Gone where the address is that of a `row`, and
    Unknown where a request that is not `repeatable` may have been done or not.
    """
    status, code = answer.status_code, error_code(answer)
    if status in _HELD:
        raise Retry(f"Salesforce answered {status}", after=retry_after(answer))
    if status == _NOT_THERE and row and code:
        raise Gone(code)
    if code in _AGAIN:
        raise told(code)
    if status in _FORBIDDEN:
        raise Fatal(f"Salesforce denies access ({code or status}): check this CRM's app, its user and its secrets")
    try:
        body = answer.json() if answer.content else None
    except ValueError:
        body = ...
    if status in _BROKEN or (answer.is_success and body is ...):
        raise doubt(f"Salesforce answered {status} without a result", repeatable=repeatable)
    if status == _NOT_THERE or not (answer.is_success or code):
        raise Fatal(f"Salesforce answered {status}: check `url`, `api_version` and `call_id_field` of this CRM")
    if code:
        raise told(code)
    return body


def told(code: str) -> Exception:
    """What an error asks for, by its code."""
    if code in _AGAIN:
        return Retry(f"Salesforce answered {code}")
    if code in _UNKNOWN_FIELD:
        return Fatal(
            f"Salesforce lacks a field ({code}): make `call_id_field`, and let this CRM's user see and edit it"
        )
    if code == "STORAGE_LIMIT_EXCEEDED":
        return Fatal("Salesforce's storage is full")
    return Refused(code)


class Budget:
    """The org's API requests of the last 24 hours, which all that talk to it share.

    Every answer tells them (`Sforce-Limit-Info: api-usage=18/5000`). When they are spent one request a minute goes out,
    to see whether there is room again.
    """

    def __init__(self, clock: Clock, part: float) -> None:
        self._clock, self._part = clock, part
        self._spent, self._look_at = False, clock.monotonic()

    async def room(self) -> None:
        """Return when a request may be sent."""
        while self._spent and (ahead := self._look_at - self._clock.monotonic()) > 0:
            await self._clock.pause(ahead)
        self._look_at = self._clock.monotonic() + _LOOK_S

    def read(self, answer: httpx.Response) -> None:
        """Take in what an answer says; too many at the same time are refused by the same code, within the budget."""
        if usage := _USAGE.search(answer.headers.get("sforce-limit-info", "")):
            self._spent = int(usage[1]) >= self._part * int(usage[2])
        elif answer.is_success or error_code(answer) == "REQUEST_LIMIT_EXCEEDED":
            self._spent = not answer.is_success


class SalesforceClient:
    """One org's session. Every request takes from the bucket and from the budget."""

    def __init__(self, http: httpx.AsyncClient, bucket: TokenBucket, clock: Clock, config: Config) -> None:
        self._http, self._bucket, self._clock, self._config = http, bucket, clock, config
        self._budget = Budget(clock, config.budget)
        self._root = f"/services/data/v{config.api_version}"
        self._token: str | None = None
        self._door = asyncio.Lock()
        self.told_at = clock.now()
        """When the last answer was given, in microseconds by Salesforce's clock."""

    async def query(self, soql: str, *, deleted: bool = False) -> list[dict[str, Any]]:
        """The rows of a query; with `deleted` those in the recycle bin and archived activities too."""
        path, params = f"{self._root}/{'queryAll' if deleted else 'query'}", {"q": soql}
        rows: list[dict[str, Any]] = []
        while True:
            answer = await self._send("GET", path, params=params)
            rows += answer["records"]
            if answer["done"]:
                return rows
            path, params = answer["nextRecordsUrl"], {}

    async def search(self, sosl: str) -> list[dict[str, Any]]:
        """The records that a search finds."""
        answer = await self._send("GET", f"{self._root}/search", params={"q": sosl})
        return list(answer["searchRecords"])

    async def upsert(self, kind: str, key: str, records: Sequence[Mapping[str, Any]]) -> list[str | Exception]:
        """Make up to 200 records, or update those with the same `key`; the id of each, or what became of it instead.

        By the collection's address, where the keys stand in the body. Raises Unknown.
        """
        return await self._save(kind, f"{kind}/{key}", records, repeatable=False)

    async def update(self, kind: str, records: Sequence[Mapping[str, Any]]) -> list[str | Exception]:
        """Set the given fields, and no others, of up to 200 records by their `Id`; otherwise as `upsert`."""
        return await self._save(kind, "", records, repeatable=True)

    async def _save(
        self, kind: str, at: str, records: Sequence[Mapping[str, Any]], *, repeatable: bool
    ) -> list[str | Exception]:
        body = {"allOrNone": False, "records": [{"attributes": {"type": kind}, **record} for record in records]}
        path = f"{self._root}/composite/sobjects/{at}".rstrip("/")
        results = await self._send("PATCH", path, json=body, repeatable=repeatable)
        if not isinstance(results, list) or len(results) != len(records):
            raise doubt("Salesforce answered something else than a result for each record", repeatable=repeatable)
        return [str(r["id"]) if r["success"] else told(str(r["errors"][0]["statusCode"])) for r in results]

    async def delete(self, kind: str, record: str) -> None:
        """Move a record to the recycle bin; raises Gone."""
        await self._send("DELETE", f"{self._root}/sobjects/{kind}/{record}", row=True)

    async def _send(self, method: str, path: str, *, repeatable: bool = True, row: bool = False, **parts: Any) -> Any:
        await self._bucket.take()
        await self._budget.room()
        token = await self._session(None)
        answer = await self._exchange(method, path, token, repeatable=repeatable, **parts)
        if error_code(answer) == "INVALID_SESSION_ID":  # and nothing was done
            token = await self._session(token)
            answer = await self._exchange(method, path, token, repeatable=repeatable, **parts)
        self._budget.read(answer)
        if "date" in answer.headers:
            self.told_at = round(parsedate_to_datetime(answer.headers["date"]).timestamp()) * 1_000_000
        with holding(self._bucket):
            return classify(answer, repeatable=repeatable, row=row)

    async def _exchange(self, method: str, path: str, token: str, *, repeatable: bool, **parts: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with sending("Salesforce", repeatable=repeatable):
            return await self._http.request(method, path, headers=headers, **parts)

    async def _session(self, refused: str | None) -> str:
        """The session's token, a new one when it is the refused one; whoever comes meanwhile waits for it."""
        async with self._door:
            if self._token is None or self._token == refused:
                self._token = await self._grant()
            return self._token

    async def _grant(self) -> str:
        refresh = self._config.refresh_token.get_secret_value()
        form = {"client_id": self._config.client_id, "client_secret": self._config.client_secret.get_secret_value()}
        form |= {"grant_type": "refresh_token", "refresh_token": refresh} if refresh else _CREDENTIALS
        answer = await self._exchange("POST", "/services/oauth2/token", "", repeatable=True, data=form)
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if answer.status_code in {*_HELD, *_BROKEN} or body.get("error") in _GRANT_AGAIN:
            raise Retry(f"Salesforce's log-in answered {answer.status_code}", after=retry_after(answer))
        if not (answer.is_success and body.get("access_token")):
            raise Fatal("Salesforce refuses the log-in: set `url`, `client_id`, `client_secret` of this CRM")
        if body.get("refresh_token", refresh) != refresh:
            raise Fatal("Salesforce rotates the refresh token: switch that off for this app, or use client credentials")
        return str(body["access_token"])


@asynccontextmanager
async def connect(
    config: Config, clock: Clock, *, rate: float, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[SalesforceClient]:
    """A session with at most `rate` requests per second."""
    if not (config.url and config.client_id):
        raise Fatal("this CRM has no `url` or no `client_id`: set both")
    names: Sequence[str] = (config.call_id_field, *config.phone_fields)
    if not config.phone_fields or not all(_NAME.fullmatch(name) for name in names):
        raise Fatal("`call_id_field` and `phone_fields` of this CRM must be API names of fields, say Phone")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with httpx.AsyncClient(
        base_url=config.url,
        timeout=config.timeout_s,
        limits=httpx.Limits(max_connections=config.in_flight, max_keepalive_connections=config.in_flight),
        transport=transport,
        trust_env=False,
    ) as http:
        yield SalesforceClient(http, TokenBucket(clock, rate=rate, burst=config.burst), clock, config)
