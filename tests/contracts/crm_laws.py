"""Laws that hold for every CRM connector: subclass `CrmLaws` and give its `far` fixture, a CRM that keeps what it is told."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Protocol

import httpx
import pytest
from structlog.testing import capture_logs

from schemas.events import Call, CrmWrite, Recording
from sinks.crm.connector import Portal
from sinks.crm.journal import FIELDS
from sinks.crm.lanes import Lanes, Record
from sinks.crm.ledger import Ledger
from streams.clients.crm import Gone, PortalConfig
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal
from tests.sinks.crm.calls import ENDED, call, recorded
from tests.sinks.crm.fakes import FakeLog, World

TOKEN, NUMBER, NAME = "hunter2-token", "+33123456789", "Zoë Čapková"
"""The token of the portal, and a number and a name that stand in what is written."""


class FarSide(Protocol):
    """A CRM for the laws, without a network: it holds the contacts C1 and C2, and C1 alone has the number `NUMBER`."""

    transport: httpx.AsyncBaseTransport
    """Answers as the CRM does."""
    told: Mapping[str, httpx.Response]
    """Its ways to say: throttled, down, busy (inside a 200 where the CRM has that), denied (the token), invalid."""

    def open(self, transport: httpx.AsyncBaseTransport) -> AbstractAsyncContextManager[Portal]:
        """A session of the connector, with the token `TOKEN`."""
        ...

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        """(our call id, fields under our names) of every entry in the CRM."""
        ...


class Road(httpx.AsyncBaseTransport):
    """The way to the CRM. What the next requests meet: an answer, or "lost" after or "cut" before the effect, or ""."""

    def __init__(self, far: FarSide, meets: Sequence[httpx.Response | str]) -> None:
        self.far, self.meets, self.sent = far, list(meets), 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        met = self.meets.pop(0) if self.meets else ""
        if isinstance(met, httpx.Response):
            return httpx.Response(met.status_code, headers=met.headers, content=met.content)
        if met == "cut":
            raise httpx.ReadTimeout("cut", request=request)
        answer = await self.far.transport.handle_async_request(request)
        await answer.aread()
        if met == "lost":
            raise httpx.ReadTimeout("lost", request=request)
        return answer


class Bench:
    """A ledger on a portal: what the journal's process is, without Kafka."""

    def __init__(self, far: FarSide, meets: Sequence[httpx.Response | str] = ()) -> None:
        self.far, self.road, self.world, self.clock = far, Road(far, meets), World(), ManualClock(ENDED)

    def write(self, *calls: Call, width: int = 8) -> None:
        """Take the calls through the lanes, as they come."""
        asyncio.run(self._write(calls, width))

    async def _write(self, calls: Sequence[Call], width: int) -> None:
        async with self.far.open(self.road) as portal:
            ledger = Ledger(
                crm="crm",
                portal=portal,
                log=FakeLog(self.world, owned_since=self.clock.now()),
                config=PortalConfig(),
                clock=self.clock,
                rng=random.Random(1),
                lease=lambda: None,
            )

            async def work(record: Record) -> None:
                await ledger.write(calls[record.offset])

            lanes = Lanes(work, width=width)
            for offset, one in enumerate(calls):
                lanes.put(Record(partition=0, offset=offset, key=one.call_id.encode(), value=None))
            await lanes.drain(None, within=60)
            lanes.check()

    def states(self) -> dict[str, str]:
        """The last state of each call in the ledger."""
        return {write.call_id: write.state for write in self.world.records}


