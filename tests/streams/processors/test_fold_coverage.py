"""Two adapters on one PBX: what one missed counts only where the other did not read either, whoever tells it first."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.events import Call
from streams.processors.fold import Fold
from streams.processors.folding.coverage import MOST, Coverage
from streams.runtime import config
from tests.streams.processors.folding.script import MICRO, START, Message, Script, at, feed, finals, only, tick
from tests.streams.processors.test_fold_gaps import talk
from tests.streams.processors.test_fold_restart import Log, plain, told

SECOND = MICRO


def reads(call: Script, session: str, since: int, until: int, *, kind: str = "source.up") -> None:
    """The session of that adapter (`a2` is of `a`) has read so far."""
    data = {"since_us": str(since), "until_us": str(until)}
    call.say(kind, data={"session": session, "reader": session[0], **data})


def missed(call: Script, session: str, since: int, until: int, *alive: str) -> None:
    """The session begins at `until`, and knows nothing since `since`."""
    reads(call, session, until, until)
    native = " ".join(call.legs[name]["leg_id"].removeprefix("main:") for name in alive)
    gap = {"from_us": str(since), "to_us": str(until), "live": native}
    call.say("gap.resolved", ts=until, data={"session": session, "reader": session[0], **gap})


def task() -> Fold:
    return Fold(config.Fold(), 0)


def folded(call: Script) -> list[Call]:
    """Every revision; at the end all grace and patience have passed."""
    fold = task()
    said = feed(fold, call.events)
    return said + [one for later in (1, 70, 90) for one in tick(fold, call.now + later * MICRO)]


def test_a_gap_that_the_other_adapter_covered_flags_nothing() -> None:
    """One adapter was away for a minute; the other read on, and tells so afterwards."""
    call = talk()
    begin = call.now
    reads(call, "b1", START, call.now)
    call.wait(60)
    missed(call, "a2", begin, call.now, "A", "C")
    call.wait(3)
    reads(call, "b1", START, call.now)
    call.hang_up("C", "A", "b1")
    known = only(folded(call))
    assert known.quality == ()
    assert known.talk_s == pytest.approx(73, abs=0.1)


def test_a_gap_that_nobody_covered_flags_as_before() -> None:
    """The other adapter was away for a part of the same time."""
    call = talk()
    begin = call.now
    reads(call, "b1", START, call.now + 30 * SECOND)
    call.wait(60)
    missed(call, "a2", begin, call.now, "A", "C")
    call.wait(20)
    missed(call, "b2", begin + 30 * SECOND, call.now, "A", "C")
    reads(call, "a2", call.now - 20 * SECOND, call.now)
    call.hang_up("C", "A", "b1")
    assert only(folded(call)).quality == ("gap",)


def test_a_call_is_not_final_while_its_gap_may_still_be_covered() -> None:
    """It is over before the other adapter's word comes: the flag of the first revisions goes away with the last."""
    call = talk()
    begin = call.now
    reads(call, "b1", START, call.now)
    call.wait(5)
    missed(call, "a2", begin, call.now, "A", "C")
    call.hang_up("C", "A", "b1")
    fold = task()
    said = feed(fold, call.events)
    assert [(one.state, one.quality) for one in said][-1] == ("ended", ("gap",))
    assert tick(fold, call.now + 4 * SECOND) == []
    before = len(call.events)
    reads(call, "b1", START, call.now)
    said += feed(fold, call.events[before:], before)
    said += tick(fold, call.now + 5 * SECOND)
    assert only(said).quality == ()


def test_an_adapter_that_died_is_not_waited_for() -> None:
    """Others tell of themselves and it does not: what it read after its last word counts as missed."""
    call = talk()
    begin = call.now
    reads(call, "b1", START, call.now)
    call.wait(5)
    missed(call, "a2", begin, call.now, "A", "C")
    call.hang_up("C", "A", "b1")
    fold = task()
    feed(fold, call.events)
    back = call.now
    for _ in range(2):
        before = len(call.events)
        call.wait(8)
        reads(call, "a2", back, call.now)
        feed(fold, call.events[before:], before)
        said = tick(fold, call.now + SECOND)
    assert [(one.state, one.quality) for one in said] == [("final", ("gap",))]


