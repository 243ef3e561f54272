"""A snapshot that stands in the log before what an adapter had read earlier: the live event says when it was."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.events import AgentState, EnrichedCallEvent
from streams.processors.agents import Agents
from tests.streams.processors.folding.script import MICRO
from tests.streams.processors.presence.shift import Shift, feed, task, whole

Tell = Callable[[Shift], None]
QUEUES = ("sales", "support")


def logs_in(shift: Shift) -> None:
    shift.login("201")
    shift.device("201", "available")


def pauses(shift: Shift) -> None:
    logs_in(shift)
    shift.wait(5)
    shift.pause("201", reason="tea")


def went(shift: Shift) -> None:
    logs_in(shift)
    shift.logout("201")


def talks(shift: Shift) -> None:
    logs_in(shift)
    shift.wait(5)
    shift.lift("A", "201", dials="+32470123401")


def nothing(_: Shift) -> None: ...


GONE: dict[str, str] = {}
FREE = {"paused": "0", "phone": "available"}
PAUSED = {"state": "paused", "paused": "1", "reason": "tea", "phone": "available"}
CASES: dict[str, tuple[Tell, Tell, dict[str, str], str]] = {
    "removed": (logs_in, lambda shift: shift.logout("201"), GONE, "logged_out"),
    "paused": (logs_in, lambda shift: shift.pause("201", reason="tea"), PAUSED, "paused"),
    "unpaused": (pauses, lambda shift: shift.resume("201"), FREE, "available"),
    "added": (nothing, lambda shift: shift.login("201"), FREE, "available"),
    "added again": (went, logs_in, FREE, "available"),
    "unreachable": (
        *(logs_in, lambda shift: shift.device("201", "unavailable")),
        *({"paused": "0", "phone": "unavailable"}, "unavailable"),
    ),
    "hung up": (talks, lambda shift: shift.end("A"), FREE, "available"),
}


def ends(shift: Shift) -> None:
    """The snapshot shows somebody else besides, in the one queue, and is whole."""
    shift.shown("202", "s2", "support", **FREE)
    shift.say("gap.resolved", data={"session": "s2", "reader": "r2", "live": ""})


def read(worker: Agents, events: Sequence[EnrichedCallEvent], first: int = 0) -> list[AgentState]:
    return [one for one in feed(worker, events, first) if one.agent_id == "201"]


def told_late(before: Tell, live: Tell, shown: dict[str, str]) -> tuple[list[EnrichedCallEvent], ...]:
    """What was read in time, what one adapter tells late, and another's snapshot, 0.96 s younger and nobody beside."""
    shift = Shift()
    before(shift)
    shift.wait(30)
    first = len(shift.events)
    live(shift)
    second = len(shift.events)
    shift.now += 960_000
    shift.say("source.up", data={"session": "s2", "reader": "r2"})
    if shown:
        shift.shown("201", "s2", "support", **shown)
    ends(shift)
    return shift.events[:first], shift.events[first:second], shift.events[second:]


def successor(said: Sequence[AgentState]) -> Agents:
    """A new owner of the partition, after compaction."""
    worker = task()
    for one in {one.agent_id: one for one in said}.values():
        worker.recall(codec.encode(one))
    return worker


@pytest.mark.parametrize("taken_over", [False, True], ids=["same worker", "new owner"])
@pytest.mark.parametrize("case", CASES)
def test_what_a_snapshot_showed_is_dated_by_the_live_event_that_it_overtook(case: str, *, taken_over: bool) -> None:
    """The same state again, since when it was told, not estimated; else it stays as it was. Copies change nothing."""
    before, live, shown, state = CASES[case]
    early, late, snapshot = told_late(before, live, shown)
    worker = task()
    said = read(worker, [*early, *snapshot])
    guessed = said[-1]
    assert (guessed.state, guessed.estimated) == (state, True)
    if taken_over:
        worker = successor(said)
    said += read(worker, late, 100)
    whole(said)
    last = said[-1]
    assert (last.state, last.since, last.estimated, last.precision) == (state, late[0].ts, False, "us")
    assert (last.number, last.previous, last.previous_since) == (
        *(guessed.number, guessed.previous, guessed.previous_since),
    )
    expected = read(task(), [*early, *late, *snapshot])[-1]
    assert (last.since, last.reason, last.memberships) == (expected.since, expected.reason, expected.memberships)
    worker.seen.clear()
    assert read(worker, [*late, *early, *late], 200) == []


