"""Salesforce's HTTP client: what each answer means, the session's token, and the org's daily budget."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from streams.clients.batches import Batches
from streams.clients.crm import Unknown
from streams.clients.salesforce import Config, Refused, SalesforceClient, connect
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Retry
from tests.fakes.salesforce import CLIENT_ID, KEY, Salesforce, not_upserted, refused

T = TypeVar("T")
CONFIG = Config(url="http://org.test", client_id=CLIENT_ID, client_secret=SecretStr("secret"))
TASK = {KEY: "main:1", "Subject": "x"}
Handler = Callable[[httpx.Request], httpx.Response]
Verb = Callable[[SalesforceClient], Awaitable[object]]


def upsert(client: SalesforceClient) -> Awaitable[object]:
    return Batches(partial(client.upsert, "Task", KEY), most=200, again=Refused).ask(TASK)


def update(client: SalesforceClient) -> Awaitable[object]:
    return Batches(partial(client.update, "Task"), most=200, again=Refused).ask({"Id": "00T1", "Subject": "x"})


def query(client: SalesforceClient) -> Awaitable[object]:
    return client.query("SELECT Id FROM Contact")


class Desk:
    """An org, and what stands in front of it."""

    def __init__(self, **shape: Any) -> None:
        self.clock = ManualClock()
        self.org = Salesforce("secret", lambda: self.clock.now() // 1_000_000, **shape)

    def ask(
        self,
        verb: Callable[[SalesforceClient], Awaitable[T]],
        handler: Handler | None = None,
        log_in: Handler | None = None,
        **keys: Any,
    ) -> T:
        """What a verb of a new session returns; `log_in` answers that, and `handler` everything else."""

        async def door(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)  # others come meanwhile
            oauth = request.url.path.startswith("/services/oauth2/")
            return ((log_in if oauth else handler) or self.org.answer)(request)

        async def one() -> T:
            config, transport = replace(CONFIG, **keys), httpx.MockTransport(door)
            async with connect(config, self.clock, rate=100, transport=transport) as client:
                return await verb(client)

        return asyncio.run(one())


@pytest.mark.parametrize(
    ("answer", "of_upsert", "of_update", "of_query"),
    [
        (httpx.Response(429, headers={"retry-after": "3"}), Retry, Retry, Retry),
        (refused(403, "REQUEST_LIMIT_EXCEEDED"), Retry, Retry, Retry),
        (refused(400, "UNABLE_TO_LOCK_ROW"), Retry, Retry, Retry),
        (refused(500, "UNKNOWN_EXCEPTION"), Unknown, Retry, Retry),
        (httpx.Response(502, content=b"<html>"), Unknown, Retry, Retry),
        (httpx.Response(200, content=b"<html>"), Unknown, Retry, Retry),
        (refused(401, "INVALID_SESSION_ID"), Fatal, Fatal, Fatal),
        (refused(403, "API_DISABLED_FOR_ORG"), Fatal, Fatal, Fatal),
        (refused(404, "NOT_FOUND"), Fatal, Fatal, Fatal),
        (httpx.Response(404, content=b"<html>"), Fatal, Fatal, Fatal),
        (httpx.Response(302, headers={"location": "/login"}), Fatal, Fatal, Fatal),
        (refused(400, "INVALID_FIELD"), Fatal, Fatal, Fatal),
        (refused(400, "STORAGE_LIMIT_EXCEEDED"), Fatal, Fatal, Fatal),
        (refused(400, "STRING_TOO_LONG"), Refused, Refused, Refused),
    ],
)
def test_what_an_answer_asks_for(
    answer: httpx.Response, of_upsert: type[Exception], of_update: type[Exception], of_query: type[Exception]
) -> None:
    """Only a new record is ever in doubt; a 403 may be a limit; no text of Salesforce's is passed on."""
    for verb, wanted in ((upsert, of_upsert), (update, of_update), (query, of_query)):
        with pytest.raises(wanted) as raised:
            Desk().ask(verb, lambda _: answer)
        assert "33123456789" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("UNABLE_TO_LOCK_ROW", Retry),
        ("STORAGE_LIMIT_EXCEEDED", Fatal),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", Fatal),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", Refused),
        ("DUPLICATE_VALUE", Refused),
    ],
)
def test_a_record_can_fail_inside_a_200(code: str, wanted: type[Exception]) -> None:
    """By the code of its own result."""
    with pytest.raises(wanted, match=None if wanted is Fatal else code) as raised:
        Desk().ask(upsert, lambda _: not_upserted(code))
    assert "33123456789" not in str(raised.value)


