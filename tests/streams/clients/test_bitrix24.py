"""Bitrix24's client: what each answer means, and both limits."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from streams.clients.bitrix24 import Bitrix24Client
from streams.clients.crm import Gone, Unknown
from streams.runtime.errors import Fatal, Reject, Retry
from tests.streams.clients.bitrix24_desk import Desk

ONE: dict[str, tuple[str, dict[str, Any]]] = {"one": ("server.time", {})}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A portal in memory."""
    return Desk(tmp_path)


def error(code: str, status: int) -> httpx.Response:
    return httpx.Response(status, json={"error": code, "error_description": "+33123456789 is bad"})


def inside(code: str) -> httpx.Response:
    errors = {"one": {"error": code, "error_description": "+33123456789 is bad"}}
    return httpx.Response(200, json={"result": {"result": [], "result_error": errors}})


@pytest.mark.parametrize(
    ("answer", "of_write", "of_read"),
    [
        (error("QUERY_LIMIT_EXCEEDED", 503), Retry, Retry),
        (error("OPERATION_TIME_LIMIT", 429), Retry, Retry),
        (httpx.Response(503, content=b"<html>"), Retry, Retry),
        (httpx.Response(429), Retry, Retry),
        (error("OVERLOAD_LIMIT", 503), Fatal, Fatal),
        (error("INTERNAL_SERVER_ERROR", 500), Unknown, Retry),
        (error("ERROR_UNEXPECTED_ANSWER", 500), Unknown, Retry),
        (error("PORTAL_DELETED", 500), Fatal, Fatal),
        (httpx.Response(502, content=b"<html>"), Unknown, Retry),
        (httpx.Response(200, content=b'{"result": {"resu'), Unknown, Retry),
        (httpx.Response(200, json={"result": []}), Unknown, Retry),
        (httpx.Response(200, json={"result": {"result": [], "result_error": []}}), Unknown, Retry),
        (error("NO_AUTH_FOUND", 401), Fatal, Fatal),
        (error("insufficient_scope", 403), Fatal, Fatal),
        (error("WRONG_AUTH_TYPE", 403), Fatal, Fatal),
        (error("ERROR_CORE", 400), Reject, Reject),
        (error("", 400), Reject, Reject),
        (httpx.Response(404, content=b"<html>"), Fatal, Fatal),
        (httpx.Response(302, headers={"location": "https://new.test/"}), Fatal, Fatal),
        (inside("OPERATION_TIME_LIMIT"), Retry, Retry),
        (inside("INTERNAL_SERVER_ERROR"), Unknown, Retry),
        (inside("NOT_FOUND"), Gone, Gone),
        (inside("ACCESS_DENIED"), Fatal, Fatal),
        (inside("ERROR_CORE"), Reject, Reject),
        (inside(""), Reject, Reject),
        (inside("Number +33123456789 is bad"), Reject, Reject),
    ],
)
def test_every_answer_means_one_thing(
    desk: Desk, answer: httpx.Response, of_write: type[Exception], of_read: type[Exception]
) -> None:
    """By status and code, never by text; and no reason repeats what was sent."""
    for repeatable, meant in ((False, of_write), (True, of_read)):

        async def one(client: Bitrix24Client, *, again: bool = repeatable) -> object:
            return (await client.batch(ONE, repeatable=again)).whole()

        with pytest.raises(meant) as said:
            desk.ask(one, httpx.MockTransport(lambda _: answer))
        assert type(said.value) is meant
        assert "33123" not in str(said.value)


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_request_that_was_never_sent_can_be_sent_again(desk: Desk, failure: type[httpx.HTTPError]) -> None:
    """And one that was cannot, unless it only reads."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise failure("x")

    with pytest.raises(Retry if failure is httpx.ConnectError else Unknown):
        desk.ask(lambda c: c.batch(ONE, repeatable=False), httpx.MockTransport(fail))
    with pytest.raises(Retry):
        desk.ask(lambda c: c.batch(ONE), httpx.MockTransport(fail))


def test_a_batch_tells_what_was_done_before_it_failed(desk: Desk) -> None:
    """The results so far, the part that failed, and nothing of those behind it."""
    item = {"entityTypeId": 3, "id": 9}
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "a": ("server.time", {}),
        "b": ("crm.item.get", item),
        "c": ("user.current", {}),
    }
    told = desk.ask(lambda c: c.batch(calls))
    assert (list(told.results), told.failed, told.code) == (["a"], "b", "NOT_FOUND")
    assert "user.current" not in desk.b24.asked


@pytest.mark.parametrize("key", ["url", "client_id", "tokens"])
def test_what_is_not_set_is_told(desk: Desk, key: str) -> None:
    """Before anything is asked."""
    empty: dict[str, Any] = {key: ""}
    with pytest.raises(Fatal, match=key):
        desk.ask(lambda c: c.call("server.time", {}), **empty)


def test_a_backlog_breaks_neither_limit_and_uses_the_budget(desk: Desk) -> None:
    """700 writes whose method takes 1.4 s each: no breach of either limit, and nine tenths of the operating time used."""
    desk.b24.limited, desk.b24.cost = True, {"user.current": 1.41}
    desk.b24.expires = float("inf")

    async def drain(client: Bitrix24Client) -> None:
        done = 0
        for _ in range(10_000):
            try:
                await client.call("user.current", {})
            except Retry as e:
                await desk.clock.pause(e.after or 1.0)
            else:
                done += 1
                if done == 700:
                    return
        pytest.fail("it does not end")

    began = desk.clock.monotonic()
    desk.ask(drain, operating_s=475)
    took = desk.clock.monotonic() - began
    assert not desk.b24.breaches
    assert 0.9 * 480 * (took / 600) <= 700 * 1.41


def test_a_method_out_of_time_leaves_the_others_alone(desk: Desk) -> None:
    """Bitrix24 counts each method for itself."""
    desk.b24.cost = {"user.current": 500}

    async def ask(client: Bitrix24Client) -> None:
        await client.call("user.current", {})
        with pytest.raises(Retry) as said:
            await client.call("user.current", {})
        assert said.value.after
        assert said.value.after > 60
        await client.call("server.time", {})

    desk.ask(ask)


def test_a_full_bucket_makes_everybody_wait(desk: Desk) -> None:
    """Others at the same address fill it too; each refused request would be one more drop."""
    others = [error("QUERY_LIMIT_EXCEEDED", 503)]

    def road(request: httpx.Request) -> httpx.Response:
        return others.pop() if others else desk.b24.answer(request)

    async def ask(client: Bitrix24Client) -> float:
        with pytest.raises(Retry):
            await client.call("server.time", {})
        began = desk.clock.monotonic()
        await client.call("server.time", {})
        return desk.clock.monotonic() - began

    assert desk.ask(ask, httpx.MockTransport(road)) >= 5
