"""The ledger: order of effects, and exactly one entry wherever the process dies and whatever the CRM answers."""

import itertools
from dataclasses import replace

import pytest

from schemas.events import Note
from sinks.crm.journal import entry
from streams.clients.crm import Unknown
from streams.runtime.errors import Reject, Retry
from tests.sinks.crm.calls import absorbed, call, recorded
from tests.sinks.crm.desk import LOST, STRANGER, Desk


def test_intent_is_acknowledged_before_the_request_and_the_confirmation_comes_last() -> None:
    """The order of effects of a first write is INTENT, request, CONFIRMED."""
    desk = Desk()
    settled = desk.write(call())
    assert desk.world.effects == ["INTENT", "put", "CONFIRMED"]
    assert settled is not None
    assert (settled.state, settled.external_id, settled.rev, settled.contact_id) == ("CONFIRMED", "a1", 3, "C1")
    assert settled.written == entry(call(), "crm")
    assert desk.world.records[0].pending == settled.written


@pytest.mark.parametrize("state", ["ringing", "queued", "connected"])
def test_a_call_that_is_not_over_is_not_journaled(state: str) -> None:
    """Only an ended call has an entry."""
    desk = Desk()
    assert desk.write(call(state=state)) is None
    assert desk.world.effects == []


def test_the_same_revision_and_older_ones_change_nothing() -> None:
    """Duplicates and late old revisions cause no request and no record."""
    desk = Desk()
    desk.write(call(), recorded(call()))
    before = list(desk.world.effects)
    desk.write(call(), recorded(call()), call(rev=1))
    desk.start()
    desk.write(call(), recorded(call()))
    assert desk.world.effects == before


def test_a_later_revision_sets_only_the_fields_that_differ() -> None:
    """The recording that came later is patched in, alone."""
    desk = Desk()
    desk.write(call(), recorded(call()))
    assert desk.world.effects[3:] == ["INTENT", "patch recording", "CONFIRMED"]
    (there,) = desk.world.of("main:1")
    assert there == entry(recorded(call()), "crm")


def test_a_later_revision_without_a_new_field_causes_nothing() -> None:
    """From ended to final nothing that a reader sees may change."""
    desk = Desk()
    desk.write(call(), call(rev=4, state="final"))
    assert desk.world.effects == ["INTENT", "put", "CONFIRMED"]


def test_what_a_person_edited_is_never_overwritten() -> None:
    """A note and a result that somebody typed stay, while the untouched recording is set."""
    desk = Desk()
    desk.write(call())
    desk.world.entries["a1"][1].update(notes="Sent the offer.", result="sale")
    later = replace(recorded(call()), outcome="voicemail", notes=(Note(at=1, text="automatic"),))
    desk.write(later, replace(later, rev=5, outcome="failed", queue="sales"))
    (there,) = desk.world.of("main:1")
    assert (there["notes"], there["result"]) == ("Sent the offer.", "sale")
    assert (there["recording"], there["queue"]) == ("1.wav", "sales")


def test_an_entry_that_a_person_deleted_is_not_made_again() -> None:
    """A later revision respects the deletion, and the ledger says so."""
    desk = Desk()
    desk.write(call())
    desk.world.entries.clear()
    settled = desk.write(recorded(call()))
    assert desk.world.entries == {}
    assert settled is not None
    assert settled.reason == "deleted in the CRM"


def test_an_answer_that_was_lost_is_read_back_and_not_sent_again() -> None:
    """The outcome is UNKNOWN until the read-back finds the entry."""
    desk = Desk(answers=[LOST])
    settled = desk.write(call())
    assert desk.world.effects == ["INTENT", "put", "UNKNOWN", "CONFIRMED"]
    assert settled is not None
    assert settled.external_id == "a1"
    assert len(desk.world.entries) == 1


def test_a_write_that_never_arrived_is_sent_again_only_after_the_settling_time() -> None:
    """In doubt the CRM gets its whole time to show the entry."""
    desk = Desk(answers=[Unknown("cut")])
    began = desk.clock.monotonic()
    desk.write(call())
    assert desk.world.effects == ["INTENT", "put", "UNKNOWN", "INTENT", "put", "CONFIRMED"]
    assert desk.clock.monotonic() - began >= desk.config.settle_s
    assert len(desk.world.entries) == 1


def test_an_entry_that_shows_late_is_found_within_the_settling_time() -> None:
    """A read-back that lags behind the write does not make a second entry."""
    desk = Desk(answers=[LOST])
    confirm, asked = desk.portal.confirm, itertools.count()

    async def lagging(call_id: str) -> object:
        return await confirm(call_id) if next(asked) > 2 else []

    desk.portal.confirm = lagging  # type: ignore[method-assign, assignment]
    desk.write(call())
    assert desk.world.effects == ["INTENT", "put", "UNKNOWN", "CONFIRMED"]


def test_a_second_entry_that_arrived_after_all_is_taken_away() -> None:
    """A request that the CRM did long after it was given up leaves no double behind."""
    desk = Desk(answers=[Unknown("stalled")])
    put, fields = desk.portal.put_call, {**entry(call(), "crm")}

    async def then_the_first_arrives(call_id: str, given: object) -> str:
        made = await put(call_id, given)  # type: ignore[arg-type]
        desk.world.entries["late"] = (call_id, fields)
        return made

    desk.portal.put_call = then_the_first_arrives  # type: ignore[method-assign, assignment]
    settled = desk.write(call())
    assert list(desk.world.entries) == ["a1"]
    assert settled is not None
    assert settled.external_id == "a1"


