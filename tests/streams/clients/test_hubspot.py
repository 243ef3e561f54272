"""HubSpot's HTTP client: what each answer means, by status and category, and which limit it counts against."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from streams.clients.crm import Gone, Unknown
from streams.clients.hubspot import Config, HubSpotClient, connect
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject, Retry
from tests.fakes.hubspot import HubSpot
from tests.fakes.hubspot_answers import error

CONFIG = Config(url="http://hubspot.test", token=SecretStr("a-token"))
Handler = Callable[[httpx.Request], httpx.Response]


def ask(handler: Handler, *, repeatable: bool = True) -> object:
    """One request of a session, answered by `handler`."""

    async def one() -> object:
        transport = httpx.MockTransport(handler)
        async with connect(CONFIG, ManualClock(), rate=100, transport=transport) as client:
            return await client.ask("POST", "/crm/v3/objects/calls/batch/create", {"inputs": []}, repeatable=repeatable)

    return asyncio.run(one())


@pytest.mark.parametrize(
    ("answer", "of_create", "of_read"),
    [
        (httpx.Response(429, headers={"retry-after": "3"}), Retry, Retry),
        (error(423, "LOCKED"), Retry, Retry),
        (httpx.Response(477, headers={"retry-after": "60"}), Retry, Retry),
        (httpx.Response(503, content=b"<html>"), Retry, Retry),
        (httpx.Response(500, content=b"<html>"), Unknown, Retry),
        (httpx.Response(502), Unknown, Retry),
        (httpx.Response(504), Unknown, Retry),
        (httpx.Response(200, content=b"<html>"), Unknown, Retry),
        (error(401, "INVALID_AUTHENTICATION"), Fatal, Fatal),
        (error(403, "MISSING_SCOPES"), Fatal, Fatal),
        (error(404, "OBJECT_NOT_FOUND"), Gone, Gone),
        (error(400, "VALIDATION_ERROR"), Reject, Reject),
        (error(409, "CONFLICT"), Reject, Reject),
        (httpx.Response(414), Reject, Reject),
        (httpx.Response(400, json=["+33123456789"]), Reject, Reject),
        (error(400, "+33123456789"), Reject, Reject),
    ],
)
def test_what_an_answer_asks_for(answer: httpx.Response, of_create: type[Exception], of_read: type[Exception]) -> None:
    """Only what cannot be repeated is ever in doubt, and no text of HubSpot's but its category is passed on."""
    for repeatable, wanted in ((False, of_create), (True, of_read)):
        with pytest.raises(wanted) as raised:
            ask(lambda _: answer, repeatable=repeatable)
        assert "33123456789" not in str(raised.value)


def test_a_refusal_says_its_category() -> None:
    """It is all that an operator has to look the refusal up by."""
    with pytest.raises(Reject, match="400 VALIDATION_ERROR"):
        ask(lambda _: error(400, "VALIDATION_ERROR"))


@pytest.mark.parametrize(
    ("failure", "of_create"),
    [
        (httpx.ConnectError, Retry),
        (httpx.ConnectTimeout, Retry),
        (httpx.PoolTimeout, Retry),
        (httpx.ReadTimeout, Unknown),
        (httpx.WriteError, Unknown),
        (httpx.RemoteProtocolError, Unknown),
    ],
)
def test_what_no_answer_asks_for(failure: type[httpx.TransportError], of_create: type[Exception]) -> None:
    """A request that never left may be sent again; one that may have arrived may not."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise failure("+33123456789", request=request)

    for repeatable, wanted in ((False, of_create), (True, Retry)):
        with pytest.raises(wanted) as raised:
            ask(fail, repeatable=repeatable)
        assert "33123456789" not in str(raised.value)


def test_an_answer_without_a_body_is_none() -> None:
    """As of a deletion."""
    assert ask(lambda _: httpx.Response(204)) is None


def test_every_request_has_the_token() -> None:
    """In its header, where no log looks."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    ask(answer)
    assert seen[0].headers["authorization"] == "Bearer a-token"
    assert "a-token" not in str(seen[0].url)


def test_a_session_without_a_token_is_not_opened() -> None:
    """The operator is told what to set."""

    async def nothing() -> None:
        async with connect(replace(CONFIG, token=SecretStr("")), ManualClock(), rate=1):
            pytest.fail("it was opened")

    with pytest.raises(Fatal, match="token_file"):
        asyncio.run(nothing())


def times(verb: Callable[[HubSpotClient], object], answers: list[httpx.Response], count: int) -> list[float]:
    """When each of so many requests was sent, in seconds, whatever they were told."""
    clock, sent = ManualClock(), []

    def answer(_: httpx.Request) -> httpx.Response:
        sent.append(clock.monotonic())
        return answers.pop(0) if answers else httpx.Response(200, json={})

    async def play() -> None:
        async with connect(replace(CONFIG, burst=3), clock, rate=10, transport=httpx.MockTransport(answer)) as client:
            for _ in range(count):
                try:
                    await verb(client)  # type: ignore[misc]
                except Retry:
                    continue

    asyncio.run(play())
    return [round(at - sent[0], 2) for at in sent]


def test_searches_have_a_budget_of_their_own() -> None:
    """HubSpot counts them apart, and grants fewer."""
    assert times(lambda c: c.search("contacts", {}), [], 4) == [0, 0.5, 1.0, 1.5]
    assert times(lambda c: c.ask("GET", "/"), [], 5) == [0, 0, 0, 0.1, 0.2]


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (httpx.Response(429, headers={"retry-after": "7"}), 7),
        (error(429, "RATE_LIMITS", policyName="DAILY"), 60),
        (error(429, "RATE_LIMITS", policyName="TEN_SECONDLY_ROLLING"), 1),
        (httpx.Response(429), 1),
        (httpx.Response(477, headers={"retry-after": "90"}), 90),
    ],
)
def test_what_is_too_much_holds_everybody(answer: httpx.Response, pause: float) -> None:
    """The day's limit longer than the others, for the next requests would only be refused too."""
    assert times(lambda c: c.ask("GET", "/"), [answer], 2) == [0, pause]


def test_too_many_searches_hold_searches_alone() -> None:
    """Calls are still written."""

    async def one_of_each(client: HubSpotClient) -> None:
        try:
            await client.search("contacts", {})
        finally:
            await client.ask("GET", "/")

    refused = httpx.Response(429, headers={"retry-after": "9"})
    assert times(one_of_each, [refused], 2) == [0, 0, 9, 9]


def test_the_shares_of_journal_and_feed_are_what_an_account_has() -> None:
    """Both together stay within its windows, and use most of them."""
    config = Config()
    window = 10 * (config.rate_per_s + config.feed_rate_per_s) + 2 * config.burst
    assert (window, 2 * config.search_rate_per_s) == (190, 4)


def test_a_session_never_meets_the_limit() -> None:
    """A backlog is sent as fast as the share allows, and the account's own count finds nothing wrong."""
    clock = ManualClock()
    fake = HubSpot("a-token", clock)

    async def play() -> None:
        config = Config(token=SecretStr("a-token"))
        async with connect(config, clock, rate=18.0, transport=fake.transport) as client:  # one session has it all
            for n in range(2000):
                await (client.search("contacts", {}) if n % 20 == 0 else client.ask("GET", "/crm/v3/objects/contacts"))

    began = clock.monotonic()
    asyncio.run(play())
    assert fake.breaches == 0
    assert 2000 / (clock.monotonic() - began) > 0.9 * 19
