"""Odoo's HTTP client: what each answer means, by status and by the class of the error."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from streams.clients.crm import Gone, Unknown
from streams.clients.odoo import Config, connect
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject, Retry
from tests.fakes.odoo import DATABASE, LOGIN, Odoo, rpc, rpc_error

CONFIG = Config(url="http://odoo.test", database=DATABASE, login=LOGIN, password=SecretStr("a-key"))
Handler = Callable[[httpx.Request], httpx.Response]


def ask(handler: Handler, *, repeatable: bool = True, config: Config = CONFIG) -> object:
    """One call of a session that is logged in, answered by `handler`."""

    def door(request: httpx.Request) -> httpx.Response:
        return rpc(7) if b'"common"' in request.content else handler(request)

    async def one() -> object:
        transport = httpx.MockTransport(door)
        async with connect(config, ManualClock(), rate=100, transport=transport) as client:
            return await client.call("res.partner", "write", [3], repeatable=repeatable, vals={})

    return asyncio.run(one())


def json2(status: int, name: str) -> httpx.Response:
    return httpx.Response(status, json={"name": name, "message": "+33123456789 is bad", "arguments": []})


@pytest.mark.parametrize(
    ("answer", "of_load", "of_read"),
    [
        (httpx.Response(429, headers={"retry-after": "3"}), Retry, Retry),
        (httpx.Response(503, content=b"<html>"), Retry, Retry),
        (httpx.Response(500, content=b"<html>"), Unknown, Retry),
        (httpx.Response(502), Unknown, Retry),
        (httpx.Response(200, content=b"<html>"), Unknown, Retry),
        (httpx.Response(401), Fatal, Fatal),
        (httpx.Response(404, content=b"<html>"), Fatal, Fatal),
        (httpx.Response(303, headers={"location": "/web/login"}), Fatal, Fatal),
        (rpc_error("odoo.exceptions.AccessDenied"), Fatal, Fatal),
        (rpc_error("odoo.exceptions.AccessError"), Fatal, Fatal),
        (rpc_error("odoo.exceptions.MissingError"), Gone, Gone),
        (rpc_error("odoo.exceptions.ValidationError"), Reject, Reject),
        (rpc_error("psycopg2.errors.SerializationFailure"), Retry, Retry),
        (rpc_error("psycopg2.extensions.TransactionRollbackError"), Retry, Retry),
        (rpc_error("psycopg2.OperationalError"), Unknown, Retry),
        (rpc_error("psycopg2.InterfaceError"), Unknown, Retry),
        (httpx.Response(200, json={"jsonrpc": "2.0", "error": None}), Reject, Reject),
        (json2(401, "werkzeug.exceptions.Unauthorized"), Fatal, Fatal),
        (json2(403, "odoo.exceptions.AccessError"), Fatal, Fatal),
        (json2(404, "odoo.exceptions.MissingError"), Gone, Gone),
        (json2(422, "odoo.exceptions.UserError"), Reject, Reject),
        (json2(500, "psycopg2.OperationalError"), Unknown, Retry),
    ],
)
def test_what_an_answer_asks_for(answer: httpx.Response, of_load: type[Exception], of_read: type[Exception]) -> None:
    """Only what cannot be repeated is ever in doubt, and no text of Odoo's is passed on."""
    for repeatable, wanted in ((False, of_load), (True, of_read)):
        with pytest.raises(wanted) as raised:
            ask(lambda _: answer, repeatable=repeatable)
        assert "33123456789" not in str(raised.value)


@pytest.mark.parametrize(
    ("failure", "of_load"),
    [
        (httpx.ConnectError, Retry),
        (httpx.ConnectTimeout, Retry),
        (httpx.PoolTimeout, Retry),
        (httpx.ReadTimeout, Unknown),
        (httpx.WriteError, Unknown),
        (httpx.RemoteProtocolError, Unknown),
    ],
)
def test_what_no_answer_asks_for(failure: type[httpx.TransportError], of_load: type[Exception]) -> None:
    """A request that never left may be sent again; one that may have arrived may not."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise failure("+33123456789", request=request)

    for repeatable, wanted in ((False, of_load), (True, Retry)):
        with pytest.raises(wanted) as raised:
            ask(fail, repeatable=repeatable)
        assert "33123456789" not in str(raised.value)


def test_a_call_names_its_arguments_on_either_way_in() -> None:
    """JSON-RPC has a user's number and password in the body, `/json/2` a key and the database in its headers."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return rpc(True) if request.url.path == "/jsonrpc" else httpx.Response(200, json=True)

    assert ask(answer) is True
    assert ask(answer, config=replace(CONFIG, api="json2")) is True
    old, new = seen
    assert json.loads(old.content)["params"]["args"] == ["crm", 7, "a-key", "res.partner", "write", [[3]], {"vals": {}}]
    assert (new.url.path, json.loads(new.content)) == ("/json/2/res.partner/write", {"ids": [3], "vals": {}})
    assert (new.headers["authorization"], new.headers["x-odoo-database"]) == ("bearer a-key", "crm")


def test_a_result_of_nothing_is_none() -> None:
    """Odoo leaves it out."""
    assert ask(lambda _: httpx.Response(200, json={"jsonrpc": "2.0", "id": 1})) is None


@pytest.mark.parametrize("password", ["a-key", "wrong"])
def test_a_session_logs_in_once(password: str) -> None:
    """However many ask at the same time; a wrong password needs a person."""
    odoo, door = Odoo("a-key", lambda: 0), []

    def answer(request: httpx.Request) -> httpx.Response:
        door.append(b'"common"' in request.content)
        return odoo.answer(request)

    async def many() -> list[object]:
        config = replace(CONFIG, password=SecretStr(password))
        async with connect(config, ManualClock(), rate=100, transport=httpx.MockTransport(answer)) as client:
            return list(await asyncio.gather(*(client.rows("res.partner", [], ["name"]) for _ in range(9))))

    if password == "wrong":
        with pytest.raises(Fatal, match="password"):
            asyncio.run(many())
    else:
        assert asyncio.run(many()) == [[]] * 9
        assert door.count(True) == 1


def test_a_throttled_answer_makes_everybody_hold() -> None:
    """The next request of the session waits as well, not only the one that was refused."""
    clock = ManualClock()
    answers = [httpx.Response(429, headers={"retry-after": "4"}), httpx.Response(200, json=[])]

    async def two() -> float:
        transport = httpx.MockTransport(lambda _: answers.pop(0))
        async with connect(replace(CONFIG, api="json2"), clock, rate=100, transport=transport) as client:
            with pytest.raises(Retry):
                await client.rows("res.partner", [], [])
            await client.rows("res.partner", [], [])
        return clock.monotonic()

    assert asyncio.run(two()) >= 4


@pytest.mark.parametrize("missing", ["url", "database"])
def test_without_an_address_a_person_is_told(missing: str) -> None:
    """Nothing is sent."""
    keys: dict[str, str] = {missing: ""}

    async def open_it() -> None:
        async with connect(replace(CONFIG, **keys), ManualClock(), rate=1):  # type: ignore[arg-type]
            pass

    with pytest.raises(Fatal, match=missing):
        asyncio.run(open_it())