@pytest.mark.parametrize(
    ("failure", "of_upsert"),
    [
        (httpx.ConnectError, Retry),
        (httpx.ConnectTimeout, Retry),
        (httpx.PoolTimeout, Retry),
        (httpx.ReadTimeout, Unknown),
        (httpx.RemoteProtocolError, Unknown),
    ],
)
def test_what_no_answer_asks_for(failure: type[httpx.TransportError], of_upsert: type[Exception]) -> None:
    """A request that never left may be sent again; one that may have arrived may not."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise failure("+33123456789", request=request)

    for verb, wanted in ((upsert, of_upsert), (update, Retry), (query, Retry)):
        with pytest.raises(wanted) as raised:
            Desk().ask(verb, fail)
        assert "33123456789" not in str(raised.value)


def test_a_session_that_ended_is_renewed_once_for_all() -> None:
    """Nine ask at the same time with the old token; one log-in serves them, and each request is done once."""
    desk = Desk()

    async def nine(client: SalesforceClient) -> list[list[str | Exception]]:
        await client.query("SELECT Id FROM Contact")
        desk.org.expire()
        return await asyncio.gather(*(client.upsert("Task", KEY, [TASK | {KEY: f"main:{n}"}]) for n in range(9)))

    assert len({str(made) for made in desk.ask(nine)}) == 9
    assert (desk.org.grants, len(desk.org.tables["Task"])) == (2, 9)


def test_a_new_token_that_is_refused_as_well_needs_a_person() -> None:
    """Two log-ins and two requests, and no more."""
    desk, sent = Desk(), []

    def refuse(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return refused(401, "INVALID_SESSION_ID")

    with pytest.raises(Fatal):
        desk.ask(upsert, refuse)
    assert (len(sent), desk.org.grants) == (2, 2)


def test_a_refresh_token_opens_a_session_too() -> None:
    """One that rotates is burnt by its first use, and a person must switch that off."""
    desk = Desk()
    keys: dict[str, Any] = {"refresh_token": SecretStr("refresh-token"), "client_secret": SecretStr("")}
    assert desk.ask(query, **keys) == []
    desk.org.rotated = "refresh-token-2"
    with pytest.raises(Fatal, match="rotates"):
        desk.ask(query, **keys)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (httpx.Response(400, json={"error": "invalid_client_id"}), Fatal),
        (httpx.Response(400, json={"error": "invalid_grant"}), Fatal),
        (httpx.Response(302), Fatal),
        (httpx.Response(200, json={}), Fatal),
        (httpx.Response(400, json={"error": "unknown_error", "error_description": "retry your request"}), Retry),
        (httpx.Response(500), Retry),
        (httpx.Response(503, headers={"retry-after": "1"}), Retry),
    ],
)
def test_what_the_log_in_answers(answer: httpx.Response, wanted: type[Exception]) -> None:
    """A refusal needs a person; nothing was sent yet, so nothing is in doubt."""
    desk = Desk()
    with pytest.raises(wanted):
        desk.ask(upsert, log_in=lambda _: answer)


def test_the_token_goes_to_the_configured_address_only() -> None:
    """The log-in's answer names an address too; it is not followed."""
    hosts: set[str] = set()

    def seen(request: httpx.Request) -> httpx.Response:
        hosts.add(request.url.host)
        return httpx.Response(200, json={"done": True, "records": []})

    Desk().ask(query, seen)
    assert hosts == {"org.test"}


