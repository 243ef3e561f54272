"""The life of a call: what the fold concluded from each event is told beside it, and nothing else is."""

from dataclasses import replace

import pytest

from schemas.codec import as_row
from streams.processors.explain import Life, explain, natives
from streams.processors.explaining.telling import telling
from streams.processors.explaining.words import story
from streams.runtime import config
from streams.runtime.errors import Reject
from tests.streams.processors.folding.openings import attended, ringing_one, talking, waiting
from tests.streams.processors.folding.script import MICRO, Script, finals, fold
from tests.streams.processors.folding.told import cel
from tests.streams.processors.test_fold_recordings import events

RULES = config.Fold()


def life(call: Script, name: str = "C") -> Life:
    return explain(call.legs[name]["leg_id"], call.events, RULES)


def told(known: Life, *words: str) -> list[tuple[str, str]]:
    """What was concluded, and from which event: the sentences with one of these words."""
    return [
        ("time" if step.event is None else step.event.type, line)
        for step in known.steps
        for line in step.concluded
        if any(word in line for word in words)
    ]


def said(known: Life) -> list[tuple[str, int, str]]:
    """The revisions, and after which event."""
    return [
        ("time" if step.event is None else step.event.type, row["rev"], row["state"])
        for step in known.steps
        for row in step.revisions
    ]


def words(known: Life) -> list[str]:
    return [line for _, line in story(known.record)]


def second_attempt() -> Script:
    """The first agent of a queue does not answer, the second does."""
    call = waiting(1)
    call.offer("C", "A", queue="support", agent="201")
    call.wait(15)
    call.member("agent.ring_no_answer", "C", "A", queue="support", agent="201")
    call.unanswered("C", "A", "NOANSWER", 0)
    call.offer("C", "B", queue="support", agent="202")
    call.wait(4)
    call.take("C", "B", queue="support", agent="202")
    call.wait(30)
    call.hang_up("C", "B", "b1")
    return call


def test_an_answered_call() -> None:
    """Every event is there, what is concluded stands beside the event it comes from, and so do the revisions."""
    call = talking()
    call.hang_up("C", "A", "b1")
    known = life(call)
    assert [step.event for step in known.steps if step.event is not None] == call.events
    assert told(known, "begins", "rings", "talks", "talked", "over") == [
        ("leg.created", f"a call begins: {call.legs['C']['leg_id']}"),
        ("leg.ringing", "201 rings"),
        ("bridge.joined", "201 talks"),
        ("leg.ended", "201 has talked 60.0 s"),
        ("leg.ended", "over: answered, hung up by caller (cause 16)"),
    ]
    assert said(known) == [
        ("leg.ringing", 1, "ringing"),
        ("bridge.joined", 2, "connected"),
        ("leg.ended", 3, "ended"),
        ("time", 4, "final"),
    ]


def test_an_offer_that_was_lost_and_the_next() -> None:
    """A queue's two attempts are told apart, each with how it came out."""
    known = life(second_attempt())
    assert told(known, "201", "202") == [
        ("dial.started", "201 is offered the call"),
        ("agent.offered", "201 is offered the call by queue support"),
        ("leg.ringing", "201 rings"),
        ("dial.ended", "201 did not answer after 15.0 s"),
        ("dial.started", "202 is offered the call"),
        ("agent.offered", "202 is offered the call by queue support"),
        ("leg.ringing", "202 rings"),
        ("agent.connected", "leaves queue support after 20.0 s: connected to 202"),
        ("bridge.joined", "reached: 202"),
        ("bridge.joined", "202 talks"),
        ("leg.ended", "202 has talked 30.0 s"),
    ]
    assert words(known)[1:] == [
        "waits in queue support, position 1",
        "201 is called by queue support, rings 15.0 s: did not answer",
        "202 is called by queue support, rings 4.0 s: answered",
        "leaves queue support after 20.0 s: taken by 202",
        "202 talks with the customer for 30.0 s",
        "the call ends: caller hangs up, cause 16",
    ]


def test_two_calls_that_are_found_to_be_one() -> None:
    """The consultation had been a call of its own; it is asked for under either id and told once."""
    call = attended()
    first, second = call.legs["C"]["leg_id"], call.legs["A2"]["leg_id"]
    known = life(call)
    assert life(call, "A2").record == known.record
    assert told(known, "united", "transfer", "consulted") == [
        ("bridge.joined", f"{second} is the same call: united under {first}"),
        ("bridge.joined", "203 is consulted"),
        ("transfer.completed", "attended transfer by 201 to 203: completed"),
    ]
    assert ("bridge.joined", 3, "merged") in said(known)
    assert len([line for _, line in told(known, "203 is offered")]) == 1


def test_a_duplicate_is_told_to_be_one() -> None:
    """A second adapter tells the same event again: it changes nothing."""
    call = talking()
    call.hang_up("C", "A", "b1")
    known = explain(call.legs["C"]["leg_id"], [*call.events[:5], call.events[4], *call.events[5:]], RULES)
    assert [step.event for step in known.steps if step.again] == [call.events[4]]
    assert [step.concluded for step in known.steps if step.again] == [[]]


