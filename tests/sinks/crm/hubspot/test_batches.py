"""Calls that go to HubSpot in batches: what gathers, what is refused, and what is given up."""

import asyncio

import httpx
import pytest

from sinks.crm.hubspot import HubSpotPortal
from streams.clients.crm import Unknown, UnknownContact
from streams.runtime.errors import Fatal, Reject, Retry
from tests.fakes.hubspot_answers import error, part_failed
from tests.sinks.crm.hubspot.account import CREATE, FIELDS, Far


def test_calls_that_come_together_go_together(far: Far) -> None:
    """What gathers behind a request goes with the next one, a hundred at once: the limit is on requests."""

    async def all_at_once(portal: HubSpotPortal) -> None:
        await asyncio.gather(*(portal.put_call(f"main:{n}", FIELDS | {"contact_id": "C1"}) for n in range(250)))

    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return far.hubspot.answer(request)

    far.transport = httpx.MockTransport(slow)
    far.with_portal(all_at_once)
    assert len(far.hubspot.tables["calls"]) == 250
    assert far.hubspot.asked == [CREATE] * 4  # one alone, for it need not wait


def test_one_bad_record_of_a_batch_is_refused_alone(far: Far) -> None:
    """Whether HubSpot refuses it within the batch, or the batch for it."""

    async def together(portal: HubSpotPortal) -> list[str | BaseException]:
        rows = [portal.put_call(f"main:{n}", FIELDS | {"contact_id": "C9" if n == 3 else "C1"}) for n in range(8)]
        return await asyncio.gather(*rows, return_exceptions=True)

    told = far.with_portal(together)
    assert [type(t) for t in told].count(str) == 7
    assert isinstance(told[3], UnknownContact)
    assert len(far.hubspot.tables["calls"]) == 7

    def whole(request: httpx.Request) -> httpx.Response:
        bad = b"C9" in request.content and request.content.count(b"objectWriteTraceId") > 1
        return error(400, "VALIDATION_ERROR") if bad else far.hubspot.answer(request)

    far.hubspot.tables["calls"].clear()
    far.transport = httpx.MockTransport(whole)
    told = far.with_portal(together)
    assert [type(t) for t in told].count(str) == 7
    assert isinstance(told[3], UnknownContact)
    assert len(far.hubspot.tables["calls"]) == 7


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (part_failed("main:1", "RATE_LIMITS"), Retry),
        (part_failed("main:1", "INTERNAL_ERROR"), Unknown),
        (part_failed("main:1", "VALIDATION_ERROR"), Reject),
        (part_failed("main:2", "VALIDATION_ERROR"), Unknown),
        (httpx.Response(201, json={"status": "COMPLETE", "results": []}), Unknown),
        (httpx.Response(200, json=[]), Unknown),
        (error(404, "OBJECT_NOT_FOUND"), Reject),
        (error(403, "MISSING_SCOPES"), Fatal),
    ],
)
def test_what_a_batch_says_of_a_record(far: Far, answer: httpx.Response, wanted: type[Exception]) -> None:
    """What it says nothing of may be there or not."""
    with pytest.raises(wanted) as raised:
        far.with_portal(lambda p: p.put_call("main:1", FIELDS | {"contact_id": "C1"}), [answer])
    assert "33123456789" not in str(raised.value)


@pytest.mark.parametrize("given_up", [0, 1, 2])
def test_what_is_given_up_keeps_nobody_waiting_and_is_not_sent_later(far: Far, given_up: int) -> None:
    """The task that sends, and one that waits behind it: the others are written, and it is not."""
    began, go_on = asyncio.Event(), asyncio.Event()

    async def stuck(request: httpx.Request) -> httpx.Response:
        if not began.is_set():
            began.set()
            await go_on.wait()
        return far.hubspot.answer(request)

    async def play(portal: HubSpotPortal) -> list[str | BaseException]:
        tasks = [asyncio.create_task(portal.put_call("main:0", FIELDS))]
        await began.wait()
        tasks += [asyncio.create_task(portal.put_call(f"main:{n}", FIELDS)) for n in (1, 2)]
        await asyncio.sleep(0)
        tasks[given_up].cancel()
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)

    far.transport = httpx.MockTransport(stuck)
    told = far.with_portal(play)
    assert isinstance(told.pop(given_up), asyncio.CancelledError)
    made = [r["properties"]["pbx_call_id"] for r in far.hubspot.tables["calls"].values()]
    assert made == told == [f"main:{n}" for n in range(3) if n != given_up]


def test_a_batch_that_is_given_up_is_in_doubt_for_the_others(far: Far) -> None:
    """Whether it was done nobody knows, so each is read back."""
    stuck = asyncio.Event()

    async def third(request: httpx.Request) -> httpx.Response:
        if b"main:1" in request.content:
            await stuck.wait()
        await asyncio.sleep(0)
        return far.hubspot.answer(request)

    async def play(portal: HubSpotPortal) -> list[str | BaseException]:
        tasks = [asyncio.create_task(portal.put_call(f"main:{n}", FIELDS)) for n in range(3)]
        await tasks[0]
        for _ in range(20):
            await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)

    far.transport = httpx.MockTransport(third)
    first, sender, other = far.with_portal(play)
    assert first == "main:0"
    assert isinstance(sender, asyncio.CancelledError)
    assert isinstance(other, Unknown)
