"""The ledger under crashes: exactly one entry wherever the process dies."""

import itertools
from dataclasses import replace

import pytest

from schemas.events import Call
from streams.clients.crm import Unknown
from streams.runtime.errors import Retry
from tests.sinks.crm.calls import absorbed, call, recorded
from tests.sinks.crm.desk import LOST, STRANGER, Desk
from tests.sinks.crm.fakes import Crash, World

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
