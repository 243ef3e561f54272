"""amoCRM's connector under the laws of every CRM, and what is amoCRM's own, against one in memory."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest

from sinks.crm.amocrm import AmoPortal, _parts
from sinks.crm.connector import Connector, Entry
from streams.clients.amocrm import Config, connect
from streams.clients.crm import Gone, Unknown, UnknownContact
from streams.runtime import plugins
from streams.runtime.errors import Fatal, Reject, Retry
from tests.contracts.crm_laws import NUMBER, Bench, CrmLaws
from tests.sinks.crm.amocrm.far import CONFIG, Far
from tests.sinks.crm.calls import call, recorded

T = TypeVar("T")
STARTED = "2023-11-14T22:13:20Z"
FIELDS_OF_A_CALL = {"subject": "Inbound call", "started_at": STARTED, "notes": "Ada: rang\nResult: sold"}


@pytest.fixture
def far() -> Far:
    """amoCRM in memory."""
    return Far()


class TestAmocrm(CrmLaws):
    """Every law."""


def with_portal(far: Far, verb: Callable[[AmoPortal], Awaitable[T]], **keys: Any) -> T:
    """What a verb of a new session returns."""

    async def ask() -> T:
        far.clock.advance(1)  # each session has a limit of its own, and the portal has one
        config = replace(CONFIG, **keys)
        async with connect(config, far.clock, rate=config.rate_per_s, transport=far.transport) as client:
            return await verb(AmoPortal(client, config, far.clock.now() // 1_000_000))

    return asyncio.run(ask())


def note(far: Far, path: str = "contacts/notes") -> dict[str, Any]:
    (found,) = far.amo.tables[path].values()
    return found


def test_it_is_found_by_its_file_name() -> None:
    """The file's name is the connector's."""
    assert plugins.load("sinks.crm", "amocrm", Connector).config is Config


def test_a_note_has_what_the_card_shows(far: Far) -> None:
    """Direction by its type; number, length, player and status where the portal has them; the rest as text."""
    bench = Bench(far)
    bench.write(call(direction="outbound", recordings=recorded(call()).recordings))
    written = note(far)
    assert (written["note_type"], written["entity_id"]) == ("call_out", 1)
    assert {k: written["params"][k] for k in ("uniq", "duration", "phone", "link", "call_status")} == {
        "uniq": "trunkline:main:1",
        "duration": 65,
        "phone": NUMBER,
        "link": None,
        "call_status": 4,
    }
    assert "Call: Outbound call, answered by Ada" in written["params"]["call_result"]


def test_a_recording_with_an_address_is_played_on_the_card(far: Far) -> None:
    """The late patch reaches `link`; another result changes the status."""
    made = with_portal(far, lambda p: p.put_call("main:1", {**FIELDS_OF_A_CALL, "result": "answered"}))
    with_portal(far, lambda p: p.patch_call(made, {"recording": "https://pbx.test/1.wav", "result": "failed"}))
    assert note(far)["params"]["link"] == "https://pbx.test/1.wav"
    assert note(far)["params"]["call_status"] is None


def test_text_from_outside_passes_for_no_row(far: Far) -> None:
    """A note that reads like a row of ours is the note's second line, and nothing else."""
    with_portal(far, lambda p: p.put_call("main:1", FIELDS_OF_A_CALL))
    (entry,) = with_portal(far, lambda p: p.confirm("main:1"))
    assert {k: v for k, v in entry.fields.items() if v} == FIELDS_OF_A_CALL


def test_what_a_person_wrote_into_the_text_stays(far: Far) -> None:
    """A later revision replaces its own rows, adds new ones, and takes away what is empty now."""
    made = with_portal(far, lambda p: p.put_call("main:1", {"subject": "s", "queue": "support", "notes": "a\nb"}))
    params = note(far)["params"]
    far.amo.write(
        "contacts/notes", 1, params={**params, "call_result": f"Call back!\r\n{params['call_result']}\nDone."}
    )
    with_portal(far, lambda p: p.patch_call(made, {"queue": "", "recording": "1.wav", "notes": "n"}))
    assert note(far)["params"]["call_result"] == "Call back!\nCall: s\nNotes: n\nDone.\nRecording: 1.wav"