def test_rows_come_in_as_many_answers_as_salesforce_likes() -> None:
    """Each once, and in order."""
    desk = Desk(batch=2)
    ids = [desk.org.create("Contact") for _ in range(5)]
    rows = desk.ask(lambda c: c.query("SELECT Id FROM Contact ORDER BY Id"))
    assert [row["Id"] for row in rows] == ids
    assert len(desk.org.asked) == 3


def test_a_spent_budget_is_looked_at_once_a_minute() -> None:
    """Nine requests wait while others have spent it, and all go on when there is room; no limit is ever reached."""
    desk = Desk()
    desk.org.limit, desk.org.used = 1000, 899
    began = desk.clock.monotonic()

    async def nine(client: SalesforceClient) -> float:
        await client.query("SELECT Id FROM Contact")
        tasks = [asyncio.ensure_future(client.query("SELECT Id FROM Contact")) for _ in range(9)]
        for _ in range(10_000):
            if all(task.done() for task in tasks):
                break
            if desk.clock.monotonic() - began > 170:
                desk.org.used = 0
            await asyncio.sleep(0)
        return desk.clock.monotonic() - began

    waited = desk.ask(nine)
    assert waited >= 180
    assert desk.org.used <= 9


def test_the_limit_itself_is_waited_out() -> None:
    """403 REQUEST_LIMIT_EXCEEDED has no Retry-After: nothing was done, and the next one goes out a minute later."""
    desk = Desk()
    desk.org.limit = desk.org.used = 10

    async def two(client: SalesforceClient) -> float:
        with pytest.raises(Retry):
            await client.query("SELECT Id FROM Contact")
        desk.org.used = 0
        await client.query("SELECT Id FROM Contact")
        return desk.clock.monotonic()

    began = desk.clock.monotonic()
    assert desk.ask(two) - began >= 60


@pytest.mark.parametrize(
    ("usage", "minute"), [("per-app-api-usage=17/17(appName=trunkline); api-usage=18/5000", False), ("", True)]
)
def test_too_many_at_once_is_no_spent_budget(usage: str, *, minute: bool) -> None:
    """The same code while requests are left: the runtime's own back-off, no minute. Unless it is not told."""
    desk, answers = (
        Desk(),
        [refused(403, "REQUEST_LIMIT_EXCEEDED"), httpx.Response(200, json={"done": 1, "records": []})],
    )
    for answer in answers:
        answer.headers["sforce-limit-info"] = usage

    async def two(client: SalesforceClient) -> float:
        with pytest.raises(Retry):
            await client.query("SELECT Id FROM Contact")
        await client.query("SELECT Id FROM Contact")
        return desk.clock.monotonic()

    began = desk.clock.monotonic()
    assert (desk.ask(two, lambda _: answers.pop(0)) - began >= 60) is minute


def test_a_throttled_answer_makes_everybody_hold() -> None:
    """The next request of the session waits as well, not only the one that was refused."""
    desk = Desk()
    answers = [httpx.Response(429, headers={"retry-after": "4"}), httpx.Response(200, json={"done": 1, "records": []})]

    async def two(client: SalesforceClient) -> float:
        with pytest.raises(Retry):
            await client.query("SELECT Id FROM Contact")
        await client.query("SELECT Id FROM Contact")
        return desk.clock.monotonic()

    began = desk.clock.monotonic()
    assert desk.ask(two, lambda _: answers.pop(0)) - began >= 4


@pytest.mark.parametrize(
    "keys",
    [
        {"url": ""},
        {"client_id": ""},
        {"call_id_field": "Id = '' OR Name"},
        {"phone_fields": ("Phone", "Phone FROM User")},
        {"phone_fields": ()},
    ],
)
def test_what_cannot_be_asked_needs_a_person(keys: dict[str, Any]) -> None:
    """Before anything is sent."""
    with pytest.raises(Fatal, match=next(iter(keys))):
        Desk().ask(query, **keys)
