"""Bitrix24's tokens: one process renews them, and they are durable before they are used."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from streams.clients.bitrix24 import Bitrix24Client, connect
from streams.clients.token_file import TokenFile
from streams.runtime.errors import Fatal, Retry
from tests.streams.clients.bitrix24_desk import Desk

ONE: dict[str, tuple[str, dict[str, Any]]] = {"one": ("server.time", {})}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A portal in memory."""
    return Desk(tmp_path)


def test_a_token_that_has_run_out_is_renewed_once_and_kept(desk: Desk) -> None:
    """The refused request is sent again with the new one; the next session starts with what the file says."""
    desk.clock.advance(3601)
    desk.ask(lambda c: c.call("server.time", {}))
    desk.ask(lambda c: c.call("server.time", {}))
    assert desk.b24.renewals == 1
    assert (desk.kept()["access_token"], desk.kept()["refresh_token"]) == ("access-1", "refresh-2")
    assert desk.file.stat().st_mode & 0o077 == 0


def test_the_first_access_token_is_fetched(desk: Desk) -> None:
    """A refresh token is all that a person has to write down."""
    desk.keep(refresh_token="refresh-1")
    desk.ask(lambda c: c.call("server.time", {}))
    assert desk.kept()["access_token"] == "access-1"


def test_many_requests_at_once_renew_once(desk: Desk) -> None:
    """Also those of another process, which has its own session on the same file."""
    desk.clock.advance(3601)

    async def both(one: Bitrix24Client) -> None:
        async with connect(desk.config, desk.clock, rate=1.5, burst=35, transport=desk.b24.transport) as other:
            await asyncio.gather(*(c.call("server.time", {}) for c in (one, other) for _ in range(5)))

    desk.ask(both)
    assert desk.b24.renewals == 1


def test_a_new_token_is_on_the_disk_before_it_is_used(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies in storing it has asked nothing with it."""
    desk.clock.advance(3601)

    def die(self: TokenFile, tokens: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TokenFile, "store", die)
    with pytest.raises(KeyboardInterrupt):
        desk.ask(lambda c: c.call("server.time", {}))
    assert desk.b24.asked == []


@pytest.mark.parametrize("single_use", [False, True])
def test_a_lost_answer_of_the_token_server_is_asked_for_again(desk: Desk, *, single_use: bool) -> None:
    """With the token on the disk; where the server takes that only once, a person is told what to do."""
    desk.b24.single_use = single_use
    desk.clock.advance(3601)
    lost = [True]

    def road(request: httpx.Request) -> httpx.Response:
        answer = desk.b24.answer(request)
        if request.url.path.startswith("/oauth") and lost:
            lost.pop()
            raise httpx.ReadTimeout("lost")
        return answer

    async def twice(client: Bitrix24Client) -> object:
        with pytest.raises(Retry):
            await client.call("server.time", {})
        return await client.call("server.time", {})

    if single_use:
        with pytest.raises(Fatal, match="authorize the application again"):
            desk.ask(twice, httpx.MockTransport(road))
        assert desk.kept()["refresh_token"] == "refresh-1"
    else:
        desk.ask(twice, httpx.MockTransport(road))
        assert desk.kept()["access_token"] == "access-2"


def test_a_renewal_that_was_never_sent_loses_no_write(desk: Desk) -> None:
    """The write was refused for its token, so nothing was done: Retry, not Unknown."""
    desk.clock.advance(3601)

    def road(request: httpx.Request) -> httpx.Response:
        return httpx.Response(502) if request.url.path.startswith("/oauth") else desk.b24.answer(request)

    with pytest.raises(Retry):
        desk.ask(lambda c: c.batch(ONE, repeatable=False), httpx.MockTransport(road))


def test_a_token_server_that_refuses_the_application_needs_a_person(desk: Desk) -> None:
    """And says which keys."""
    desk.clock.advance(3601)
    with pytest.raises(Fatal, match="client_secret"):
        desk.ask(lambda c: c.call("server.time", {}), client_id="other")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"access_token": "a"}'])
def test_a_file_without_tokens_is_told(desk: Desk, text: str) -> None:
    """Before anything is asked."""
    desk.file.write_text(text, "utf-8")
    with pytest.raises(Fatal, match="`tokens`"):
        desk.ask(lambda c: c.call("server.time", {}))


def test_a_renewal_elsewhere_that_takes_too_long_is_waited_for_later(desk: Desk) -> None:
    """The lock is somebody else's; nothing is written over theirs."""

    async def both() -> None:
        mine, other = (TokenFile(str(desk.file), desk.clock, patience=5) for _ in range(2))
        async with other.locked():
            with pytest.raises(Retry):
                async with mine.locked():
                    pytest.fail("two at once")
        async with mine.locked():
            pass

    asyncio.run(both())
