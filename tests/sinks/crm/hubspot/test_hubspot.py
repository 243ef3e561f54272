"""HubSpot's connector under the laws of every CRM, and what is HubSpot's own, against one in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from sinks.crm.connector import Connector, Entry, Portal
from sinks.crm.hubspot import HubSpotPortal, _ours, connector, prepare
from streams.clients.crm import Gone, Unknown, UnknownContact
from streams.clients.hubspot import Config, HubSpotClient, connect
from streams.runtime import plugins
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject, Retry
from tests.contracts.crm_laws import NUMBER, TOKEN, Bench, CrmLaws, Road
from tests.fakes.hubspot import HubSpot
from tests.fakes.hubspot_answers import error, part_failed
from tests.sinks.crm.calls import call, recorded

T = TypeVar("T")
CONFIG = Config(url="http://hubspot.test", token=SecretStr(TOKEN), country="FR")
FIELDS = {"subject": "Inbound call", "started_at": "2023-11-14T22:13:20Z", "notes": "Ada: rang & said <b>\nbye"}
CREATE = "POST /crm/v3/objects/calls/batch/create"


class Far:
    """HubSpot as the laws want a CRM."""

    told: Mapping[str, httpx.Response] = {
        "throttled": httpx.Response(429, headers={"retry-after": "2"}, json={"category": "RATE_LIMITS"}),
        "down": httpx.Response(503),
        "busy": part_failed("main:1", "RATE_LIMITS"),
        "denied": error(401, "INVALID_AUTHENTICATION"),
        "invalid": error(400, "VALIDATION_ERROR"),
    }

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.hubspot = HubSpot(TOKEN, self.clock)
        self.transport = self.hubspot.transport
        self.hubspot.contact("Zoë", contact_id="C1", phone="01 23 45 67 89", mobilephone="06 12 34 56 78")
        self.hubspot.contact("Bea", contact_id="C2", phone="+32 23 45 67 89")  # ends like C1's number
        self.ask(prepare)
        self.hubspot.asked.clear()

    @asynccontextmanager
    async def open(self, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Portal]:
        async with connect(CONFIG, self.clock, rate=CONFIG.rate_per_s, transport=transport) as client:
            yield HubSpotPortal(client, CONFIG)

    def entries(self) -> list[tuple[str, Mapping[str, str]]]:
        linked = self.hubspot.links
        return [
            (
                record["properties"]["pbx_call_id"],
                _ours(
                    record
                    | {"associations": {"contacts": {"results": [{"id": c} for r, c in linked if r == record["id"]]}}}
                ),
            )
            for record in self.hubspot.tables["calls"].values()
            if not record["archived"]
        ]

    def ask(self, verb: Callable[[HubSpotClient], Awaitable[T]], meets: Sequence[httpx.Response | str] = ()) -> T:
        """What is done with a new session; `meets` is what its first requests meet."""

        async def one() -> T:
            async with connect(CONFIG, self.clock, rate=CONFIG.rate_per_s, transport=Road(self, meets)) as client:
                return await verb(client)

        return asyncio.run(one())

    def with_portal(
        self, verb: Callable[[HubSpotPortal], Awaitable[T]], meets: Sequence[httpx.Response | str] = ()
    ) -> T:
        """What a verb of a new session returns."""
        return self.ask(lambda client: verb(HubSpotPortal(client, CONFIG)), meets)


@pytest.fixture
def far() -> Far:
    """HubSpot in memory."""
    return Far()


class TestHubSpot(CrmLaws):
    """Every law."""


def record(far: Far) -> dict[str, Any]:
    (found,) = far.hubspot.tables["calls"].values()
    return found


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("sinks.crm", "hubspot", Connector) is connector


def test_hubspot_refuses_a_second_entry_itself(far: Far) -> None:
    """Even without the ledger nothing is doubled: it is told to look at what is there."""
    far.with_portal(lambda p: p.put_call("main:1", FIELDS))
    with pytest.raises(Unknown):
        far.with_portal(lambda p: p.put_call("main:1", FIELDS))
    assert len(far.hubspot.tables["calls"]) == 1


def test_a_first_write_that_comes_late_is_found_by_the_second(far: Far) -> None:
    """Under the ledger: cut, settled, sent again, and meanwhile it is there; one entry, brought up to date."""
    bench = Bench(far, ["cut"])
    transport = bench.road.far.transport

    async def late(request: httpx.Request) -> httpx.Response:
        if far.hubspot.asked.count(CREATE) == 0 and request.url.path.endswith("/batch/create"):
            await transport.handle_async_request(request)  # the one that had been cut arrives first
        return await transport.handle_async_request(request)

    far.transport = httpx.MockTransport(late)
    bench.write(call(), recorded(call()))
    ((_, fields),) = far.entries()
    assert (fields["recording"], fields["contact_id"], len(far.hubspot.tables["calls"])) == ("1.wav", "C1", 1)


def test_hubspot_shows_who_called_whom_and_how_it_ended(far: Far) -> None:
    """Its own timeline and reports go by its own properties."""
    fields = FIELDS | {"direction": "outbound", "result": "busy", "customer_number": NUMBER, "did": "+33199000000"}
    far.with_portal(lambda p: p.put_call("main:1", fields | {"duration": "65", "recording": "https://pbx.test/1.wav"}))
    told = record(far)["properties"]
    assert (told["hs_call_from_number"], told["hs_call_to_number"]) == ("+33199000000", NUMBER)
    assert (told["hs_call_direction"], told["hs_call_status"], told["hs_call_duration"]) == (
        "OUTBOUND",
        "BUSY",
        "65000",
    )
    assert told["hs_call_recording_url"] == "https://pbx.test/1.wav"


def test_a_hidden_number_and_a_file_are_no_number_and_no_address(far: Far) -> None:
    """HubSpot would call the one and fetch the other."""
    fields = {"direction": "internal", "customer_number": "hidden", "did": "201", "recording": "a.wav"}
    far.with_portal(lambda p: p.put_call("main:1", FIELDS | fields))
    told = record(far)["properties"]
    assert not [name for name in told if name in {"hs_call_from_number", "hs_call_to_number", "hs_call_direction"}]
    assert (told["hs_call_recording_url"], told["pbx_recording"]) == (None, "a.wav")


def test_outside_text_stays_text(far: Far) -> None:
    """What an agent noted is no markup in the body, and reads back as it was."""
    far.with_portal(lambda p: p.put_call("main:1", FIELDS))
    assert record(far)["properties"]["hs_call_body"] == "Ada: rang &amp; said &lt;b&gt;<br>bye"
    record(far)["properties"]["hs_call_body"] = "<div><p>Ada: rang &amp; said &lt;b&gt;<br/>bye</p></div>"
    ((_, fields),) = far.entries()
    assert fields["notes"] == FIELDS["notes"]


def test_what_a_person_edited_is_not_overwritten(far: Far) -> None:
    """Under the ledger: title and notes stay, the recording arrives."""
    bench = Bench(far)
    bench.write(call())
    record(far)["properties"] |= {"hs_call_title": "Sale", "hs_call_body": "<p>Call back!</p>"}
    bench.write(replace(recorded(call()), outcome="failed"))
    ((_, fields),) = far.entries()
    assert (fields["subject"], fields["notes"], fields["recording"]) == ("Sale", "Call back!", "1.wav")


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


def test_who_waits_for_a_batch_that_is_given_up_is_told(far: Far) -> None:
    """The task that sends is cancelled: the others do not wait for ever, and what was not sent is sent."""
    began = asyncio.Event()

    async def stuck(request: httpx.Request) -> httpx.Response:
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        return far.hubspot.answer(request)

    async def play(portal: HubSpotPortal) -> list[str | BaseException]:
        first = asyncio.create_task(portal.put_call("main:0", FIELDS))
        await began.wait()
        rest = asyncio.gather(*(portal.put_call(f"main:{n}", FIELDS) for n in (1, 2)), return_exceptions=True)
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.wait_for(rest, 5)

    far.transport = httpx.MockTransport(stuck)
    assert far.with_portal(play) == ["main:1", "main:2"]


def test_a_call_moves_to_its_contact_and_other_contacts_stay(far: Far) -> None:
    """The one that we had linked is unlinked, the one that a person added is not."""
    far.hubspot.contact("Cid", contact_id="C3")

    async def confirmed(portal: HubSpotPortal) -> Entry:
        (entry,) = await portal.confirm("main:1")
        return entry

    made = far.with_portal(lambda p: p.put_call("main:1", FIELDS | {"contact_id": "C1"}))
    far.hubspot.links.add((record(far)["id"], "C3"))
    assert far.with_portal(confirmed).fields["contact_id"] == "C1"
    far.with_portal(lambda p: p.patch_call(made, {"contact_id": "C2"}))
    assert {contact for _, contact in far.hubspot.links} == {"C2", "C3"}
    assert far.with_portal(confirmed).fields["contact_id"] == "C2"
    far.with_portal(lambda p: p.patch_call(made, {"contact_id": ""}))
    assert {contact for _, contact in far.hubspot.links} == {"C3"}
    assert far.with_portal(confirmed).fields["contact_id"] == "C3"
    with pytest.raises(UnknownContact):
        far.with_portal(lambda p: p.patch_call(made, {"contact_id": "../calls"}))


@pytest.mark.parametrize("requests", range(6))
@pytest.mark.parametrize("met", ["lost", "cut"])
def test_a_move_that_is_cut_off_anywhere_reads_as_one_of_both_and_is_ended_by_the_next(
    far: Far, requests: int, met: str
) -> None:
    """Otherwise the ledger would take the state between for a person's edit."""
    made = far.with_portal(lambda p: p.put_call("main:1", FIELDS | {"contact_id": "C1"}))
    try:
        far.with_portal(lambda p: p.patch_call(made, {"contact_id": "C2"}), [*[""] * requests, met])
    except Retry:
        pass
    else:
        assert requests == 5, "each of the five requests was cut off"
    ((_, fields),) = far.entries()
    assert fields["contact_id"] in {"C1", "C2"}
    if fields["contact_id"] == "C1":
        far.with_portal(lambda p: p.patch_call(made, {"contact_id": "C2"}))
    assert {contact for _, contact in far.hubspot.links} == {"C2"}


