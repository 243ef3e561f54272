"""Bitrix24's connector under the laws of every CRM, and what is Bitrix24's own, against one in memory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sinks.crm.bitrix24 import Bitrix24Portal
from sinks.crm.connector import Connector, Entry
from streams.clients.bitrix24 import Config
from streams.clients.crm import Gone, UnknownContact
from streams.runtime import plugins
from streams.runtime.errors import Fatal, Reject, Retry
from tests.contracts.crm_laws import NUMBER, Bench, CrmLaws
from tests.fakes.bitrix24 import COMPANY
from tests.fakes.bitrix24_rest import BitrixError
from tests.sinks.crm.bitrix24.far import FIELDS, Far, activity, fails_once, with_portal
from tests.sinks.crm.calls import call, recorded


@pytest.fixture
def far(tmp_path: Path) -> Far:
    """Bitrix24 in memory."""
    return Far(tmp_path)


class TestBitrix24(CrmLaws):
    """Every law."""


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("sinks.crm", "bitrix24", Connector).config is Config


def test_a_call_is_one_request_and_pops_up_nowhere(far: Far) -> None:
    """Registered, finished, described and its recording attached, quietly."""
    address = "https://pbx.test/a b&c=1/1.wav"
    with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"contact_id": "C_1", "recording": address}))
    assert far.b24.asked == [
        "batch",
        "crm.item.get",
        "telephony.externalCall.register",
        "telephony.externalCall.finish",
        "crm.activity.update",
        "telephony.externalCall.attachRecord",
    ]
    (row,) = far.b24.statistics
    assert (row["EXTERNAL_CALL_ID"], row["CALL_DURATION"], row["CALL_TYPE"]) == ("main:1", "65", "2")
    assert (row["CRM_ENTITY_TYPE"], row["CRM_ENTITY_ID"], row["CALL_RECORD_URL"]) == ("CONTACT", "1", address)
    assert (far.b24.shown, far.b24.chatted) == (0, 0)


def test_outside_text_is_no_reference_into_the_batch(far: Far) -> None:
    """What looks like one reads back as it was typed, blank lines too."""

    async def written(portal: Bitrix24Portal) -> Sequence[Entry]:
        await portal.put_call("main:1", FIELDS | {"contact_id": "C_1", "customer_name": "$result[contact][item][id]"})
        return await portal.confirm("main:1")

    (entry,) = with_portal(far, written)
    assert entry.fields["notes"] == FIELDS["notes"]
    assert entry.fields["customer_name"] == "$result[contact][item][id]"


@pytest.mark.parametrize("later", [0, 1000, 5000, 100_000])
def test_the_same_call_put_twice_is_one(far: Far, later: int) -> None:
    """Even without the ledger, in a new process, before and after Bitrix24 forgets what was registered."""
    bench = Bench(far)
    bench.write(call())
    bench.world.records.clear()
    far.clock.advance(later)
    bench.write(call())
    assert [c for c, _ in far.entries()] == ["main:1"]
    assert len(far.b24.statistics) == 1


@pytest.mark.parametrize(
    ("method", "code", "status"),
    [
        ("crm.activity.update", "OPERATION_TIME_LIMIT", 429),
        ("crm.activity.update", "INTERNAL_SERVER_ERROR", 500),
        ("telephony.externalCall.finish", "OPERATION_TIME_LIMIT", 429),
        ("telephony.externalCall.finish", "INTERNAL_SERVER_ERROR", 500),
        ("telephony.externalCall.attachRecord", "OPERATION_TIME_LIMIT", 429),
        ("telephony.externalCall.register", "INTERNAL_SERVER_ERROR", 500),
    ],
)
def test_a_batch_that_ends_between_its_parts_is_completed(far: Far, method: str, code: str, status: int) -> None:
    """A finished call without its text is completed, not finished twice; nothing is left out."""
    fails_once(far, method, code, status)
    bench = Bench(far)
    bench.write(replace(recorded(call()), recordings=()), call(2))
    assert sorted(c for c, _ in far.entries()) == ["main:1", "main:2"]
    assert len(far.b24.statistics) == 2
    assert set(bench.states().values()) == {"CONFIRMED"}


def test_a_process_that_died_between_the_parts_leaves_it_to_the_next(far: Far) -> None:
    """The next one finds the call in the statistics, without its text, and writes just that."""
    fails_once(far, "crm.activity.update", "OPERATION_TIME_LIMIT", 429)
    with pytest.raises(Retry):
        with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"contact_id": "C_1"}))

    async def next_one(portal: Bitrix24Portal) -> tuple[Sequence[Entry], str]:
        return await portal.confirm("main:1"), await portal.put_call("main:1", FIELDS | {"contact_id": "C_1"})

    before, made = with_portal(far, next_one)
    assert (list(before), made) == ([], far.b24.statistics[0]["CALL_ID"])
    ((_, fields),) = far.entries()
    assert {k: v for k, v in fields.items() if v} == FIELDS | {"contact_id": "C1"}
    assert len(far.b24.statistics) == 1


def test_a_recording_that_bitrix24_cannot_fetch_refuses_no_call(far: Far) -> None:
    """Its address stands in the text all the same, at the first writing and later."""
    url = "https://pbx.test/1.wav"

    async def written(portal: Bitrix24Portal) -> Sequence[Entry]:
        fails_once(far, "telephony.externalCall.attachRecord", "ERROR_CORE")
        made = await portal.put_call("main:1", FIELDS | {"contact_id": "C_1", "recording": url})
        fails_once(far, "telephony.externalCall.attachRecord", "ERROR_CORE")
        await portal.patch_call(made, {"recording": f"{url}\n{url}"})
        return await portal.confirm("main:1")

    (entry,) = with_portal(far, written)
    assert entry.fields["recording"] == f"{url}\n{url}"


def test_a_finish_that_is_never_done_is_refused_in_the_end(far: Far) -> None:
    """ERROR_CORE is said of a call that was finished before and of bad data; the one ends, the other does not."""

    def refuse(named: dict[str, Any]) -> Any:
        raise BitrixError("ERROR_CORE")

    far.b24.methods["telephony.externalCall.finish"] = refuse
    bench = Bench(far)
    bench.write(call())
    assert bench.states() == {"main:1": "REFUSED"}


def test_what_a_person_wrote_into_the_description_stays(far: Far) -> None:
    """A later revision replaces its own lines, adds new ones, and takes away what is empty now."""

    async def put(portal: Bitrix24Portal) -> str:
        return await portal.put_call("main:1", {"contact_id": "C_1", "customer_number": NUMBER, "queue": "a\nb"})

    made = with_portal(far, put)
    activity(far)["DESCRIPTION"] = f"Call back: now!\r\n{activity(far)['DESCRIPTION']}\r\n\r\nDone."
    with_portal(far, lambda p: p.patch_call(made, {"queue": "", "notes": "n\nm", "customer_number": "x"}))
    assert activity(far)["DESCRIPTION"] == "Call back: now!\nNumber: x\nCall: main:1\n\nDone.\nNotes: n\n  m"


def test_a_line_that_a_person_edited_is_not_overwritten(far: Far) -> None:
    """Under the ledger: the edited subject and result stay, the recording arrives."""
    bench = Bench(far)
    bench.write(call())
    activity(far).update(
        SUBJECT="Sale", DESCRIPTION=activity(far)["DESCRIPTION"].replace("Result: answered", "Result: sold!")
    )
    bench.write(replace(recorded(call()), outcome="missed"))
    ((_, fields),) = far.entries()
    assert (fields["result"], fields["subject"], fields["recording"]) == ("sold!", "Sale", "1.wav")


def test_an_activity_that_a_person_deleted_is_not_made_again(far: Far) -> None:
    """The statistics keep the call; its activity stays away."""
    bench = Bench(far)
    bench.write(call())
    far.b24.activities.clear()
    bench.write(recorded(call()))
    assert (far.entries(), len(far.b24.statistics)) == ([], 1)


def test_a_contact_that_is_gone_is_told(far: Far) -> None:
    """Before anything is registered; and a call moves to the contact that it gets later."""
    for wrong in ("C_9", "9", "L_1"):
        with pytest.raises(UnknownContact):
            with_portal(far, lambda p: p.put_call("main:1", FIELDS | {"contact_id": wrong}))  # noqa: B023 - called at once
    assert far.b24.calls == {}
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS))
    with pytest.raises(UnknownContact):
        with_portal(far, lambda p: p.patch_call(made, {"contact_id": "C_9"}))
    with_portal(far, lambda p: p.patch_call(made, {"contact_id": "C_2"}))
    assert (activity(far)["OWNER_TYPE_ID"], activity(far)["OWNER_ID"]) == ("3", "2")


def test_a_call_of_nobody_known_stands_where_the_setting_says(far: Far) -> None:
    """On an entity, on a new lead, or in the statistics alone, where it takes no later revision and says so."""
    fields = FIELDS | {"customer_number": "+33100000001"}
    with_portal(far, lambda p: p.put_call("main:1", fields))
    with_portal(far, lambda p: p.put_call("main:2", fields), unknown_on="lead")
    made = with_portal(far, lambda p: p.put_call("main:3", fields), unknown_on="")
    assert [r["CRM_ENTITY_TYPE"] for r in far.b24.statistics] == ["COMPANY", "LEAD", None]
    (entry,) = with_portal(far, lambda p: p.confirm("main:3"), unknown_on="")
    assert (entry.external_id, entry.fields["duration"], entry.fields["subject"]) == (made, "65", "")
    with pytest.raises(Reject, match="unknown_on"):
        with_portal(far, lambda p: p.patch_call(made, {"notes": "n"}))
    with_portal(far, lambda p: p.patch_call(made, {"recording": "https://pbx.test/1.mp3"}))
    assert far.b24.statistics[2]["CALL_RECORD_URL"] == "https://pbx.test/1.mp3"


def test_a_call_without_activity_still_gets_its_recording(far: Far) -> None:
    """The text has nowhere to stand and ends the batch; the recording follows on its own."""
    fields = FIELDS | {"customer_number": "+33100000001", "recording": "https://pbx.test/1.mp3"}
    with_portal(far, lambda p: p.put_call("main:1", fields), unknown_on="")
    assert far.b24.statistics[0]["CALL_RECORD_URL"] == "https://pbx.test/1.mp3"


def test_a_hidden_number_needs_a_stand_in(far: Far) -> None:
    """Bitrix24 takes no call without a number, so one must be set, or the call is refused."""
    hidden = FIELDS | {"customer_number": "hidden"}
    with_portal(far, lambda p: p.put_call("main:1", hidden))
    assert far.b24.statistics[0]["PHONE_NUMBER"] == "+3300"
    with pytest.raises(Reject, match="hidden_as"):
        with_portal(far, lambda p: p.put_call("main:2", hidden), hidden_as="")


@pytest.mark.parametrize("wrong", ["C", "1", "C_x", "L_1"])
def test_where_unknown_calls_cannot_stand_a_person_is_told(far: Far, wrong: str) -> None:
    """Before a call is written."""
    with pytest.raises(Fatal, match="unknown_on"):
        with_portal(far, lambda p: p.confirm("main:1"), unknown_on=wrong)


def test_a_number_is_found_in_any_spelling_among_contacts_and_companies(far: Far) -> None:
    """Never another country's that ends alike."""
    far.b24.create(COMPANY, "+33 (0)1.23.45.67.89 x12", title="ACME")
    assert with_portal(far, lambda p: p.find_by_phone(NUMBER)) == ["C_1", "CO_2"]
    assert with_portal(far, lambda p: p.find_by_phone("+33612345678")) == ["C_1"]


@pytest.mark.parametrize("method", ["update", "delete"])
def test_an_activity_deleted_in_between_is_gone(far: Far, method: str) -> None:
    """Between our look at it and the change: Bitrix24 says so without a code."""
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS))
    whole = far.b24.methods[f"crm.activity.{method}"]

    def late(named: dict[str, Any]) -> Any:
        far.b24.activities.clear()
        return whole(named)

    far.b24.methods[f"crm.activity.{method}"] = late
    with pytest.raises(Gone):
        with_portal(far, lambda p: p.drop_call(made) if method == "delete" else p.patch_call(made, {"notes": "n"}))
