"""The ledger: order of effects, and exactly one entry wherever the process dies and whatever the CRM answers."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from schemas.events import Call, CrmWrite, Note
from sinks.crm.journal import entry
from sinks.crm.ledger import Ledger
from streams.clients.crm import PortalConfig, Unknown
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Reject, Retry
from tests.sinks.crm.calls import ENDED, absorbed, call, recorded
from tests.sinks.crm.fakes import Crash, FakeLog, FakePortal, World

LOST = "lost"
STRANGER: dict[str, Any] = {"match": "none", "contact_id": "", "contact_name": "", "crm": ""}


class Desk:
    """One process after the other working on the same CRM and the same ledger."""

    def __init__(self, world: World | None = None, answers: Sequence[Exception | str] = ()) -> None:
        self.world, self.clock = world or World(), ManualClock(ENDED + 1_000_000)
        self.portal = FakePortal(self.world, answers)
        self.config = PortalConfig()
        self.start()

    def start(self, *, forgets: bool = False, lease: Callable[[], None] = lambda: None) -> None:
        """Begin a new process, as after a restart."""
        self.log = FakeLog(self.world, owned_since=self.clock.now(), forgets=forgets)
        self.ledger = Ledger(
            crm="crm",
            portal=self.portal,
            log=self.log,
            config=self.config,
            clock=self.clock,
            rng=random.Random(1),
            lease=lease,
        )

    def write(self, *calls: Call) -> CrmWrite | None:
        settled = None
        for one in calls:
            settled = asyncio.run(self.ledger.write(one))
        return settled

    def write_through(self, *calls: Call) -> None:
        """Write; when the process dies, a new one reads the same calls from the start (nothing was committed)."""
        for _ in range(10):
            try:
                self.write(*calls)
            except Crash:
                self.clock.advance(1)
                self.start()
            else:
                return
        pytest.fail("it died at every attempt")


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


SCENES: dict[str, tuple[list[Exception | str], list[Call], list[str]]] = {
    "plain": ([], [call(1), recorded(call(1)), call(1)], ["main:1"]),
    "answer lost": ([LOST], [call(1), recorded(call(1))], ["main:1"]),
    "never arrived": ([Unknown("cut"), LOST], [call(1)], ["main:1"]),
    "throttled": ([Retry("429", after=1), Retry("503", after=1)], [call(1), recorded(call(1))], ["main:1"]),
    "stranger": ([], [call(1, **STRANGER), recorded(call(1, **STRANGER))], ["main:1"]),
    "contact gone": ([], [call(1, contact_id="C9"), recorded(call(1, contact_id="C9"))], ["main:1"]),
    "absorbed": ([], [call(1), call(0), absorbed(call(1))], ["main:0"]),
    "absorbed, answer lost": ([LOST], [call(1), absorbed(call(1)), call(0)], ["main:0"]),
}


@pytest.mark.parametrize("scene", SCENES)
def test_one_entry_per_call_wherever_the_process_dies(scene: str) -> None:
    """Dying once or twice, before or after any effect, leaves exactly one entry, at the last revision."""
    answers, calls, journaled = SCENES[scene]
    calm = Desk(answers=answers)
    calm.write(*calls)
    moments = [at / 2 for at in range(2 * len(calm.world.effects) + 4)]
    for first, second in itertools.combinations([*moments, 1e9], 2):
        desk = Desk(World(crash_at=(first, second)), answers)
        desk.write_through(*calls)
        assert sorted(c for c, _ in desk.world.entries.values()) == journaled, (first, second, desk.world.effects)
        assert [f for _, f in desk.world.entries.values()] == [f for _, f in calm.world.entries.values()]
        last = {w.call_id: w.state for w in desk.world.records}
        assert set(last.values()) == {"CONFIRMED"}


def test_a_person_who_edits_between_crash_and_restart_keeps_the_edit() -> None:
    """Wherever an update dies, what was typed meanwhile stays, and the rest of the update arrives."""
    later = replace(recorded(call()), queue="sales")
    for at in (moment / 2 for moment in range(6, 12)):
        desk = Desk(World(crash_at=(at,)))
        desk.write(call())
        with pytest.raises(Crash):
            desk.write(later)
        desk.world.entries["a1"][1]["notes"] = "typed"
        desk.start()
        desk.write(later)
        (there,) = desk.world.of("main:1")
        assert (there["notes"], there["queue"], there["recording"]) == ("typed", "sales", "1.wav"), at


def test_an_update_whose_record_was_cut_off_by_a_crash_is_not_taken_for_a_persons_edit() -> None:
    """The next revision still updates fields that the dead process had set without saying so."""
    desk = Desk(World(crash_at=(4.5,)))
    desk.write(call())
    with pytest.raises(Crash):
        desk.write(recorded(call()))
    desk.start()
    desk.write(replace(recorded(call()), rev=5, recordings=()))
    (there,) = desk.world.of("main:1")
    assert there["recording"] == ""