class CrmLaws:
    """What any connector must do under the ledger."""

    def test_a_call_written_again_and_again_has_one_entry(self, far: FarSide) -> None:
        """Duplicates, old revisions and new processes add nothing."""
        bench = Bench(far)
        bench.write(call(), call(), recorded(call()), call())
        bench.write(call(), recorded(call()))
        assert [c for c, _ in far.entries()] == ["main:1"]

    def test_an_entry_reads_back_as_it_was_written(self, far: FarSide) -> None:
        """Otherwise our own text would be taken for a person's edit, and never be brought up to date."""
        files = (Recording(file="été/ü.wav"), Recording(file="b.wav"))
        bench = Bench(far)
        bench.write(call(recordings=files, outcome="no_answer", duration_s=None), call(2, direction="outbound"))
        (first, second) = (dict(fields) for _, fields in sorted(far.entries()))
        written = {w.call_id: w.written for w in bench.world.records}
        assert first == {**dict.fromkeys(FIELDS, ""), **written["main:1"]}
        assert second == {**dict.fromkeys(FIELDS, ""), **written["main:2"]}

    def test_a_later_revision_reaches_the_same_entry(self, far: FarSide) -> None:
        """The recording that came late is in the entry that was there."""
        Bench(far).write(call(), recorded(call()))
        ((_, fields),) = far.entries()
        assert fields["recording"] == "1.wav"

    @pytest.mark.parametrize("met", ["lost", "cut"])
    def test_doubt_is_resolved_by_reading_back(self, far: FarSide, met: str) -> None:
        """One entry, whether the request had its effect or not."""
        bench = Bench(far, [met])
        bench.write(call())
        assert [c for c, _ in far.entries()] == ["main:1"]
        assert [w.state for w in bench.world.records][:2] == ["INTENT", "UNKNOWN"]
        assert bench.states() == {"main:1": "CONFIRMED"}

    @pytest.mark.parametrize("met", ["lost", "cut"])
    def test_an_update_in_doubt_is_done_once(self, far: FarSide, met: str) -> None:
        """After a first write and its read-before-write, the update's answer fails to come."""
        bench = Bench(far, ["", "", met])
        bench.write(call(), recorded(call()))
        ((_, fields),) = far.entries()
        assert fields["recording"] == "1.wav"

    @pytest.mark.parametrize("how", ["throttled", "down", "busy"])
    def test_a_crm_that_asks_for_patience_gets_it(self, far: FarSide, how: str) -> None:
        """Nothing was done, so the same request follows, later; the call is written once."""
        bench = Bench(far, [far.told[how]] * 3)
        began = bench.clock.monotonic()
        bench.write(call())
        assert bench.clock.monotonic() > began
        assert [w.state for w in bench.world.records] == ["INTENT", "CONFIRMED"]
        assert [c for c, _ in far.entries()] == ["main:1"]

    def test_what_is_refused_blocks_nobody(self, far: FarSide) -> None:
        """One call is refused, the others are written."""
        bench = Bench(far, [far.told["invalid"]])
        bench.write(*(call(n) for n in range(1, 6)), width=1)
        assert bench.states() == {"main:1": "REFUSED", **{f"main:{n}": "CONFIRMED" for n in range(2, 6)}}
        assert sorted(c for c, _ in far.entries()) == [f"main:{n}" for n in range(2, 6)]

    def test_a_refused_token_needs_a_person(self, far: FarSide) -> None:
        """The component stops, and nothing is given up."""
        bench = Bench(far, [far.told["denied"]])
        with pytest.raises(Fatal):
            bench.write(call())
        assert bench.states() == {"main:1": "INTENT"}

    def test_the_order_of_a_call_is_kept_among_many(self, far: FarSide) -> None:
        """Revisions of many calls, interleaved and at the same time, end at the last one of each."""
        numbers = range(1, 9)
        rows = [replace(call(n), rev=rev, queue=f"q{rev}") for rev in range(1, 6) for n in numbers]
        Bench(far).write(*rows)
        assert sorted((c, f["queue"]) for c, f in far.entries()) == [(f"main:{n}", "q5") for n in numbers]

    def test_an_entry_that_is_not_there_is_gone(self, far: FarSide) -> None:
        """Patch and drop say so, by the name that the ledger knows."""

        async def ask() -> None:
            async with far.open(Road(far, [])) as portal:
                made = await portal.put_call("main:1", {"subject": "x"})
                await portal.drop_call(made)
                with pytest.raises(Gone):
                    await portal.drop_call(made)
                with pytest.raises(Gone):
                    await portal.patch_call(made, {"subject": "y"})
                assert list(await portal.confirm("main:1")) == []

        asyncio.run(ask())

    def test_a_number_finds_its_holders(self, far: FarSide) -> None:
        """Success with nobody is not a failure."""

        async def ask() -> tuple[Sequence[str], Sequence[str]]:
            async with far.open(Road(far, [])) as portal:
                return await portal.find_by_phone(NUMBER), await portal.find_by_phone("+33100000001")

        known, unknown = asyncio.run(ask())
        assert (list(known), list(unknown)) == (["C1"], [])

    @pytest.mark.parametrize(
        "meets",
        [lambda t: [], lambda t: [t["throttled"], "lost"], lambda t: ["cut", t["busy"]], lambda t: [t["invalid"]]],
    )
    def test_no_secret_and_no_number_is_logged_or_told(
        self,
        far: FarSide,
        meets: Callable[[Mapping[str, httpx.Response]], list[httpx.Response | str]],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Neither in a log line of ours or of a library, nor in the ledger's reason."""
        caplog.set_level(logging.DEBUG)
        bench = Bench(far, meets(far.told))
        with capture_logs() as lines:
            bench.write(call(match="none", contact_id="", crm=""), recorded(call(2)))
        reasons: list[CrmWrite | str] = [write.reason for write in bench.world.records]
        said = f"{lines} {caplog.text} {reasons}"
        assert not [secret for secret in (TOKEN, NUMBER, NUMBER[1:], NAME) if secret in said]