def test_a_row_that_a_person_edited_is_not_overwritten(far: Far) -> None:
    """Under the ledger: the edited result stays, the recording arrives."""
    bench = Bench(far)
    bench.write(call())
    params = note(far)["params"]
    text = params["call_result"].replace("Result: answered", "Result: sold!")
    far.amo.write("contacts/notes", 1, params={**params, "call_result": text})
    bench.write(replace(recorded(call()), outcome="no_answer"))
    ((_, fields),) = far.entries()
    assert (fields["result"], fields["recording"]) == ("sold!", "1.wav")


@pytest.mark.parametrize("met", ["lost", "cut"])
def test_a_patch_in_doubt_is_done_once(far: Far, met: str) -> None:
    """Note, look, note, note again, and then the patch whose answer does not come."""
    bench = Bench(far, ["", "", "", "", met])
    bench.write(call(), recorded(call()))
    ((_, fields),) = far.entries()
    assert fields["recording"] == "1.wav"
    assert far.amo.asked.count("PATCH contacts/notes/1") == (2 if met == "lost" else 1)


@pytest.mark.parametrize("seed", range(4))
def test_under_every_fault_each_call_has_one_note(far: Far, seed: int) -> None:
    """Lost answers, cut requests, pauses and refusals of service, through two revisions of each call."""
    rng = random.Random(seed)
    faults: list[httpx.Response | str] = [
        "",
        "",
        "lost",
        "cut",
        far.told["throttled"],
        far.told["down"],
        httpx.Response(502),
    ]
    calls = [call(n) for n in range(1, 31)]
    bench = Bench(far, rng.choices(faults, k=500))
    bench.write(*calls, *map(recorded, calls))
    assert sorted(c for c, _ in far.entries()) == sorted(c.call_id for c in calls)
    assert {f["recording"] for _, f in far.entries()} == {f"{n}.wav" for n in range(1, 31)}
    assert set(bench.states().values()) == {"CONFIRMED"}
    assert "UNKNOWN" in {w.state for w in bench.world.records}


def test_another_process_finds_the_note_of_one_that_died(far: Far) -> None:
    """On whichever card it is by then: cards are merged, and notes move with them. Other people's are left alone."""
    far.amo.create("contacts/notes", entity_id=1, note_type="call_in", params={"uniq": "main:1"})
    far.amo.create("contacts/notes", entity_id=1, note_type="call_in", params=[])
    with_portal(far, lambda p: p.put_call("main:1", {**FIELDS_OF_A_CALL, "contact_id": "contacts/1"}))
    far.amo.write("contacts/notes", 3, entity_id=2)
    far.clock.advance(3600)
    (entry,) = with_portal(far, lambda p: p.confirm("main:1"))
    assert (entry.external_id, entry.fields["contact_id"]) == ("contacts/3", "contacts/2")


def test_a_look_is_shared_by_those_who_asked_before_it_began(far: Far) -> None:
    """Ten calls at once: one looks, another once more for all the rest."""

    async def ask(portal: AmoPortal) -> Sequence[Sequence[Entry]]:
        for n in range(10):
            await portal.put_call(f"main:{n}", FIELDS_OF_A_CALL)
        return await asyncio.gather(*(portal.confirm(f"main:{n}") for n in range(10)))

    assert [len(found) for found in with_portal(far, ask)] == [1] * 10
    assert far.amo.asked.count("GET contacts/notes") <= 2


def test_a_note_that_was_taken_away_is_empty_and_no_entry(far: Far) -> None:
    """The API cannot delete; the card says where to look, and even a `uniq` that stayed brings it not back."""
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS_OF_A_CALL))
    with_portal(far, lambda p: p.drop_call(made))
    params = note(far)["params"]
    assert (params["call_result"], params["link"], params["duration"]) == ("This call is told elsewhere.", "", 0)
    far.amo.write("contacts/notes", 1, params={**params, "uniq": "trunkline:main:1"})
    assert list(with_portal(far, lambda p: p.confirm("main:1"))) == []
    with pytest.raises(Gone):
        with_portal(far, lambda p: p.drop_call(made))