def test_an_event_that_overtook_another_stands_at_its_own_time() -> None:
    """And how late it arrived is told; the conclusion is drawn when it did arrive."""
    call = ringing_one()
    ring = call.events[-1]
    call.answer("A", "C")
    call.bridge("b1", "A", "C")
    call.events.remove(ring)
    call.events.append(replace(ring, received_at=call.events[-1].received_at))
    known = life(call)
    (late,) = [step for step in known.steps if step.late_s > 1]
    assert late.event is not None
    assert late.event.event_id == ring.event_id
    assert late.late_s == pytest.approx(3, abs=0.1)
    assert list(late.concluded) == ["201 rings"]
    assert [step.at for step in known.steps] == sorted(step.at for step in known.steps)


def test_a_gap_is_told_with_what_it_meant() -> None:
    """Nobody listened while the call ended: the flag, and that its end was concluded."""
    call = talking(10)
    since = call.now
    call.wait(30)
    call.say("gap.detected", data={"from_us": str(since)})
    gap = {"from_us": str(since), "to_us": str(call.now), "live": ""}
    call.say("gap.resolved", data=gap)
    known = life(call)
    assert [step.event.type for step in known.steps if step.event is not None][-2:] == ["gap.detected", "gap.resolved"]
    assert telling(call.events[-1]) == "from=22:13:33.0  to=22:14:03.0"
    assert [line for kind, line in told(known, "flag") if kind == "gap.resolved"] == [
        "flag estimated: an end was not told, but concluded",
        "flag gap: nobody listened for a part of this call",
    ]


def test_a_fact_that_comes_after_the_end() -> None:
    """A late note amends the record: one revision on."""
    call = talking()
    call.hang_up("C", "A", "b1")
    call.wait(20)
    call.say("note", "C", data={"author": "201", "text": "calls back"})
    known = life(call)
    assert said(known)[-2:] == [("time", 4, "final"), ("note", 5, "final")]
    assert known.steps[-1].concluded == ["note of 201: calls back"]


def test_other_calls_are_left_out() -> None:
    """Also when a whole day's events are at hand."""
    call = talking()
    call.arrive("X", number="+32470123499")
    call.end("X")
    call.hang_up("C", "A", "b1")
    known = life(call)
    assert {step.event.call_id for step in known.steps if step.event is not None} == {call.legs["C"]["call_id"]}
    assert [row["call_id"] for step in known.steps for row in step.revisions] == [call.legs["C"]["call_id"]] * 4


def test_an_open_call_is_told_as_far_as_it_is() -> None:
    """It is not final only because nothing more is at hand."""
    known = life(talking())
    assert known.record["state"] == "connected"
    assert words(known)[-1] == "201 talks with the customer"


def test_a_call_that_is_not_there() -> None:
    """It says so."""
    with pytest.raises(Reject, match="none of these events is of a call main:9"):
        explain("main:9", talking().events, RULES)


@pytest.mark.parametrize(("name", "found"), [("C", 2), ("A2", 2), ("B", 2), ("nobody", 0)])
def test_the_native_ids_of_a_call(name: str, found: int) -> None:
    """All that it was folded from, by any of them, and nothing of the calls beside it."""
    call = attended()
    call.arrive("X", number="+32470123499")
    call.end("X")
    known = natives(call.legs[name]["leg_id"] if name in call.legs else name, call.events, RULES)
    assert len(known) == found
    assert call.legs["X"]["leg_id"] not in known


def test_records_beside_live_events() -> None:
    """An event of the PBX's records that says nothing new concludes nothing, and is there."""
    call = talking()
    call.hang_up("C", "A", "b1")
    moment = call.events[0].ts // MICRO * MICRO
    call.say(
        "cdr.final", "C", ts=moment, ts_precision="s", synthetic=True, data={"source": "cdr", "disposition": "ANSWERED"}
    )
    known = life(call)
    assert [step.concluded for step in known.steps if step.event is call.events[-1]] == [[]]


def test_what_is_known_from_records_alone_is_drawn_too() -> None:
    """Legs and talk as CEL tells them, and final only when no other record is waited for."""
    call = talking()
    call.hang_up("C", "A", "b1")
    known = explain(call.legs["C"]["leg_id"], cel(call.events), RULES)
    assert [leg.id for leg in known.legs] == [call.legs[name]["leg_id"] for name in ("C", "A")]
    assert [round((span.end - span.start) / MICRO) for span in known.talks] == [60]
    assert said(known)[-1][0::2] == ("time", "final")
    assert known.record["quality"] == ["records"]


@pytest.mark.parametrize("case", ["attended_transfer", "queue_ringall_local", "two_calls_at_once", "voicemail"])
def test_it_ends_where_the_fold_ends(case: str) -> None:
    """Of a real Asterisk's calls: the record that is explained is the one that is published, revision for revision."""
    heard = list(events(case))
    published = fold(heard)
    for name, last in finals(published).items():
        known = explain(name, heard, RULES)
        row = as_row(last)
        assert {**known.record, "updated_at": 0} == {**row, "updated_at": 0}
        emitted = [row["rev"] for step in known.steps for row in step.revisions if row["call_id"] == name]
        assert emitted == [call.rev for call in published if call.call_id == name]