def test_throttling_waits_as_long_as_the_crm_says() -> None:
    """A 429 storm delays and changes nothing else."""
    desk = Desk(answers=[Retry("429", after=7), Retry("429", after=11), Retry("busy")])
    began = desk.clock.monotonic()
    desk.write(call())
    assert desk.clock.monotonic() - began >= 18
    assert [e for e in desk.world.effects if e != "put"] == ["INTENT", "CONFIRMED"]
    assert len(desk.world.entries) == 1


def test_a_refused_call_says_why_and_is_tried_again_with_its_next_revision() -> None:
    """REFUSED is final for this revision's data, not for the call."""
    desk = Desk(answers=[Reject("the CRM refused it: 422 invalid")])
    settled = desk.write(call())
    assert settled is not None
    assert (settled.state, settled.reason, settled.external_id) == ("REFUSED", "the CRM refused it: 422 invalid", "")
    assert desk.world.entries == {}
    desk.write(recorded(call()))
    assert len(desk.world.of("main:1")) == 1


def test_a_refused_update_keeps_the_entry_and_what_is_known_of_it() -> None:
    """After a refused patch a later revision still updates the same entry."""
    desk = Desk()
    desk.write(call())
    desk.portal.answers = ["", Reject("422")]
    settled = desk.write(recorded(call()))
    assert settled is not None
    assert (settled.state, settled.external_id, settled.rev) == ("REFUSED", "a1", 4)
    desk.write(replace(recorded(call()), rev=5))
    (there,) = desk.world.of("main:1")
    assert there["recording"] == "1.wav"


def test_a_contact_that_is_gone_leaves_an_unassigned_entry() -> None:
    """The call is journaled by its number when the CRM no longer knows the contact."""
    desk = Desk()
    settled = desk.write(call(contact_id="C9"))
    (there,) = desk.world.of("main:1")
    assert there["contact_id"] == ""
    assert settled is not None
    assert (settled.state, settled.contact_id) == ("CONFIRMED", "")


@pytest.mark.parametrize(
    ("holders", "contact", "candidates"), [([], "", ""), (["C1"], "C1", ""), (["C1", "C2"], "", "C1, C2")]
)
def test_a_number_nobody_knew_is_looked_up_and_never_guessed(holders: list[str], contact: str, candidates: str) -> None:
    """One holder is the contact, several are candidates, none is nobody; a later revision leaves that alone."""
    desk = Desk()
    desk.portal.phones["+33123456789"] = holders
    stranger = call(**STRANGER)
    desk.write(stranger, recorded(stranger))
    (there,) = desk.world.of("main:1")
    assert (there["contact_id"], there["candidates"], there["recording"]) == (contact, candidates, "1.wav")


def test_an_absorbed_call_loses_its_entry() -> None:
    """Two entries never stand for one physical call."""
    desk = Desk()
    desk.write(call(), absorbed(call()))
    assert desk.world.entries == {}
    desk.start()
    desk.write(call(), absorbed(call()), recorded(recorded(call())))
    assert desk.world.entries == {}


def test_an_absorbed_call_that_a_person_worked_on_is_kept_and_marked() -> None:
    """A person's note is worth more than a tidy list."""
    desk = Desk()
    desk.write(call())
    desk.world.entries["a1"][1]["notes"] = "Wants a new contract."
    desk.write(absorbed(call()))
    (there,) = desk.world.of("main:1")
    assert (there["notes"], there["result"]) == ("Wants a new contract.", "merged into main:0")


def test_an_absorbed_call_that_was_never_journaled_needs_nothing() -> None:
    """No request is made for a call that merged before it ended."""
    desk = Desk()
    assert desk.write(absorbed(call())) is None
    assert desk.world.effects == []


def test_a_direction_that_is_not_wanted_is_left_out_and_an_unknown_one_is_not() -> None:
    """`directions` chooses what is journaled."""
    desk = Desk()
    desk.config = replace(desk.config, directions=("inbound",))
    desk.start()
    assert desk.write(call(1, direction="internal")) is None
    desk.write(call(2, direction=""))
    assert [c for c, _ in desk.world.entries.values()] == ["main:2"]


def test_a_call_older_than_the_memory_is_looked_up_before_it_is_written() -> None:
    """A duplicate of any age makes no second entry, and what a person wrote stays."""
    desk = Desk()
    desk.write(call())
    desk.world.entries["a1"][1]["notes"] = "typed"
    desk.start(forgets=True)
    settled = desk.write(recorded(call()))
    (there,) = desk.world.of("main:1")
    assert (there["notes"], there["recording"]) == ("typed", "1.wav")
    assert settled is not None
    assert settled.external_id == "a1"


def test_without_the_lease_nothing_is_sent() -> None:
    """A process that may have been replaced stops before its next request."""
    desk = Desk()

    def gone() -> None:
        raise Retry("stopped for too long")

    desk.start(lease=gone)
    with pytest.raises(Retry):
        desk.write(call())
    assert desk.world.entries == {}
