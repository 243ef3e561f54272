"""Facts that come when the call is final: the next revision of the whole record, or nothing."""

import pytest

from schemas import codec
from schemas.events import Call, Note
from streams.processors.fold import Fold
from streams.runtime import config
from streams.runtime.pipeline import Output, Refused
from tests.streams.processors.folding.openings import attended, queue_talk, waiting
from tests.streams.processors.folding.script import MICRO, Message, Script, feed, finals, tick


def finished(call: Script) -> tuple[Fold, dict[str, Call]]:
    """The script's calls, final, and the task that knows them."""
    task = Fold(config.Fold(), 0)
    said = feed(task, call.events)
    said += tick(task, call.now + 60 * MICRO)
    call.events.clear()
    call.wait(600)
    return task, finals(said)


def talked() -> Script:
    call = queue_talk()
    call.hang_up("C", "A", "b1")
    return call


def test_recording_and_note() -> None:
    """Each is one revision more, with everything else as it was; the same again is none."""
    call = talked()
    task, before = finished(call)
    call.say("recording.available", "C", data={"file": "/rec/1.wav"})
    call.say("note", "C", data={"author": "ana", "text": "calls back", "tags": "vip,late"})
    call.say("note", "C", ts=call.now, data={"author": "ana", "text": "calls back", "tags": "vip,late"})
    first, second = feed(task, call.events)
    (final,) = before.values()
    assert (first.rev, second.rev, second.state) == (final.rev + 1, final.rev + 2, "final")
    assert [one.file for one in second.recordings] == ["/rec/1.wav"]
    assert second.notes == (Note(at=call.now - 1000, author="ana", text="calls back", tags=("vip", "late")),)
    assert (second.talk_s, second.segments) == (final.talk_s, final.segments)


def test_message_of_a_caller_whom_nobody_answered() -> None:
    """The sign of a message can come long after the hang-up; an answered call stays answered."""
    call = waiting(45)
    call.leave("C", "support", "abandoned")
    call.wait(5)
    call.end("C")
    task, _ = finished(call)
    call.say("voicemail.message", "C", data={"new": "1"})
    call.say("voicemail.message", "C", data={"new": "1"})
    assert [one.outcome for one in feed(task, call.events)] == ["voicemail"]
    answered = talked()
    task, _ = finished(answered)
    answered.say("voicemail.message", "C", data={"new": "1"})
    assert feed(task, answered.events) == []


def test_who_completed() -> None:
    """A late AgentComplete fills in who ended the agent's part."""
    call = talked()
    task, _ = finished(call)
    call.member("agent.completed", "C", "A", queue="support", agent="201", by="caller")
    (amended,) = feed(task, call.events)
    assert (amended.segments[0].by, amended.hangup_by) == ("caller", "caller")


@pytest.mark.parametrize("kind", ["bridge.left", "leg.ended", "leg.updated", "hold.ended", "leg.ringing", "dtmf"])
def test_a_leg_of_a_finished_call_changes_nothing(kind: str) -> None:
    """Its record says what was known when all grace had passed, and no new call comes of it."""
    call = talked()
    task, _ = finished(call)
    call.say(kind, "A", ts=call.now - 601 * MICRO, data={"bridge": "b1"})
    assert feed(task, call.events) == []
    assert tick(task, call.now + 60 * MICRO) == []


def test_a_fact_of_a_merged_call_belongs_to_the_one_it_became_part_of() -> None:
    """The consultation's own id leads to the call that it was for."""
    call = attended()
    task, before = finished(call)
    survivor = next(one for one in before.values() if one.state == "final")
    call.say("recording.available", "A2", data={"file": "/rec/consult.wav"})
    (amended,) = feed(task, call.events)
    assert (amended.call_id, amended.rev) == (survivor.call_id, survivor.rev + 1)


def test_a_new_leg_under_the_name_of_a_finished_call() -> None:
    """It is told apart from a late event by its time, and is a call of its own: nothing that happens is left out."""
    call = talked()
    task, _ = finished(call)
    call.leg("N", "PJSIP/204", "C", agent="204", caller_raw="204")
    call.say("leg.created", "N")
    call.ring("N")
    call.end("N")
    said = [*feed(task, call.events), *tick(task, call.now + 60 * MICRO)]
    assert {one.call_id for one in said} == {call.legs["N"]["leg_id"]}
    assert [one.state for one in said] == ["ringing", "ended", "final"]


def test_after_the_window_a_late_fact_is_no_call() -> None:
    """Who is told of it then applies it by the call's id."""
    call = talked()
    task, _ = finished(call)
    tick(task, call.now + 48 * 3600 * MICRO)
    call.say("recording.available", "C", data={"file": "/rec/1.wav"})
    assert feed(task, call.events) == []
    assert len(task.past) == 0
    tick(task, call.now + 96 * 3600 * MICRO)
    assert task.scopes == {}


def test_what_is_no_event_is_refused() -> None:
    """Undecodable bytes and tombstones go to the dead letters with their reason, and the rest goes on."""
    call = talked()
    task = Fold(config.Fold(), 0)
    call.known_as(match="matched", contact_id="C00001")
    cut = codec.encode(call.events[0])[:-9]
    broken = [Message(b"\x00garbage"), Message(None), Message(cut)]
    assert [type(answer) for answer in task.process(broken, call.now)] == [Refused] * 3
    said = feed(task, call.events)
    assert (said[-1].state, said[-1].contact_id) == ("ended", "C00001")
    Fold(config.Fold(), 0).replay(broken)


def test_states_of_telephones_cost_nothing_and_say_nothing() -> None:
    """Presence is not about a call."""
    call = Script()
    call.leg("A", "PJSIP/201", agent="201")
    call.say("agent.state", "A", data={"state": "on_call"})
    call.say("source.up")
    call.say("source.down")
    task = Fold(config.Fold(), 0)
    assert feed(task, call.events) == []
    assert task.low_water() is None
    assert not any(isinstance(each, Output) for each in task.tick(call.now + 60 * MICRO))