def test_a_backlog_is_nobodys_silence() -> None:
    """The fold itself was held up: whose word waits in the log is not dead; but nothing is waited for for ever."""
    call = talk()
    begin = call.now
    reads(call, "b1", START, call.now)
    call.wait(5)
    missed(call, "a2", begin, call.now, "A", "C")
    call.hang_up("C", "A", "b1")
    fold = task()
    feed(fold, call.events)
    assert tick(fold, call.now + 50 * SECOND) == []
    (final,) = tick(fold, call.now + 61 * SECOND)
    assert (final.state, final.quality) == ("final", ("gap",))


def test_what_the_other_adapter_is_about_to_tell_is_not_concluded() -> None:
    """A leg that is not in the snapshot: its Hangup was read by the other adapter and is on its way."""
    call = talk()
    reads(call, "b1", START, call.now)
    begin = call.now
    call.wait(2)
    missed(call, "a2", begin, call.now)
    back, call.now = call.now, begin + SECOND
    call.hang_up("C", "A", "b1")
    call.now = back
    reads(call, "b1", START, call.now)
    fold = task()
    said = feed(fold, call.events)
    assert [one.state for one in said] == ["ringing", "connected", "ended"]
    said += tick(fold, call.now + 5 * SECOND)
    known = only(said)
    assert (at(known.ended_at), known.quality) == (14.0, ())


def test_a_lost_end_is_concluded_from_the_snapshot_all_the_same() -> None:
    """The other adapter has told all that it read, and the Hangup was not in it."""
    call = talk()
    begin = call.now
    call.wait(60)
    missed(call, "a2", begin, call.now)
    reads(call, "b1", START, call.now)
    known = only(folded(call))
    assert (known.quality, at(known.ended_at)) == (("estimated",), 13.0)


def test_an_end_in_the_dark_is_estimated_where_the_dark_began() -> None:
    """The other adapter saw the call alive for half a minute more before it went too."""
    call = talk()
    begin = call.now
    reads(call, "b1", START, begin + 30 * SECOND, kind="source.down")
    call.wait(60)
    missed(call, "a2", begin, call.now)
    known = only(folded(call))
    assert (known.quality, at(known.ended_at)) == (("estimated", "gap"), 43.0)


def test_a_restart_read_by_one_before_the_other() -> None:
    """Both lost the PBX; what came between their returns was read, what came before was not."""
    call = talk()
    begin = call.now
    reads(call, "a1", START, begin, kind="source.down")
    reads(call, "b1", START, begin, kind="source.down")
    call.wait(10)
    missed(call, "a2", begin, call.now)
    back = call.now
    call.wait(1)
    call.arrive("D", number="+32470123402")
    call.wait(2)
    missed(call, "b2", begin, call.now, "D")
    reads(call, "a2", back, call.now)
    call.end("D")
    said = finals(folded(call))
    assert sorted(one.quality for one in said.values()) == [(), ("estimated", "gap")]


def test_a_snapshot_that_overtakes_the_beginning() -> None:
    """One adapter's snapshot shows a channel before the other's news of its beginning arrives: nothing was missed."""
    call = Script()
    reads(call, "b1", START, call.now)
    call.wait(5)
    call.arrive()
    call.say("leg.live", "C", ts=call.now + 1000, synthetic=True, data={"state": "4"})
    missed(call, "a2", START + SECOND, call.now + 1000, "C")
    call.events.append(call.events.pop(1))
    call.wait(2)
    reads(call, "b1", START, call.now)
    call.end("C", 127)
    known = only(folded(call))
    assert (known.quality, known.direction) == ((), "inbound")
    assert known.wait_s == pytest.approx(2, abs=0.1)


def test_a_new_owner_knows_the_same() -> None:
    """What is replayed silently counts, and patience begins anew."""
    call = talk()
    begin = call.now
    reads(call, "b1", START, call.now)
    call.wait(5)
    missed(call, "a2", begin, call.now)
    first = task()
    feed(first, call.events)
    tick(first, call.now + 10 * SECOND)
    second = task()
    second.replay([Message(codec.encode(event), offset) for offset, event in enumerate(call.events)])
    assert tick(second, call.now + 20 * SECOND) == []
    assert tick(second, call.now + 81 * SECOND)[-1].state == "ended"