def test_who_put_the_call_into_another_history_is_heard(far: Far) -> None:
    """Under the ledger: what a person linked instead of ours stays."""
    bench = Bench(far)
    bench.write(call())
    far.hubspot.links = {(record(far)["id"], "C2")}
    bench.write(replace(recorded(call()), contact_id="C1"))
    assert {contact for _, contact in far.hubspot.links} == {"C2"}


def test_a_number_is_found_in_either_field(far: Far) -> None:
    """Mobile and landline of the same contact; never another country's, never the first of several alone."""
    far.hubspot.contact("Eve", contact_id="C4", mobilephone="+33 (0)1.23.45.67.89")
    for n in range(250):
        far.hubspot.contact(str(n), phone="0987654321")
    assert sorted(far.with_portal(lambda p: p.find_by_phone(NUMBER))) == ["C1", "C4"]
    assert far.with_portal(lambda p: p.find_by_phone("+33612345678")) == ["C1"]
    assert len(far.with_portal(lambda p: p.find_by_phone("+33987654321"))) == 250


def test_read_back_does_not_wait_for_the_search(far: Far) -> None:
    """What the search shows a minute later is read back at once."""
    far.hubspot.lag = 60
    far.with_portal(lambda p: p.put_call("a/b:1 ?é", FIELDS))
    assert len(far.with_portal(lambda p: p.confirm("a/b:1 ?é"))) == 1
    assert not [asked for asked in far.hubspot.asked if "search" in asked]
    far.with_portal(lambda p: p.drop_call("a/b:1 ?é"))
    with pytest.raises(Gone):
        far.with_portal(lambda p: p.patch_call("a/b:1 ?é", {"contact_id": "C1"}))


