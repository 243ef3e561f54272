"""The sandbox over HTTP, by its mapping: what each answer means, by status and code."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from pydantic import SecretStr

from streams.clients.crm import Expired, Gone, Unknown, UnknownContact
from streams.clients.rest.load import load
from streams.clients.rest.session import connect
from streams.clients.sandbox import MAPPING, Config
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject, Retry

JOURNAL = load(MAPPING).journal
CONFIG = Config(url="http://crm.test", token=SecretStr("a-token"))


def ask(
    handler: Callable[[httpx.Request], httpx.Response], method: str = "post", clock: ManualClock | None = None
) -> object:
    """One request through the client, answered by `handler`."""

    async def one() -> object:
        async with AsyncExitStack() as stack:
            transport = httpx.MockTransport(handler)
            opened = connect(load(MAPPING), CONFIG, clock or ManualClock(), rate=100, transport=transport)
            session = await stack.enter_async_context(opened)
            if method == "post":
                return (await session.ask(JOURNAL.put, {"call_id": "x"})).body
            if method == "patch":
                return (await session.ask(JOURNAL.patch, {"external_id": "1"})).body
            return (await session.ask(JOURNAL.confirm, {"call_id": "x"})).body

    return asyncio.run(one())


def error(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": "+33123456789 is bad"}})


@pytest.mark.parametrize(
    ("answer", "of_post", "of_get"),
    [
        (httpx.Response(429, headers={"retry-after": "3"}), Retry, Retry),
        (httpx.Response(503), Retry, Retry),
        (error(200, "busy"), Retry, Retry),
        (httpx.Response(500), Unknown, Retry),
        (httpx.Response(502, content=b"<html>"), Unknown, Retry),
        (httpx.Response(504), Unknown, Retry),
        (httpx.Response(200, content=b"<html>"), Unknown, Retry),
        (httpx.Response(401), Fatal, Fatal),
        (httpx.Response(403, content=b"no"), Fatal, Fatal),
        (error(422, "invalid"), Reject, Reject),
        (error(200, "what_is_that"), Reject, Reject),
        (error(422, "unknown_contact"), UnknownContact, UnknownContact),
        (error(404, "unknown_contact"), Gone, Gone),
        (error(404, "merged"), Gone, Gone),
        (error(404, "unknown_activity"), Gone, Gone),
        (error(410, "expired"), Expired, Expired),
        (httpx.Response(302, headers={"location": "http://elsewhere.test/"}), Reject, Reject),
    ],
)
def test_what_an_answer_asks_for(answer: httpx.Response, of_post: type[Exception], of_get: type[Exception]) -> None:
    """Each by its status and code; only what cannot be repeated is ever in doubt."""
    for method, wanted in (("post", of_post), ("get", of_get), ("patch", of_get)):
        with pytest.raises(wanted) as raised:
            ask(lambda _: httpx.Response(answer.status_code, headers=answer.headers, content=answer.content), method)
        assert "+33123456789" not in str(raised.value)


@pytest.mark.parametrize(
    ("failure", "of_post", "of_get"),
    [
        (httpx.ConnectError, Retry, Retry),
        (httpx.ConnectTimeout, Retry, Retry),
        (httpx.PoolTimeout, Retry, Retry),
        (httpx.ReadTimeout, Unknown, Retry),
        (httpx.WriteTimeout, Unknown, Retry),
        (httpx.ReadError, Unknown, Retry),
        (httpx.WriteError, Unknown, Retry),
        (httpx.RemoteProtocolError, Unknown, Retry),
    ],
)
def test_what_no_answer_asks_for(
    failure: type[httpx.TransportError], of_post: type[Exception], of_get: type[Exception]
) -> None:
    """A request that never left may be sent again; one that may have arrived may not."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise failure("http://crm.test/api?phone=%2B33123456789", request=request)

    for method, wanted in (("post", of_post), ("get", of_get), ("patch", of_get)):
        with pytest.raises(wanted) as raised:
            ask(fail, method)
        assert "33123456789" not in str(raised.value)


def test_a_good_answer_is_its_json_and_the_token_is_sent() -> None:
    """The body as it is; an empty one is None."""
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(201, json={"id": 7})

    assert ask(answer) == {"id": 7}
    assert seen == ["Bearer a-token"]
    assert ask(lambda _: httpx.Response(204), "patch") is None


def test_a_throttled_answer_makes_everybody_hold() -> None:
    """The next request of the session waits as well, not only the one that was refused."""
    clock = ManualClock()
    answers = [httpx.Response(429, headers={"retry-after": "4"}), httpx.Response(200, json={})]

    async def two() -> float:
        transport = httpx.MockTransport(lambda _: answers.pop(0))
        async with connect(load(MAPPING), CONFIG, clock, rate=100, transport=transport) as session:
            with pytest.raises(Retry) as raised:
                await session.ask(JOURNAL.find, {"number": "+33123456789"})
            assert raised.value.after == 4
            await session.ask(JOURNAL.find, {"number": "+33123456789"})
        return clock.monotonic()

    assert asyncio.run(two()) >= 4


def test_without_an_address_a_person_is_told() -> None:
    """An empty url is filled by `trunkline up`, or by a person."""

    async def open_it() -> None:
        async with connect(load(MAPPING), Config(), ManualClock(), rate=1):
            pass

    with pytest.raises(Fatal, match="url"):
        asyncio.run(open_it())
