"""OAuth's pair in a file: renewed by one at a time, on the disk before it is used, and a lost answer survived."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from streams.clients.amocrm import AmoClient, Config, connect
from streams.clients.amocrm_access import Pair, Tokens
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Retry
from tests.fakes.amocrm import CLIENT, LIFE_S, Amo

HOUR = 3600


class Desk:
    """An account, and a file with the pair as /oauth2/access_token first answered it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.amo = Amo(lambda: self.clock.now() / 1_000_000, "access-0")
        self.path = folder / "tokens.json"
        first = {"token_type": "Bearer", "expires_in": LIFE_S, "access_token": "access-0", "refresh_token": "first"}
        self.path.write_text(json.dumps(first), encoding="utf-8")
        self.renewals = 0
        self.meets: list[httpx.Response | str] = []
        """What the next renewals meet: an answer, "lost" after or "cut" before the effect."""

    def door(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/oauth2/access_token":
            return self.amo.answer(request)
        self.renewals += 1
        met = self.meets.pop(0) if self.meets else ""
        if isinstance(met, httpx.Response):
            return met
        if met == "cut":
            raise httpx.ReadTimeout("cut")
        answer = self.amo.answer(request)
        if met == "lost":
            raise httpx.ReadTimeout("lost")
        return answer

    def connect(self) -> Any:
        config = Config(
            url="https://crm.test",
            client_id=CLIENT["client_id"],
            client_secret=SecretStr(CLIENT["client_secret"]),
            redirect_uri=CLIENT["redirect_uri"],
            tokens=str(self.path),
        )
        return connect(config, self.clock, rate=4, transport=httpx.MockTransport(self.door))

    def session(self, *deeds: Callable[[AmoClient], Awaitable[object]]) -> None:
        """Do this, one after the other, in one session."""

        async def play() -> None:
            async with self.connect() as client:
                for deed in deeds:
                    await deed(client)

        asyncio.run(play())

    async def look(self, client: AmoClient) -> None:
        await client.get("contacts", {"limit": 1, "page": 1})

    async def wait(self, _: AmoClient) -> None:
        self.clock.advance(19 * HOUR)

    @property
    def held(self) -> Tokens:
        return Pair(str(self.path), self.clock).read()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A fresh account."""
    return Desk(tmp_path)


def test_the_first_pair_is_renewed_at_once_and_then_before_it_ends(desk: Desk) -> None:
    """Nobody knows how old the first one is; after that, every eighteen hours of a day's life."""
    desk.session(desk.look, desk.look)
    assert (desk.renewals, desk.held.access_token) == (1, "access-1")
    desk.session(desk.look, desk.wait, desk.look, desk.look)
    assert (desk.renewals, desk.held.refresh_token) == (2, "refresh-2")
    assert desk.path.stat().st_mode & 0o777 == 0o600


def test_two_processes_renew_once(desk: Desk) -> None:
    """The second one finds what the first one wrote."""

    async def both() -> None:
        async with desk.connect() as one, desk.connect() as other:
            await asyncio.gather(*(desk.look(client) for client in (one, other, one, other)))

    asyncio.run(both())
    assert desk.renewals == 1


def test_a_renewal_waits_for_another_process(desk: Desk) -> None:
    """While somebody else holds the file nothing is asked."""

    async def one() -> None:
        async with desk.connect() as client:
            async with Pair(str(desk.path), desk.clock).alone():
                waiting = asyncio.create_task(desk.look(client))
                for _ in range(50):
                    await asyncio.sleep(0)
                assert (desk.renewals, waiting.done()) == (0, False)
            await waiting

    asyncio.run(one())
    assert desk.renewals == 1


def test_a_pair_is_on_the_disk_before_it_is_used(desk: Desk) -> None:
    """A process that dies at its first request with the new token leaves it in the file."""
    answer = desk.amo.answer

    def dies(request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") == "Bearer access-1":
            assert desk.held.access_token == "access-1"
            raise KeyboardInterrupt
        return answer(request)

    desk.amo.answer = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        desk.session(desk.look)
    desk.amo.answer = answer  # type: ignore[method-assign]
    desk.session(desk.look)
    assert desk.renewals == 1


def test_a_lost_answer_stops_nothing_while_the_old_token_lives(desk: Desk) -> None:
    """The refresh token is spent: that is told aloud, at most once a minute, and the day's token goes on to its end."""
    desk.session(desk.look)
    desk.meets = ["lost"]
    with capture_logs() as lines:
        desk.session(desk.look, desk.wait, desk.look, desk.look)
        desk.session(desk.look)
    told = [line for line in lines if line["event"] == "amocrm.token_not_renewed"]
    assert [line["log_level"] for line in told] == ["error", "error"]
    assert "no answer" in told[0]["reason"]
    assert "lost may have spent" in told[1]["reason"]
    assert told[1]["left_s"] > 4 * HOUR
    desk.clock.advance(6 * HOUR)
    with pytest.raises(Fatal, match="authorise the integration anew"):
        desk.session(desk.look)


def test_a_renewal_that_never_arrived_is_done_again(desk: Desk) -> None:
    """Then the same refresh token is still good."""
    desk.meets = ["cut"]
    with pytest.raises(Retry):  # the first token is of unknown age: there is nothing to go on with
        desk.session(desk.look)
    assert desk.held.asked
    desk.session(desk.look)
    assert (desk.held.access_token, desk.held.asked) == ("access-1", False)


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, text="<html>"), httpx.Response(429)])
def test_a_portal_in_trouble_is_asked_again_later(desk: Desk, answer: httpx.Response) -> None:
    """And not at once: a minute goes by with the old token."""
    desk.session(desk.look)
    desk.meets = [answer]
    desk.session(desk.look, desk.wait, desk.look, desk.look)
    assert (desk.renewals, desk.held.access_token) == (2, "access-1")
    desk.clock.advance(61)
    desk.session(desk.look)
    assert desk.held.access_token == "access-2"


def test_a_token_that_the_portal_refuses_is_renewed_once(desk: Desk) -> None:
    """Revoked early; and one that is refused as soon as it was given needs a person."""
    desk.session(desk.look)
    desk.amo.access.discard("access-1")
    desk.amo.access.add("x")
    desk.session(desk.look)
    assert desk.renewals == 2
    desk.amo.access.clear()
    desk.amo.refresh.clear()
    with pytest.raises(Fatal):
        desk.session(desk.look)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"access_token": "a"}'])
def test_a_file_that_is_no_pair_is_told(desk: Desk, text: str) -> None:
    """With what to do, and nothing of what is in it."""
    desk.path.write_text(text, encoding="utf-8")
    with pytest.raises(Fatal, match="tokens"):
        desk.session(desk.look)


def test_a_disk_that_takes_nothing_costs_no_token(desk: Desk) -> None:
    """It is tried before the refresh token is sent off."""
    desk.path.with_name("tokens.json.new").mkdir()
    with pytest.raises(Fatal, match="cannot be written"):
        desk.session(desk.look)
    assert desk.renewals == 0


def test_no_token_is_logged(desk: Desk) -> None:
    """Neither in the pair's own lines nor in an error."""
    desk.session(desk.look)
    desk.meets = ["lost"]
    with capture_logs() as lines:
        desk.session(desk.look, desk.wait, desk.look)
    assert lines
    assert not [s for s in ("access-", "refresh-", CLIENT["client_secret"]) if s in str(lines)]