def test_a_backlog_and_its_look_ups_stay_within_the_limits(far: Far) -> None:
    """The account's windows are the server's to count; the connector is never told that it is too much."""
    bench = Bench(far)
    bench.write(*(call(n, match="none", contact_id="", crm="") for n in range(60)), width=1)
    bench.write(*(recorded(call(n, match="none", contact_id="", crm="")) for n in range(60)), width=1)
    assert far.hubspot.breaches == 0
    assert len(far.entries()) == 60


def test_properties_are_added_once(far: Far) -> None:
    """A new account gets ours, one that has them is only asked."""
    assert far.hubspot.properties["pbx_call_id"]["hasUniqueValue"]
    far.ask(prepare)
    assert far.hubspot.asked == ["GET /crm/v3/properties/calls"]
    del far.hubspot.properties["pbx_queue"]
    far.ask(prepare)  # the group is there
    assert not far.hubspot.properties["pbx_queue"]["hasUniqueValue"]


def test_properties_that_cannot_be_ours_need_a_person(far: Far) -> None:
    """A call id that is not unique would let doubles in; and what HubSpot refuses is named."""
    del far.hubspot.properties["pbx_queue"]
    listed = {"results": list(far.hubspot.properties.values())}
    refusing = [httpx.Response(200, json=listed), *[error(400, "VALIDATION_ERROR")] * 2]
    with pytest.raises(Fatal, match="pbx_queue"):
        far.ask(prepare, refusing)
    far.hubspot.properties["pbx_call_id"] = {"name": "pbx_call_id", "hasUniqueValue": False}
    with pytest.raises(Fatal, match="twice"):
        far.ask(prepare)
