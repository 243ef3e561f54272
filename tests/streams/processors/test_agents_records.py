"""Agents of a site that has only queue_log, and of one that has it beside live events."""

from collections.abc import Sequence

from producers.adapter import Context, Frame
from producers.numbers import NumberPlan
from producers.pbx.asterisk_queue_log import Config, normalise
from schemas import codec
from schemas.events import EnrichedCallEvent
from tests.streams.processors.folding.script import MICRO, START
from tests.streams.processors.presence.shift import Shift, feed, task, told, whole

HOUSE = Context(tenant="t", pbx="main", numbers=NumberPlan(country="BE", extensions=r"2\d\d"), config=Config())


def rows(*told: tuple[int, str]) -> list[EnrichedCallEvent]:
    """The events of rows of the file, each at that many seconds after the start."""
    raws = [f"{START // MICRO + at}|{row}".encode() for at, row in told]
    return [
        EnrichedCallEvent(**codec.as_row(event))
        for seq, raw in enumerate(raws)
        for event in normalise(Frame(raw, START, seq, 0, {"ahead": ""}), HOUSE)
    ]


DAY = rows(
    (0, "NONE|support|PJSIP/201|ADDMEMBER|"),
    (0, "NONE|sales|PJSIP/201|ADDMEMBER|"),
    (10, "1700000005.1|support|NONE|ENTERQUEUE||0470123401|1"),
    (14, "1700000005.1|support|PJSIP/201|CONNECT|4|1700000011.2|3"),
    (44, "1700000005.1|support|PJSIP/201|COMPLETECALLER|4|30|1"),
    (60, "NONE|NONE|PJSIP/201|PAUSEALL|lunch"),
    (60, "NONE|support|PJSIP/201|PAUSE|lunch"),
    (60, "NONE|sales|PJSIP/201|PAUSE|lunch"),
    (90, "NONE|support|PJSIP/201|UNPAUSE|"),
    (90, "NONE|sales|PJSIP/201|UNPAUSE|"),
    (99, "NONE|support|PJSIP/201|REMOVEMEMBER|"),
    (99, "NONE|sales|PJSIP/201|REMOVEMEMBER|"),
)


def test_queue_log_alone_tells_log_ins_pauses_and_talks() -> None:
    """In whole seconds, and the record says so; that a telephone rings it does not know."""
    said = feed(task(wrapup_seconds=5), DAY)
    assert told(said) == [
        *(("available", 0.0, ""), ("on_call", 14.0, ""), ("wrapup", 44.0, ""), ("available", 49.0, "")),
        *(("paused", 60.0, "lunch"), ("available", 90.0, ""), ("logged_out", 99.0, "")),
    ]
    whole(said)
    assert {one.precision for one in said if not one.estimated} == {"s"}
    talk = next(one for one in said if one.state == "on_call")
    assert (talk.queue, talk.call_id, talk.estimated) == ("support", "main:1700000005.1", False)


def test_queue_log_beside_live_events_changes_nothing() -> None:
    """Its rows come later and are less exact; what they tell was told, whichever of them comes first."""
    shift = Shift()
    shift.login("201")
    shift.login("201", "sales")
    shift.now = START + 10 * MICRO
    shift.queue_call("201", ring_s=4, talk_s=30)
    shift.now = START + 60 * MICRO
    shift.pause("201", reason="lunch")
    shift.pause("201", "sales", reason="lunch")
    shift.now = START + 90 * MICRO
    shift.resume("201")
    shift.resume("201", "sales")
    shift.now = START + 99 * MICRO
    shift.logout("201")
    shift.logout("201", "sales")
    expected = told(feed(task(wrapup_seconds=5), shift.events))
    mixed: Sequence[EnrichedCallEvent] = sorted(
        [*shift.events, *DAY], key=lambda event: (event.ts + 3 * MICRO, event.seq)
    )
    late = [*shift.events, *DAY]
    for events in (mixed, late):
        said = feed(task(wrapup_seconds=5), events)
        whole(said)
        assert [(state, reason) for state, _, reason in told(said)] == [
            (state, reason) for state, _, reason in expected
        ]
    assert told(feed(task(wrapup_seconds=5), late)) == expected


def test_a_row_about_a_talk_that_is_over_makes_no_other() -> None:
    """A new owner has not heard yet that live events are read, and what it reads first is a late row."""
    shift = Shift()
    shift.login("201")
    shift.now = START + 10 * MICRO
    shift.queue_call("201", ring_s=4, talk_s=30)
    said = feed(task(), shift.events)
    successor = task()
    for one in said:
        successor.recall(codec.encode(one))
    assert feed(successor, DAY[3:5]) == []


def test_records_tell_what_happened_while_no_adapter_read() -> None:
    """They are newer than anything that was heard live."""
    shift = Shift()
    shift.login("201")
    said = feed(task(), [*shift.events, *DAY[5:8]])
    assert told(said) == [("available", 0.0, ""), ("paused", 60.0, "lunch")]
