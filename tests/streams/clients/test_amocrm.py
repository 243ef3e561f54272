"""amoCRM's HTTP client: what each answer means, and that the portal's limit is never met."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from streams.clients.amocrm import Config, classify, connect
from streams.clients.crm import Gone, Unknown
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject, Retry
from tests.fakes.amocrm import PER_SECOND, Amo, problem

CONFIG = Config(url="https://crm.test", token=SecretStr("a-token"))
HTML = {"content-type": "text/html"}


def ask(*answers: httpx.Response | Exception, method: str = "get", clock: ManualClock | None = None) -> Any:
    """What a request comes to."""
    left = list(answers)

    def door(_: httpx.Request) -> httpx.Response:
        met = left.pop(0)
        if isinstance(met, Exception):
            raise met
        return met

    async def one() -> Any:
        transport = httpx.MockTransport(door)
        async with connect(CONFIG, clock or ManualClock(), rate=4, transport=transport) as client:
            return await (client.get("contacts") if method == "get" else client.post("contacts/notes", []))

    return asyncio.run(one())


def test_an_empty_list_has_no_body() -> None:
    """204 is success with nothing."""
    assert ask(httpx.Response(204)) is None
    assert ask(httpx.Response(200, json={"a": 1})) == {"a": 1}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404), Gone),
        (problem(404), Gone),
        (problem(400, "NotSupportedChoice"), Reject),
        (problem(422), Reject),
        (httpx.Response(429), Retry),
        (httpx.Response(503), Retry),
        (httpx.Response(403, headers=HTML), Retry),
        (problem(403), Fatal),
        (problem(402), Fatal),
        (problem(401), Fatal),
        (httpx.Response(302, headers={"location": "https://other.test"}), Fatal),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_answers_that_say_what_was_done(answer: httpx.Response, error: type[Exception], method: str) -> None:
    """The same for what may be repeated and what may not: nothing was done."""
    with pytest.raises(error):
        ask(answer, method=method)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(502, text="<html>"),
        httpx.Response(504),
        httpx.Response(200, text="<html>"),
        httpx.ReadTimeout("x"),
        httpx.RemoteProtocolError("x"),
    ],
)
def test_answers_that_leave_it_open(answer: httpx.Response | Exception) -> None:
    """What can be repeated is; what cannot is read back."""
    with pytest.raises(Retry):
        ask(answer)
    with pytest.raises(Unknown):
        ask(answer, method="post")


@pytest.mark.parametrize("answer", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
def test_what_was_not_sent_is_sent_again(answer: Exception) -> None:
    """Nothing was done, also for a post."""
    with pytest.raises(Retry):
        ask(answer, method="post")


def test_a_refusal_tells_its_codes_and_no_text() -> None:
    """The portal's texts may quote a number."""
    with pytest.raises(Reject, match=r"^amoCRM refused it with 400: InvalidType, NotSupportedChoice$"):
        classify(problem(400, "NotSupportedChoice", "InvalidType"), repeatable=True)


def test_the_pause_is_the_portals_or_ours() -> None:
    """A 429 that names no pause gets one all the same: the next thing is a blocked address."""
    for answer, pause in ((httpx.Response(429, headers={"retry-after": "9"}), 9.0), (httpx.Response(429), 5.0)):
        with pytest.raises(Retry) as caught:
            classify(answer, repeatable=True)
        assert caught.value.after == pause


def test_a_blocked_address_sends_nothing_for_a_while_and_says_so_aloud() -> None:
    """One error, and every request of the session waits the cool-down out."""
    clock, sent = ManualClock(), []

    def door(_: httpx.Request) -> httpx.Response:
        sent.append(clock.monotonic())
        return httpx.Response(403, headers=HTML) if len(sent) == 1 else httpx.Response(204)

    async def two() -> None:
        async with connect(CONFIG, clock, rate=4, transport=httpx.MockTransport(door)) as client:
            with pytest.raises(Retry) as caught:
                await client.get("contacts")
            assert caught.value.after == CONFIG.blocked_s
            await asyncio.gather(client.get("contacts"), client.get("companies"))

    with capture_logs() as lines:
        asyncio.run(two())
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["amocrm.address_blocked"]
    assert min(sent[1:]) - sent[0] >= CONFIG.blocked_s


class Together(ManualClock):
    """A clock for several who wait at the same time: it moves to the earliest of their ends, when all of them wait."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[float] = []

    async def pause(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        self._ends.append(end)
        for _ in range(100_000):
            for _ in range(20):
                await asyncio.sleep(0)
            if self.monotonic() >= end - 1e-6:
                break
            if end == min(self._ends):
                self.advance(end - self.monotonic())
        self._ends.remove(end)


def test_journal_and_feed_together_never_meet_the_limit() -> None:
    """Each at its own rate, on the same clock, for a hundred requests: the portal never says 429."""
    clock = Together()
    amo = Amo(lambda: clock.now() / 1_000_000, "a-token")

    async def both() -> None:
        async with (
            connect(CONFIG, clock, rate=CONFIG.rate_per_s, transport=amo.transport) as journal,
            connect(CONFIG, clock, rate=CONFIG.feed_rate_per_s, transport=amo.transport) as feed,
        ):
            await asyncio.gather(
                *(c.get("contacts", {"limit": 1, "page": 1}) for c in (journal, feed) for _ in range(50))
            )

    asyncio.run(both())
    assert (len(amo.asked), amo.limited) == (100, 0)
    assert 24 < clock.monotonic() < 26  # the fifty of the feed, two a second


def test_who_ignores_429_is_blocked_by_the_portal_in_memory() -> None:
    """What the connector must never do: ask on and on within the same second."""
    amo = Amo(lambda: 0.0, "a-token")
    request = httpx.Request("GET", "https://crm.test/api/v4/contacts?limit=1&page=1")
    request.headers["authorization"] = "Bearer a-token"
    statuses = [amo.answer(request).status_code for _ in range(PER_SECOND + 6)]
    assert statuses == [204] * PER_SECOND + [429] * 4 + [403] * 2


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"url": ""}, "url"),
        ({"rate_per_s": 5.5}, "above 7"),
        ({"burst": 2}, "above 7"),
        ({"token": SecretStr("")}, "token"),
        ({"token": SecretStr(""), "client_id": "a", "client_secret": SecretStr("b")}, "tokens"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_sent(keys: dict[str, Any], told: str) -> None:
    """With the keys to set."""

    async def one() -> None:
        async with connect(replace(CONFIG, **keys), ManualClock(), rate=1):
            pytest.fail("it opened")

    with pytest.raises(Fatal, match=told):
        asyncio.run(one())
