"""What an agent did while nobody listened: snapshots, audits, and ends that were lost."""

from schemas.events import AgentState
from tests.streams.processors.presence.shift import Shift, feed, task, told, whole


def test_a_snapshot_gives_the_state_and_no_time() -> None:
    """At the first connect nobody knows since when: the moment of the snapshot, flagged."""
    shift = Shift()
    shift.say("source.up", data={"session": "s1"})
    shift.shown("201", "s1", "support", state="paused", paused="1", reason="lunch", phone="available")
    shift.shown("202", "s1", state="on_call", phone="on_call")
    shift.say("gap.resolved", data={"session": "s1", "live": ""})
    said = feed(task(), shift.events)
    assert [(one.agent_id, one.state, one.reason, one.estimated) for one in said] == [
        ("201", "paused", "lunch", True),
        ("202", "on_call", "", True),
    ]


def gap(*, another: bool) -> list[AgentState]:
    """The adapter is killed, and away while an agent logs out, another's call ends, and a third goes on."""
    shift = Shift()
    for agent in ("201", "202", "203"):
        shift.login(agent)
    for name, agent in (("A", "202"), ("B", "203")):
        shift.lift(name, agent, dials="+32470123401")
    shift.wait(20)
    shift.say("source.up", data={"session": "s1", "reader": "r1", "heartbeat": "1"})
    shift.wait(10)
    if another:
        shift.say("source.up", data={"session": "other", "reader": "r2", "heartbeat": "1"})
    shift.say("source.up", data={"session": "s2", "reader": "r1"})
    for agent in ("202", "203"):
        shift.shown(agent, "s2", "support", paused="0", phone="on_call" if agent == "203" else "available")
    live = shift.legs["B"]["leg_id"].removeprefix("main:")
    shift.say("gap.resolved", data={"session": "s2", "reader": "r1", "live": live})
    said = feed(task(), shift.events)
    whole(said)
    return said


def test_what_a_snapshot_does_not_show_is_over() -> None:
    """Nobody knows when: the moment of the snapshot, flagged. What goes on is not told again."""
    said = gap(another=False)
    assert [state for state, _, _ in told(said, "201")] == ["available", "logged_out"]
    assert [state for state, _, _ in told(said, "202")] == ["available", "on_call", "available"]
    assert [state for state, _, _ in told(said, "203")] == ["available", "on_call"]
    assert [(one.agent_id, one.estimated) for one in said[-2:]] == [("201", True), ("202", True)]


def test_a_snapshot_beside_another_reader_ends_nothing() -> None:
    """The other session has read everything, and what ended it told, or will."""
    assert [state for state, _, _ in told(gap(another=True), "202")] == ["available", "on_call"]


def test_an_audit_ends_a_channel_whose_end_was_lost() -> None:
    """The list of who is alive comes every minute."""
    shift = Shift()
    shift.lift("A", "201", dials="+32470123401")
    shift.wait(60)
    shift.say("source.up", data={"session": "s1", "live": "other.1", "audit_us": str(shift.now)})
    last = feed(task(), shift.events)[-1]
    assert (last.state, last.estimated, last.legs) == ("available", True, ())


def test_a_telephone_that_is_not_in_use_has_no_channel() -> None:
    """The channel's end was lost; the telephone's own state is exact."""
    shift = Shift()
    shift.lift("A", "201", dials="+32470123401")
    shift.wait(60)
    shift.device("201", "available")
    last = feed(task(), shift.events)[-1]
    assert (last.state, last.estimated, last.legs) == ("available", False, ())
