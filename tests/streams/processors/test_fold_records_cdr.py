"""What a CDR means beyond its columns: in a conference each row pairs two members, dated by whoever was there first."""

from schemas.events import EnrichedCallEvent
from tests.streams.processors.folding.script import Script, finals, fold, only
from tests.streams.processors.folding.told import by_arrival, cdr


def conference() -> Script:
    """A customer waits 4 seconds in a conference before an agent dials in."""
    call = Script()
    call.arrive()
    call.up("C")
    call.bridge("room", "C", kind="base", technology="softmix")
    call.say("conference.joined", "C", data={"conference": "meeting", "bridge": "room"})
    call.wait(4)
    call.lift("A", "201", dials="600")
    call.up("A")
    call.bridge("room", "A", kind="base", technology="softmix")
    call.say("conference.joined", "A", data={"conference": "meeting", "bridge": "room"})
    call.wait(6)
    call.hang_up("C", "A", "room")
    return call


def rows(call: Script) -> list[EnrichedCallEvent]:
    return [
        cdr(call, "C", "A", start=0, answer=0, end=10, app="ConfBridge"),
        cdr(call, "A", start=4, answer=4, end=5, app="ConfBridge", dst="600", sequence=1),
    ]


def test_when_the_members_of_a_conference_met_is_not_known_from_its_cdrs() -> None:
    """The row begins with the customer, who was alone at first: who answered is known, since when is not."""
    known = finals(fold(rows(conference())))[conference().legs["C"]["leg_id"]]
    assert (known.outcome, known.connected_at, known.talk_s) == ("answered", None, None)
    assert [(part.agent, part.result, part.connected_at) for part in known.segments] == [("201", "answered", None)]


def test_cdrs_of_a_conference_contradict_nothing_that_was_heard_live() -> None:
    """Neither the pair's beginning is a doubt nor the end of the agent's own row, which is written when he is there."""
    call = conference()
    known = only([one for one in fold(by_arrival(call.events, rows(call))) if one.state != "merged"])
    assert known.quality == ()
