"""HubSpot's connector under the laws of every CRM, and what is HubSpot's own, against one in memory."""

from dataclasses import replace

import httpx
import pytest

from sinks.crm.connector import Connector
from sinks.crm.hubspot import connector, prepare
from streams.clients.crm import Gone, Unknown
from streams.runtime import plugins
from streams.runtime.errors import Fatal
from tests.contracts.crm_laws import NUMBER, Bench, CrmLaws
from tests.fakes.hubspot_answers import error
from tests.sinks.crm.calls import call, recorded
from tests.sinks.crm.hubspot.account import CREATE, FIELDS, Far, record


class TestHubSpot(CrmLaws):
    """Every law."""


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
