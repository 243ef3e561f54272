"""A worker dies and another takes over: revisions go on as if nothing had happened, and none is told twice."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.processors.folding import wire
from streams.runtime import config
from streams.runtime.pipeline import Output, Refused
from tests.streams.processors.folding.openings import attended, queue_talk
from tests.streams.processors.folding.script import MICRO, Message, Script, feed, finals, fold, tick


def day() -> Script:
    """Several calls over one another: one that waits long, one that is over at once, a transfer that joins two."""
    call = attended()
    call.arrive("D", number="+32470123402")
    call.up("D")
    call.queue("D", "sales")
    call.wait(1)
    call.arrive("E", number="+32470123403")
    call.dial("E", "F", agent="207")
    call.ring("F")
    call.unanswered("E", "F", "BUSY", 17)
    call.end("E", 17)
    call.wait(10)
    call.leave("D", "sales", "abandoned")
    call.wait(5)
    call.asks_to_hang_up("D")
    call.end("D")
    return call


EVENTS = day().events


class Log:
    """The two topics and the committed place of a partition, as a worker sees them."""

    def __init__(self, events: Sequence[EnrichedCallEvent]) -> None:
        self.input = [codec.encode(event) for event in events]
        self.times = [event.received_at for event in events]
        self.output: list[bytes] = []
        self.low_water: int | None = None
        self.committed = 0

    def worker(self, **rules: float) -> Fold:
        """A new owner of the partition, brought up to what was committed."""
        task = Fold(config.Fold(**rules), 0)  # type: ignore[arg-type]
        for value in self.output:
            task.recall(value)
        if self.low_water is not None:
            for offset in range(self.low_water, self.committed):
                task.replay([Message(self.input[offset], offset)])
        return task

    def work(self, task: Fold, until: int) -> None:
        """Process up to that offset and commit; timers run as time goes by."""
        for offset in range(self.committed, until):
            now = self.times[offset]
            self.write(task.tick(now))
            self.write(task.process([Message(self.input[offset], offset)], now))
        self.committed, self.low_water = until, task.low_water()

    def finish(self, task: Fold) -> list[Call]:
        """To the end of all grace; every revision in the order in which it was told."""
        self.work(task, len(self.input))
        for later in (0, 60):
            self.write(task.tick(self.times[-1] + later * MICRO))
        self.low_water = task.low_water()
        return [codec.decode(Call, value) for value in self.output]

    def write(self, said: Iterable[Output | Refused]) -> None:
        self.output += [each.value or b"" for each in said if isinstance(each, Output)]


def told(revisions: Sequence[Call]) -> list[tuple[str, int, str]]:
    return [(one.call_id, one.rev, one.state) for one in revisions]


def by_call(revisions: Sequence[Call]) -> list[Call]:
    return sorted(revisions, key=lambda one: one.call_id)


def plain(call: Call) -> dict[str, object]:
    """A record without the moment at which it was told."""
    return {**codec.as_row(call), "updated_at": 0}


ONE_WORKER = Log(EVENTS)
UNBROKEN = ONE_WORKER.finish(ONE_WORKER.worker())


def test_the_day_holds_what_it_should() -> None:
    """Four calls began, one of them became part of another."""
    assert sorted(one.state for one in finals(UNBROKEN).values()) == ["final", "final", "final", "merged"]
    assert ONE_WORKER.low_water is None


@given(cuts=st.lists(st.integers(0, len(EVENTS)), max_size=4).map(sorted))
@settings(max_examples=60, deadline=None)
def test_a_take_over_at_any_moment_changes_nothing(cuts: list[int]) -> None:
    """Wherever workers die, each call's revisions and their order are those of one worker that lived.

    Between calls the order may differ: with every new worker the grace of a call that is over begins anew.
    """
    log = Log(EVENTS)
    for cut in cuts:
        log.work(log.worker(), cut)
    said, unbroken = by_call(log.finish(log.worker())), by_call(UNBROKEN)
    assert told(said) == told(unbroken)
    assert list(map(plain, said)) == list(map(plain, unbroken))


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_what_was_not_committed_is_done_again(data: st.DataObject) -> None:
    """An aborted batch leaves no trace: its events come again, to a worker that never saw its answers."""
    cut = data.draw(st.integers(0, len(EVENTS)))
    lost = data.draw(st.integers(cut, len(EVENTS)))
    log = Log(EVENTS)
    log.work(log.worker(), cut)
    aborted = Log(EVENTS)
    aborted.output, aborted.committed, aborted.low_water = list(log.output), log.committed, log.low_water
    aborted.work(aborted.worker(), lost)
    assert told(by_call(log.finish(log.worker()))) == told(by_call(UNBROKEN))


@pytest.mark.parametrize("cut", range(0, len(EVENTS), 7))
def test_low_water_is_the_oldest_event_still_needed(cut: int) -> None:
    """It is the first event of the oldest call that is not final; before it nothing need be read again."""
    log = Log(EVENTS)
    task = log.worker()
    log.work(task, cut)
    final = {one.call_id for one in map(_decoded, log.output) if one.state in ("final", "merged")}
    needed = [
        at for at, event in enumerate(EVENTS[:cut]) if event.leg_id == event.call_id and event.call_id not in final
    ]
    assert log.low_water == min(needed, default=None)


def _decoded(value: bytes) -> Call:
    return codec.decode(Call, value)


def test_finished_calls_are_not_told_again() -> None:
    """A low water that lies far back, for the sake of one long call, tells nothing of the short ones since."""
    call = queue_talk(1)
    for n in range(5):
        call.arrive(f"X{n}", number=f"+3247012350{n}")
        call.asks_to_hang_up(f"X{n}")
        call.end(f"X{n}")
        call.wait(10)
    log = Log(call.events)
    log.work(log.worker(), len(call.events))
    before = len(log.output)
    task = log.worker()
    for later in (0, 60):
        log.write(task.tick(call.now + later * MICRO))
    assert before == 12
    assert [_decoded(value).call_id for value in log.output[before:]] == [call.legs["X4"]["leg_id"]]


def test_calls_older_than_the_window_are_not_told_again() -> None:
    """Replayed calls that are over and of which nothing is recalled were final before the window."""
    log = Log(EVENTS)
    log.work(log.worker(), len(EVENTS))
    task = Fold(config.Fold(), 0)
    for offset, value in enumerate(log.input):
        task.replay([Message(value, offset)])
    assert tick(task, EVENTS[-1].ts + 60 * MICRO) == []


def test_recall_keeps_the_highest_revision() -> None:
    """Two revisions of one transaction can stand in the topic in either order."""
    call = queue_talk()
    call.hang_up("C", "A", "b1")
    said = fold(call.events)
    task = Fold(config.Fold(), 0)
    for one in (*said[:-2], said[-1], said[-2]):
        task.recall(codec.encode(one))
    call.say("recording.available", "C", data={"file": "/rec/1.wav"})
    (amended,) = feed(task, call.events[-1:], len(call.events))
    assert (amended.rev, amended.state) == (said[-1].rev + 1, "final")


def test_what_is_said_can_be_read_by_everybody() -> None:
    """The fold writes rows, not values: every record is the same through the contract's own codec."""
    for value in ONE_WORKER.output:
        call = codec.decode(Call, value)
        assert codec.encode(call) == value
        said = wire.read_said(value)
        assert said == (call.call_id, call.rev, call.merge_key, call.state, call.merged_into)
