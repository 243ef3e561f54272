"""Whatever copies come, whoever reads, wherever a worker dies: the same states, each once."""

import random
from collections.abc import Sequence
from operator import itemgetter

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.events import AgentState, EnrichedCallEvent
from streams.processors.agents import Agents
from streams.runtime.pipeline import Output
from tests.streams.processors.folding.script import MICRO, Message
from tests.streams.processors.presence.shift import Shift, feed, states, task, told, whole

RULES = {"wrapup_seconds": 6.0}


def day() -> list[EnrichedCallEvent]:
    """Two agents: log-ins, calls with wrap-up, pauses, a gap with a snapshot in the middle of a wrap-up, log-outs."""
    shift = Shift()
    shift.say("source.up", data={"session": "s1"})
    for agent in ("201", "202"):
        shift.login(agent)
        shift.login(agent, "sales")
    shift.queue_call("201")
    shift.device("201", "available")
    shift.wait(2)
    shift.pause("201", reason="tea")
    shift.pause("201", "sales", reason="tea")
    shift.queue_call("202", talk_s=9)
    shift.wait(20)
    shift.resume("201")
    shift.lift("B", "201", dials="+32470123401")
    shift.wait(4)
    shift.hold("B", 3)
    shift.say("source.down", data={"session": "s1"})
    shift.wait(10)
    shift.say("source.up", data={"session": "s2"})
    shift.queue_call("202", talk_s=1)
    shift.shown("201", "s2", "support", paused="0", phone="available")
    shift.shown("201", "s2", "sales", state="paused", paused="1", phone="available")
    shift.shown("202", "s2", "sales", paused="0", phone="available")
    shift.say("gap.resolved", data={"session": "s2", "live": ""})
    shift.queue_call("202", talk_s=5)
    shift.wait(1)
    shift.logout("202", "sales")
    shift.wait(3)
    shift.logout("201", "sales")
    shift.logout("201")
    return shift.events


EVENTS = day()


class Log:
    """The two topics and the committed place of a partition, as a worker sees them."""

    def __init__(self, events: Sequence[EnrichedCallEvent]) -> None:
        self.input = [codec.encode(event) for event in events]
        self.times = [event.received_at for event in events]
        self.output: list[bytes] = []
        self.keys: dict[bytes, bytes] = {}
        self.low_water: int | None = None
        self.committed = 0

    def worker(self, *, compacted: bool = False) -> Agents:
        """A new owner of the partition."""
        worker = task(**RULES)
        for value in self.keys.values() if compacted else self.output:
            worker.recall(value)
        if self.low_water is not None:
            for offset in range(self.low_water, self.committed):
                worker.replay([Message(self.input[offset], offset)])
        return worker

    def work(self, worker: Agents, until: int) -> None:
        for offset in range(self.committed, until):
            now = self.times[offset]
            self.write([*worker.tick(now), *worker.process([Message(self.input[offset], offset)], now)])
        self.committed, self.low_water = until, worker.low_water()

    def finish(self, worker: Agents) -> list[AgentState]:
        self.work(worker, len(self.input))
        self.write([*worker.tick(self.times[-1] + 60 * MICRO)])
        return [codec.decode(AgentState, value) for value in self.output]

    def write(self, said: Sequence[object]) -> None:
        for each in said:
            assert isinstance(each, Output)
            assert each.key is not None
            assert each.value is not None
            self.output.append(each.value)
            self.keys[each.key] = each.value


UNBROKEN = Log(EVENTS)
EXPECTED = UNBROKEN.finish(UNBROKEN.worker())


def plain(said: Sequence[AgentState]) -> list[dict[str, object]]:
    """By agent, without the moment at which it was told: what the clock ends is told when somebody looks."""
    rows = [{**codec.as_row(one), "received_at": 0} for one in said]
    return sorted(rows, key=itemgetter("agent_id"))


def test_the_day_holds_what_it_should() -> None:
    """Every kind of state; the snapshot's are flagged, and nothing needs to be read again."""
    whole(EXPECTED)
    assert [(state, reason) for state, _, reason in told(EXPECTED)] == [
        *(("available", ""), ("ringing", ""), ("on_call", ""), ("wrapup", ""), ("paused", "tea"), ("available", "")),
        *(("on_call", ""), ("hold", ""), ("on_call", ""), ("available", ""), ("logged_out", "")),
    ]
    assert [state for state, _, _ in told(EXPECTED, "202")] == [
        *("available", "ringing", "on_call", "wrapup", "available"),
        *("ringing", "on_call", "wrapup", "ringing", "on_call", "wrapup", "logged_out"),
    ]
    assert UNBROKEN.low_water is None