def test_a_contact_that_is_gone_is_told(far: Far) -> None:
    """The portal says only that the choice is not valid, so the card is looked for; a wrong kind is none."""
    for wrong in ("contacts/9", "leads/x", "9"):
        with pytest.raises(UnknownContact):
            with_portal(far, lambda p: p.put_call("main:1", {**FIELDS_OF_A_CALL, "contact_id": wrong}))  # noqa: B023
    made = with_portal(far, lambda p: p.put_call("main:1", {**FIELDS_OF_A_CALL, "contact_id": "contacts/1"}))
    for wrong in ("contacts/9", "companies/1", "x"):
        with pytest.raises(UnknownContact):
            with_portal(far, lambda p: p.patch_call(made, {"contact_id": wrong}))  # noqa: B023 - called at once
    with pytest.raises(Fatal, match="unknown_on"):
        with_portal(far, lambda p: p.put_call("main:2", FIELDS_OF_A_CALL), unknown_on="contacts/9")


def test_a_note_moves_to_the_contact_that_is_known_later(far: Far) -> None:
    """And where the portal leaves it, the other fields arrive, and the ledger is told that it stands where it stood."""
    made = with_portal(far, lambda p: p.put_call("main:1", FIELDS_OF_A_CALL))
    with_portal(far, lambda p: p.patch_call(made, {"contact_id": "contacts/1"}))
    assert note(far)["entity_id"] == 1
    far.amo.moves = False
    with pytest.raises(UnknownContact):
        with_portal(far, lambda p: p.patch_call(made, {"contact_id": "contacts/2", "queue": "q"}))
    (entry,) = with_portal(far, lambda p: p.confirm("main:1"))
    assert (entry.fields["contact_id"], entry.fields["queue"]) == ("contacts/1", "q")


def test_a_call_of_nobody_known_is_refused_without_a_card_for_it(far: Far) -> None:
    """Its reason is in the ledger; once the customer is known, the call is written."""
    with pytest.raises(Reject, match="unknown_on"):
        with_portal(far, lambda p: p.put_call("main:1", FIELDS_OF_A_CALL), unknown_on="")
    with pytest.raises(Fatal, match="unknown_on"):
        with_portal(far, lambda p: p.confirm("main:1"), unknown_on="users/1")


def test_a_call_older_than_the_notes_that_were_read_is_refused(far: Far) -> None:
    """Nobody could say whether it has a note; a second one is worse than a reason in the ledger."""
    far.clock.advance(30 * 86_400 - 1)
    assert with_portal(far, lambda p: p.put_call("main:1", FIELDS_OF_A_CALL)) == "contacts/1"
    with pytest.raises(Reject, match="notes_days"):
        with_portal(far, lambda p: p.put_call("main:2", FIELDS_OF_A_CALL))


def test_a_company_is_found_by_its_number_too(far: Far) -> None:
    """Of contacts and companies; never by last digits alone, nor one that was deleted."""
    far.amo.create("companies", name="ACME", phones=("+33 (0)1.23.45.67.89 x12",))
    far.amo.create("companies", name="Old", phones=(NUMBER,), is_deleted=True)
    found = with_portal(far, lambda p: p.find_by_phone(NUMBER), cards=("contacts", "companies"))
    assert list(found) == ["contacts/1", "companies/1"]


def test_more_holders_than_a_page_are_all_found(far: Far) -> None:
    """All of them are candidates, in order."""
    for _ in range(300):
        far.amo.create("contacts", phones=("+33 800 00 00 01",))
    found = with_portal(far, lambda p: p.find_by_phone("+33800000001"))
    assert found == [f"contacts/{n}" for n in range(4, 304)]


def test_an_answer_without_an_id_leaves_it_open(far: Far) -> None:
    """The note may be there: only a look can tell."""
    far.transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"_embedded": {"notes": []}}))
    with pytest.raises(Unknown):
        with_portal(far, lambda p: p.put_call("main:1", FIELDS_OF_A_CALL))


def test_a_look_that_failed_serves_nobody(far: Far) -> None:
    """Who waited for it looks again himself."""
    answers = [httpx.Response(503)]
    far.transport = httpx.MockTransport(lambda r: answers.pop() if answers else far.amo.answer(r))

    async def ask(portal: AmoPortal) -> list[Any]:
        return [*await asyncio.gather(portal.confirm("main:1"), portal.confirm("main:1"), return_exceptions=True)]

    first, second = with_portal(far, ask)
    assert isinstance(first, Retry)
    assert second == []


def test_rows_are_told_from_other_lines() -> None:
    """Known labels only, first line or not; what goes on is indented."""
    assert _parts("Hi: x\n  y\nNotes: a\n  b\n\n  c") == [
        ("", "Hi: x"),
        ("", "  y"),
        ("Notes", "a\nb"),
        ("", ""),
        ("", "  c"),
    ]