def test_a_state_that_two_queues_make_begins_with_the_later_word() -> None:
    """And is an estimate until both have told it, whichever comes first."""
    shift = Shift()
    for queue in QUEUES:
        shift.login("201", queue)
    shift.wait(30)
    early = len(shift.events)
    for queue in QUEUES:
        shift.logout("201", queue)
    late = len(shift.events)
    shift.now += 960_000
    ends(shift)
    sales, support = shift.events[early:late]
    for order in ([sales, support], [support, sales]):
        worker = task()
        said = read(worker, [*shift.events[:early], *shift.events[late:]])
        said += read(worker, order[:1], 50)
        assert (said[-1].since, said[-1].estimated) == (shift.events[-1].ts, True)
        said += read(worker, order[1:], 60)
        assert (said[-1].number, said[-1].since, said[-1].estimated) == (2, support.ts, False)
        whole(said)


def test_what_was_contradicted_before_the_snapshot_does_not_date_it() -> None:
    """Out, in, and out again within the second: the snapshot saw the last."""
    shift = Shift()
    logs_in(shift)
    shift.wait(30)
    early = len(shift.events)
    shift.logout("201")
    shift.login("201")
    shift.logout("201")
    late = len(shift.events)
    shift.now += 960_000
    ends(shift)
    worker = task()
    said = read(worker, [*shift.events[:early], *shift.events[late:]])
    said += read(worker, shift.events[early : late - 1], 50)
    assert (said[-1].state, said[-1].since, said[-1].estimated) == ("logged_out", shift.events[-1].ts, True)
    said += read(worker, shift.events[late - 1 : late], 60)
    assert (said[-1].since, said[-1].estimated) == (shift.events[late - 1].ts, False)
    whole(said)


def test_an_older_word_of_the_same_does_not_date_it() -> None:
    """He had logged out before, came back, and that was told: its copy is no news of what the snapshot showed."""
    shift = Shift()
    logs_in(shift)
    shift.login("201", "sales")
    shift.wait(30)
    shift.logout("201")
    shift.login("201")
    shift.wait(30)
    shift.logout("201", "sales")
    shift.wait(1)
    ends(shift)
    worker = task()
    said = read(worker, shift.events)
    assert (said[-1].state, said[-1].estimated) == ("logged_out", True)
    worker.seen.clear()
    assert read(worker, shift.events[:-1], 100) == []


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_wherever_a_snapshot_overtakes_the_same_state_is_told(data: st.DataObject) -> None:
    """Its rows stand anywhere among late live events, which two adapters tell, each in its own order."""
    shift = Shift()
    for queue in QUEUES:
        shift.login("201", queue)
    shift.device("201", "available")
    first = len(shift.events)
    shift.wait(30)
    for queue in data.draw(st.permutations(QUEUES)):
        shift.wait(data.draw(st.sampled_from([0.0, 0.1])))
        shift.pause("201", queue, reason="tea")
    last = len(shift.events)
    shift.wait(1)
    for queue in QUEUES:
        shift.shown("201", "s2", queue, **PAUSED)
    early, live, snapshot = shift.events[:first], shift.events[first:last], shift.events[last:]
    adapters = iter(live), iter(live)
    copies = [next(adapters[who]) for who in data.draw(st.permutations([0, 1] * len(live)))]
    place = data.draw(st.integers(0, len(copies)))
    worker = task()
    worker_of_order = read(task(), [*early, *live, *snapshot])
    said = read(worker, [*early, *copies[:place], *snapshot, *copies[place:]])
    whole(said)
    final, expected = said[-1], worker_of_order[-1]
    assert (final.number, final.state, final.reason) == (expected.number, "paused", "tea")
    assert final.since == expected.since == live[-1].ts
    assert not final.estimated
    spent = sum(one.previous_s or 0 for one in {one.number: one for one in said}.values())
    assert round(spent, 6) == (final.since - said[0].since) / MICRO
