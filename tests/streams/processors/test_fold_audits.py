"""Audits: the adapter asks now and then who is alive, and a call whose end was lost does not stay open for hours."""

import pytest

from streams.processors.fold import Fold
from streams.runtime import config
from tests.streams.processors.folding.script import MICRO, Script, at, feed, fold, only, tick
from tests.streams.processors.test_fold_gaps import talk

HOUR = 3600 * MICRO


def audit(call: Script, *alive: str, seconds: float = 60, session: str = "a1", moment: int | None = None) -> None:
    """So many seconds later somebody takes stock."""
    call.wait(seconds)
    live = " ".join(call.legs[name]["leg_id"].removeprefix("main:").replace(" ", "%20") for name in alive)
    told = {"since_us": "1", "until_us": str(call.now), "audit_us": str(moment or call.now), "live": live}
    call.say("source.up", data={"heartbeat": "1", "session": session, "reader": session[0], **told})


def test_a_lost_hangup_is_noticed_after_two_audits() -> None:
    """Both ends were lost: the call is closed where it was last seen alive, and says that this is an estimate."""
    call = talk()
    audit(call, "A", "C")
    audit(call)
    assert fold(call.events)[-1].state == "connected"
    audit(call)
    known = only(fold(call.events))
    assert (known.outcome, known.quality, known.hangup_by) == ("answered", ("estimated",), "")
    assert at(known.ended_at) == 73.0


def test_one_lost_hangup_ends_its_own_leg() -> None:
    """The other leg goes on, and the call with it."""
    call = talk()
    call.end("A")
    audit(call, "A")
    audit(call)
    assert only(fold(call.events)).quality == ("estimated",)


def test_a_leg_that_is_younger_than_the_list_is_not_missed() -> None:
    """It began while the list was made, or speaks after it: twice not shown, and alive."""
    call = talk()
    early = call.now - 12 * MICRO
    audit(call, seconds=1, moment=early)
    audit(call, seconds=60, moment=early + MICRO)
    assert fold(call.events)[-1].state == "connected"
    call = talk()
    audit(call)
    call.say("leg.updated", "A", data={"state": "6"})
    call.say("leg.updated", "C", data={"state": "6"})
    audit(call)
    assert fold(call.events)[-1].state == "connected"


def test_a_leg_that_is_shown_again_was_not_missed() -> None:
    """Two audits in a row must miss it."""
    call = talk()
    audit(call)
    audit(call, "A", "C")
    audit(call)
    assert fold(call.events)[-1].state == "connected"


def test_two_adapters_at_the_same_moment_are_one_audit() -> None:
    """Each takes stock by its own clock; a minute is to pass all the same, or at least a while."""
    call = talk()
    audit(call)
    audit(call, seconds=2, session="b1")
    assert fold(call.events)[-1].state == "connected"
    audit(call, seconds=58)
    assert only(fold(call.events)).quality == ("estimated",)


def test_the_end_that_comes_after_all_is_better() -> None:
    """A Hangup that was only late takes the estimate's place."""
    call = talk()
    ended = call.now
    audit(call)
    audit(call)
    call.now, later = ended, call.now
    call.hang_up("C", "A", "b1")
    call.now = later
    known = only(fold(call.events))
    assert (known.hangup_by, known.quality) == ("caller", ())


def test_who_is_shown_is_no_ghost() -> None:
    """A conference of which nothing is heard all day lives as long as the PBX shows it."""
    call = talk()
    task = Fold(config.Fold(ghost_hours=6), 0)
    for _ in range(8):
        audit(call, "A", "C", seconds=3600)
    feed(task, call.events)
    assert tick(task, call.now) == []
    assert tick(task, call.now + 7 * HOUR)[-1].state == "ended"


def test_a_beginning_that_was_lost_is_flagged() -> None:
    """The audit's row is all that tells of the channel: a call, with what can be known of it."""
    call = Script()
    call.arrive()
    call.wait(30)
    row = {"state": "6", "bridge": "", "context": "from-trunk"}
    call.say("leg.live", "C", synthetic=True, direction="inbound", data=row)
    call.wait(5)
    call.end("C")
    known = only(fold(call.events[1:]))
    assert (known.quality, known.direction, known.talk_s) == (("gap",), "inbound", None)


def test_a_row_tells_what_later_events_did_not() -> None:
    """The beginning alone was lost: the talk was heard, and stays known."""
    call = talk()
    data = {"state": "6", "bridge": "b1", "bridge_type": "basic"}
    call.say("leg.live", "C", synthetic=True, direction="inbound", did="+3225550101", data=data)
    call.hang_up("C", "A", "b1")
    known = only(fold([event for event in call.events if event.type != "leg.created"]))
    assert (known.did, "inferred" in known.quality) == ("+3225550101", True)
    assert known.talk_s == pytest.approx(10, abs=0.1)


def test_a_channel_that_a_caller_named_with_a_blank() -> None:
    """`Originate` takes any text as a channel's id."""
    call = Script()
    call.leg("C", "PJSIP/trunk")
    call.legs["C"] |= {"leg_id": "main:click 1", "call_id": "main:click 1"}
    call.say("leg.created", "C", data={"context": "from-trunk", "exten": "s", "state": "4"})
    audit(call, "C")
    audit(call, "C")
    assert [one.state for one in fold(call.events)[-1:]] in ([], ["ringing"])