@given(cuts=st.lists(st.integers(0, len(EVENTS)), max_size=4).map(sorted), compacted=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_take_over_at_any_moment_changes_nothing(cuts: list[int], compacted: bool) -> None:
    """Wherever workers die, and whether compaction has run or not, the records are those of one that lived."""
    log = Log(EVENTS)
    for cut in cuts:
        log.work(log.worker(compacted=compacted), cut)
    assert plain(log.finish(log.worker(compacted=compacted))) == plain(EXPECTED)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_what_was_not_committed_is_done_again(data: st.DataObject) -> None:
    """An aborted batch leaves no trace."""
    cut = data.draw(st.integers(0, len(EVENTS)))
    lost = data.draw(st.integers(cut, len(EVENTS)))
    log, aborted = Log(EVENTS), Log(EVENTS)
    log.work(log.worker(), cut)
    aborted.output, aborted.committed, aborted.low_water = list(log.output), log.committed, log.low_water
    aborted.work(aborted.worker(), lost)
    assert plain(log.finish(log.worker())) == plain(EXPECTED)


@given(seed=st.integers(0, 10_000), lag=st.integers(0, 40), missed=st.integers(0, len(EVENTS)))
@settings(max_examples=60, deadline=None)
def test_two_adapters_are_one(seed: int, lag: int, missed: int) -> None:
    """Each event comes from both, one of them up to `lag` events behind and dead from some event on."""
    chance = random.Random(seed)
    places = [(offset + chance.random() * 0.5, event) for offset, event in enumerate(EVENTS)]
    behind = [(offset + chance.random() * lag, event) for offset, event in enumerate(EVENTS[:missed])]
    in_order = []
    latest = 0.0
    for place, event in behind:
        latest = max(latest, place)
        in_order.append((latest, event))
    mixed = [event for _, event in sorted([*places, *in_order], key=lambda each: each[0])]
    worker = task(**RULES)
    said = feed(worker, mixed)
    said += states(worker.tick(EVENTS[-1].received_at + 60 * MICRO))
    assert plain(said) == plain(EXPECTED)


@given(st.lists(st.integers(0, len(EVENTS) - 1), max_size=30))
@settings(max_examples=40, deadline=None)
def test_copies_of_any_age_change_nothing(copies: list[int]) -> None:
    """They come long after, when enrichment has forgotten their ids: nothing new is said."""
    worker = task(**RULES)
    feed(worker, EVENTS)
    states(worker.tick(EVENTS[-1].received_at + 60 * MICRO))
    worker.seen.clear()
    late = [EVENTS[copy] for copy in copies if EVENTS[copy].type not in ("source.up", "source.down", "gap.resolved")]
    assert feed(worker, late) == []


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_overtaking_events_lead_to_the_same_state(data: st.DataObject) -> None:
    """Each event may be late by up to a second: what is passed over on the way is not told, the outcome is the same."""
    shift = Shift()
    for agent in ("201", "202"):
        shift.login(agent)
        shift.login(agent, "sales")
    shift.wait(5)
    shift.queue_call("201", ring_s=2, talk_s=4)
    shift.pause("202", reason="tea")
    shift.resume("202")
    shift.device("201", "available")
    shift.pause("202", "sales", reason="tea")
    shift.pause("202", reason="tea")
    shift.lift("B", "201", dials="+32470123401")
    shift.hold("B", 0.2)
    late = [(event.ts + data.draw(st.integers(0, MICRO)), event) for event in shift.events]
    said = feed(task(), [event for _, event in sorted(late, key=lambda each: each[0])])
    whole(said)
    last = {one.agent_id: (one.state, one.reason, one.queues) for one in said}
    assert last == {"201": ("on_call", "", ("sales", "support")), "202": ("paused", "tea", ("sales", "support"))}


def test_the_sum_of_all_states_is_the_time_that_was_observed() -> None:
    """Conservation: from an agent's first state to the last, no microsecond is lost or counted twice."""
    for agent in ("201", "202"):
        mine = [one for one in EXPECTED if one.agent_id == agent]
        spent = sum(one.previous_s or 0 for one in mine if one.rev == 1)
        assert round(spent, 6) == (mine[-1].since - mine[0].since) / MICRO
