"""Few requests for many records, as Salesforce's collections show it: each record has its own outcome."""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial

import httpx
import pytest
from pydantic import SecretStr

from streams.clients.batches import Batches
from streams.clients.crm import Unknown
from streams.clients.salesforce import Config, Refused, connect
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Retry
from tests.fakes.salesforce import CLIENT_ID, KEY, Salesforce, not_upserted, refused

CONFIG = Config(url="http://org.test", client_id=CLIENT_ID, client_secret=SecretStr("secret"))
LONG = "x" * 256
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def org() -> Salesforce:
    """An empty org."""
    return Salesforce("secret", lambda: 0)


def outcomes(org: Salesforce, subjects: Sequence[str], handler: Handler | None = None) -> list[str | BaseException]:
    """What becomes of tasks with these subjects that are written at the same time."""
    clock = ManualClock()

    async def door(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # the others come meanwhile
        return (handler if handler and "composite" in request.url.path else org.answer)(request)

    async def write() -> list[str | BaseException]:
        async with connect(CONFIG, clock, rate=1000, transport=httpx.MockTransport(door)) as client:
            upserts = Batches(partial(client.upsert, "Task", KEY), most=200, again=Refused)
            tasks = ({KEY: f"main:{n}", "Subject": subject} for n, subject in enumerate(subjects))
            return await asyncio.gather(*map(upserts.ask, tasks), return_exceptions=True)

    return asyncio.run(write())


def test_what_gathers_goes_together(org: Salesforce) -> None:
    """Five hundred at once are four requests, of 200 records at most; each has the id of its own record."""
    told = outcomes(org, [str(n) for n in range(500)])
    assert [org.tables["Task"][str(made)]["Subject"] for made in told] == [str(n) for n in range(500)]
    assert len(org.asked) == 4


def test_a_refused_record_fails_alone(org: Salesforce) -> None:
    """And is tried by itself before it is believed."""
    told = outcomes(org, ["a", "b", LONG, "c"])
    assert [isinstance(one, Refused) for one in told] == [False, False, True, False]
    assert sorted(t["Subject"] for t in org.tables["Task"].values()) == ["a", "b", "c"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_batch_that_is_too_much_for_the_orgs_triggers_goes_record_by_record(org: Salesforce, *, whole: bool) -> None:
    """Whether the whole request is refused or each record of it."""

    def strict(request: httpx.Request) -> httpx.Response:
        records = request.content.count(b"attributes")
        if records == 1:
            return org.answer(request)
        each = not_upserted("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY").json() * records
        return refused(400, "APEX_ERROR") if whole else httpx.Response(200, json=each)

    assert len(set(map(str, outcomes(org, "abcd", strict)))) == 4
    assert len(org.tables["Task"]) == 4


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (refused(403, "REQUEST_LIMIT_EXCEEDED"), Retry),
        (refused(500, "UNKNOWN_EXCEPTION"), Unknown),
        (refused(400, "INVALID_FIELD"), Fatal),
        (httpx.Response(200, json=[]), Unknown),
        (httpx.Response(200, json={}), Unknown),
    ],
)
def test_what_befalls_a_request_befalls_all_its_records(
    org: Salesforce, answer: httpx.Response, wanted: type[Exception]
) -> None:
    """Nobody is left waiting, and nothing is sent again from here."""
    assert {type(one) for one in outcomes(org, "abcd", lambda _: answer)} == {wanted}


def test_a_locked_record_waits_and_no_other(org: Salesforce) -> None:
    """Its lock is told inside the 200."""

    def locked(request: httpx.Request) -> httpx.Response:
        answer = org.answer(request)
        results = answer.json()
        if len(results) > 1:
            results[1] = {
                "success": False,
                "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "", "fields": []}],
            }
        return httpx.Response(200, json=results)

    told = outcomes(org, "abcd", locked)
    assert [type(one) for one in told] == [str, str, Retry, str]


@pytest.mark.parametrize(("repeatable", "lost"), [(False, Unknown), (True, Retry)])
def test_who_gives_up_leaves_nobody_waiting(org: Salesforce, *, repeatable: bool, lost: type[Exception]) -> None:
    """Neither who gathers, and is not sent then, nor who carries a batch: the others are told that nobody knows."""
    sent: list[list[int]] = []

    async def write() -> list[type]:
        on_its_way, answered = asyncio.Semaphore(0), asyncio.Semaphore(0)

        async def door(request: httpx.Request) -> httpx.Response:
            if "composite" in request.url.path:
                sent.append([int(record[KEY][-1]) for record in json.loads(request.content)["records"]])
                on_its_way.release()
                await answered.acquire()
            return org.answer(request)

        async with connect(CONFIG, ManualClock(), rate=1000, transport=httpx.MockTransport(door)) as client:
            upserts = Batches(partial(client.upsert, "Task", KEY), most=200, again=Refused, repeatable=repeatable)
            tasks = [asyncio.ensure_future(upserts.ask({KEY: f"main:{n}"})) for n in range(4)]
            await asyncio.wait_for(on_its_way.acquire(), 5)
            tasks[2].cancel()
            await asyncio.sleep(0)
            answered.release()
            await asyncio.wait_for(on_its_way.acquire(), 5)
            tasks[1].cancel()
            done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
            return [type(one) for one in done]

    gone = asyncio.CancelledError
    assert asyncio.run(write()) == [str, gone, gone, lost]
    assert sent == [[0], [1, 3]]
