"""Records and live events over a change of workers, and a day of records that is read at once."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from tests.streams.processors.folding.script import MICRO, START, Script, feed, finals, tick
from tests.streams.processors.folding.told import by_arrival, cdr, cel
from tests.streams.processors.test_fold_records import answered, through_a_queue
from tests.streams.processors.test_fold_records_gaps import deaf
from tests.streams.processors.test_fold_restart import Log, by_call


def delayed(events: list[EnrichedCallEvent], seconds: float) -> list[EnrichedCallEvent]:
    """The same, that arrive so much later."""
    return [replace(event, received_at=event.received_at + round(seconds * MICRO)) for event in events]


def _evening() -> list[EnrichedCallEvent]:
    """A call with a gap, whose CEL comes a minute late; and one of which only CDR and queue_log tell, in two parts."""
    one = through_a_queue()
    live = deaf(one.events, one.legs["C"]["leg_id"], one.legs["A"]["leg_id"])
    other = Script(now=START + 40 * MICRO, sequence=20)
    other.arrive("D", number="+32470123402")
    other.dial("D", "E", agent="202")
    other.dial("D", "F", agent="203")
    first = cdr(other, "D", "E", start=40, answer=43, end=60, sequence=1)
    second = cdr(other, "D", "F", start=60, answer=63, end=90, sequence=2)
    return by_arrival(live, delayed(cel(one.events), 60), delayed([first], 5), delayed([second], 90))


EVENING = _evening()
ONE_WORKER = Log(EVENING)
UNBROKEN = ONE_WORKER.finish(ONE_WORKER.worker())


def test_the_evening_holds_what_it_should() -> None:
    """Two calls, each amended once by what came late."""
    known = finals(UNBROKEN)
    assert [(one.quality, one.agent) for one in known.values()] == [(("gap_resolved",), "201"), (("records",), "203")]
    assert [one.state for one in UNBROKEN].count("final") == 4
    assert ONE_WORKER.low_water is None


@given(cuts=st.lists(st.integers(0, len(EVENING)), max_size=4).map(sorted))
@settings(max_examples=60, deadline=None)
def test_a_take_over_at_any_moment_loses_no_record(cuts: list[int]) -> None:
    """Wherever workers die, the calls come out as with one worker that lived, and no revision contradicts another.

    To a few ms: with every new worker a grace begins anew, and rows that would have been late may not be.
    """
    log = Log(EVENING)
    for cut in cuts:
        log.work(log.worker(), cut)
    said = log.finish(log.worker())
    for one, other in zip(by_call([*finals(said).values()]), by_call([*finals(UNBROKEN).values()]), strict=True):
        mine, told = (codec.as_row(each) for each in (one, other))
        for key in mine.keys() - {"rev", "updated_at", "events"}:
            near(mine[key], told[key], key)
    assert len({(one.call_id, one.rev) for one in said}) == len(said)


def near(one: object, other: object, name: str) -> None:
    """The same, but for moments and durations, which may be some ms apart."""
    if isinstance(one, list) and isinstance(other, list):
        for mine, told in zip(one, other, strict=True):
            near(mine, told, name)
    elif isinstance(one, dict) and isinstance(other, dict):
        for key, value in one.items():
            near(value, other[key], f"{name} {key}")
    elif isinstance(one, (int, float)) and one != other:
        assert other == pytest.approx(one, abs=MICRO // 20 if name.endswith("_at") else 0.05), name
    else:
        assert one == other, name


def _day(calls: int) -> list[list[EnrichedCallEvent]]:
    """So many calls, each with its CEL rows, one a minute."""
    told = []
    for number in range(calls):
        call = Script(now=START + number * 60 * MICRO, sequence=number * 4)
        call.arrive()
        call.dial("C", "A", agent="201")
        call.wait(3)
        call.answer("A", "C")
        call.bridge("b" + str(number), "A", "C")
        call.wait(20)
        call.hang_up("A", "C", "b" + str(number))
        told.append(cel(call.events))
    return told


@pytest.mark.parametrize("live", [False, True])
def test_a_day_of_cel_read_at_once(live: bool) -> None:
    """A backlog comes in seconds: each call is one, is final once, and is so before the day has been read."""
    now = START + 24 * 3600 * MICRO
    task, said = Fold(config.Fold(), 0), list[Call]()
    if live:
        other = Script(now=now, sequence=9000)
        other.arrive("X", number="+32470123409")
        feed(task, other.events)
    for batch in _day(30):
        now += MICRO // 2
        said += feed(task, [replace(event, received_at=now) for event in batch])
        said += tick(task, now)
    assert 0 < len([one for one in said if one.state == "final"]) < 30
    said += tick(task, now + 60 * MICRO)
    known = [one for one in said if one.state == "final"]
    assert len({one.call_id for one in known}) == len(known) == 30
    assert [one.talk_s for one in known] == pytest.approx([20] * 30, abs=0.05)


def test_a_cdr_without_any_id() -> None:
    """cdr.conf can leave out both: its channel and its time lead to the call, or are its name."""
    call = answered()
    row = cdr(call, "C", "A", start=0, answer=3, end=63, dst="201")
    nameless = replace(row, call_id="", leg_id="")
    beside = finals(
        [*feed(task := Fold(config.Fold(), 0), [*call.events, nameless]), *tick(task, START + 3600 * MICRO)]
    )
    assert [one.quality for one in beside.values()] == [()]
    alone = finals([*feed(task := Fold(config.Fold(), 0), [nameless]), *tick(task, START + 3600 * MICRO)])
    assert [(one.call_id, one.outcome) for one in alone.values()] == [
        (f"main:{row.channel}@{START // MICRO}", "answered")
    ]