def test_workers_that_take_over_around_a_gap_tell_what_one_would() -> None:
    """Wherever the partition changes hands: gaps, what was read, snapshots and audits are in the log that is replayed."""
    call = talk()
    begin = call.now
    reads(call, "b1", START, call.now)
    call.arrive("D", number="+32470123402")
    call.wait(20)
    reads(call, "b1", START, call.now - 6 * SECOND)
    missed(call, "a2", begin, call.now, "A", "C")
    call.wait(5)
    reads(call, "b1", START, call.now - 10 * SECOND, kind="source.down")
    call.wait(5)
    call.hang_up("C", "A", "b1")
    call.wait(10)
    unbroken = Log(call.events)
    whole = unbroken.finish(unbroken.worker())
    flags = {name: one.quality for name, one in finals(whole).items()}
    assert flags == {call.legs["C"]["call_id"]: ("gap",), call.legs["D"]["call_id"]: ("estimated", "gap")}
    for cut in range(len(call.events)):
        log = Log(call.events)
        log.work(log.worker(), cut)
        said = log.finish(log.worker())
        assert sorted(told(said)) == sorted(told(whole))  # a grace that began anew is all that may differ
        assert {name: plain(one) for name, one in finals(said).items()} == {
            name: plain(one) for name, one in finals(whole).items()
        }


def test_memory_is_bounded() -> None:
    """Adapters that come and go for ever leave no more than so many intervals, and what is forgotten counts as missed."""
    coverage = Coverage()
    for n in range(3 * MOST):
        data = {"session": f"s{n}", "reader": "a", "since_us": str(10 * n + 5), "until_us": str(10 * n + 10)}
        coverage.tell({"type": "source.up", "data": data, "received_at": n}, 0)
        coverage.miss(10 * n, 10 * n + 5)
    assert len(coverage.gaps) <= MOST
    assert len(coverage.read) <= MOST
    assert len(coverage.sessions) == 1
    assert coverage.holes()[0][0] == 0
    coverage.trim(30 * MOST + 1)
    assert (coverage.gaps, coverage.read, coverage.sessions) == ([], [], {})


Interval = tuple[int, int]
intervals = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda p: (p[0], sum(p))), max_size=5)


@given(ones=intervals, others=intervals, life=st.tuples(st.integers(0, 50), st.integers(1, 40)), data=st.data())
@settings(max_examples=200, deadline=None)
def test_coverage_is_order_independent(
    ones: list[Interval], others: list[Interval], life: tuple[int, int], data: st.DataObject
) -> None:
    """A call is flagged exactly when some second of its life was missed by one session and read by none."""
    call = Script(now=START + life[0] * SECOND)
    call.arrive()
    call.wait(life[1])
    call.end("C")
    begun, ended = call.events
    call.events = []
    read: set[int] = set()
    gaps: set[int] = set()
    for name, sessions in (("a", ones), ("b", others)):
        for n, (since, until) in enumerate(sessions):
            reads(call, f"{name}{n}", START + since * SECOND, START + until * SECOND)
            read |= set(range(since, until))
        for (_, since), (until, _) in pairwise(sessions):
            told = {"from_us": str(START + since * SECOND), "to_us": str(START + until * SECOND)}
            live = call.legs["C"]["leg_id"].removeprefix("main:")
            call.say("gap.resolved", data={"session": f"{name}x", "reader": name, **told, "live": live})
            gaps |= set(range(since, until))
    source = data.draw(st.permutations(call.events))
    cut = data.draw(st.integers(0, len(source)))
    call.events = [begun, *source[:cut], ended, *source[cut:]]
    call.now = START + 200 * SECOND
    (known,) = finals(folded(call)).values()
    alive = set(range(life[0], sum(life) + 1))
    assert ("gap" in known.quality) == bool(alive & (gaps - read))
