"""Power cuts and restarts in the middle of real calls: the log says so, and every call that was touched is closed once."""

from collections import Counter
from collections.abc import Iterator

import pytest

from streams.runtime.clock import SystemClock
from tests.real.asterisk.bench import Bench
from tests.real.asterisk.play import until
from tests.real.asterisk.road import Road, Row, call_id, micros, running
from tests.real.asterisk.stories import Truth

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # the first one may build the folder

_CLOCK = SystemClock()
_SECOND = 1_000_000


def _arrived(road: Road, truth: Truth) -> tuple[Row, Row]:
    """The call's one row and one entry."""
    road.await_arrival([truth])
    (call,) = (row for row in road.calls() if row["call_id"] == call_id(truth))
    (entry,) = (row for row in road.journal() if row["call_id"] == call_id(truth))
    return call, entry


@pytest.fixture(scope="module")
def road(asterisk: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """The road; a PBX that died wrote no records that could be waited for."""
    with running(asterisk, tmp_path_factory.mktemp("road"), records_grace=2) as road:
        yield road


@pytest.fixture(autouse=True)
def _nothing_else(road: Road) -> Iterator[None]:
    """Whatever a test did: no call is left open, each has one row and one entry, and nothing was refused."""
    yield
    calls, journal = road.calls(), road.journal()
    assert {call["state"] for call in calls} == {"final"}
    assert Counter(entry["call_id"] for entry in journal) == Counter({call["call_id"] for call in calls})
    assert road.dead_letters() == ""


def _connected(road: Road) -> int:
    return len(road.rows("SELECT 1 FROM calls_latest WHERE state = 'connected'"))


def test_call_that_a_dying_pbx_cut_off_is_closed(asterisk: Bench, road: Road) -> None:
    """Killed in mid-call and started again: the call ends where it was last alive, flagged, with one entry that says so."""
    before = len(road.calls())
    play = asterisk.begin("long_talk")
    until(lambda: _connected(road) == 1, "the talk to be seen")
    asterisk.kill()
    killed_at = _CLOCK.now()
    asterisk.restart()
    play.wait()
    truth = play.truth()
    call, entry = _arrived(road, truth)

    assert (call["outcome"], call["agent"], call["customer_number"]) == ("answered", "203", truth.customer_number)
    assert {"gap", "estimated"} <= set(call["quality"])
    assert micros(call["connected_at"]) == pytest.approx(truth.connected_at, abs=_SECOND)
    assert call["connected_at"] <= call["ended_at"]
    assert (micros(call["ended_at"]) or 0) <= killed_at + _SECOND
    assert call["hangup_by"] == ""
    assert entry["result"] == "answered"
    assert "estimated" in entry["notes"]

    again = asterisk.play("inbound_answered")
    after, _ = _arrived(road, again)
    assert (after["outcome"], after["quality"]) == ("answered", [])
    assert len(road.calls()) == before + 2


def test_call_that_a_stopping_pbx_hung_up_has_its_end(asterisk: Bench, road: Road) -> None:
    """Stopped in mid-call as an operator does it: the PBX hung up by itself and said so, and nothing is estimated."""
    before = len(road.calls())
    play = asterisk.begin("long_talk")
    until(lambda: _connected(road) == 1, "the talk to be seen")
    asterisk.restart()
    play.wait()
    truth = play.truth()
    call, entry = _arrived(road, truth)

    assert len(road.calls()) == before + 1
    assert (call["outcome"], call["agent"], call["hangup_by"]) == ("answered", "203", "system")
    assert "estimated" not in call["quality"]
    assert micros(call["connected_at"]) == pytest.approx(truth.connected_at, abs=_SECOND)
    assert micros(call["ended_at"]) == pytest.approx(truth.ended_at, abs=_SECOND)
    assert entry["duration"] == pytest.approx((truth.ended_at - truth.started_at) / _SECOND, abs=1)


def test_call_during_which_the_adapter_died_is_whole(asterisk: Bench, road: Road) -> None:
    """Killed in mid-call and started again by its supervisor: the call says that there was a gap, and its end is right."""
    before, resyncs = len(road.calls()), road.resyncs()
    play = asterisk.begin("long_talk")
    until(lambda: _connected(road) == 1, "the talk to be seen")
    adapter = road.adapter()
    adapter.kill()
    until(lambda: road.resyncs() > resyncs, "the adapter to be back")
    play.wait()
    truth = play.truth()
    call, entry = _arrived(road, truth)

    assert len(road.calls()) == before + 1
    assert road.adapter().pid != adapter.pid
    assert call["quality"] == ["gap_resolved"]  # the PBX's own record, which came with the end, knows of no more
    assert (call["outcome"], call["agent"], call["hangup_by"]) == ("answered", "203", "agent")
    assert micros(call["started_at"]) == pytest.approx(truth.started_at, abs=_SECOND)
    assert micros(call["connected_at"]) == pytest.approx(truth.connected_at, abs=_SECOND)
    assert micros(call["ended_at"]) == pytest.approx(truth.ended_at, abs=_SECOND)
    assert (entry["result"], entry["direction"]) == ("answered", "inbound")
    assert entry["duration"] == pytest.approx((truth.ended_at - truth.started_at) / _SECOND, abs=1)


def test_call_that_ended_while_the_adapter_was_away_is_closed(asterisk: Bench, road: Road) -> None:
    """Nobody heard its end, and no record of it came: closed where it was last alive, as an estimate; the next is whole."""
    before, resyncs = len(road.calls()), road.resyncs()
    play = asterisk.begin("long_talk")
    until(lambda: _connected(road) == 1, "the talk to be seen")
    with asterisk.session() as pbx:
        road.adapter().kill()
        pbx.request("Hangup", {"Channel": "/^PJSIP/"})
    until(lambda: road.resyncs() > resyncs, "the adapter to be back")
    play.wait()
    truth = play.truth()
    call, entry = _arrived(road, truth)

    assert {"gap", "estimated"} <= set(call["quality"])
    assert (call["outcome"], call["agent"], call["hangup_by"]) == ("answered", "203", "")
    assert micros(call["connected_at"]) == pytest.approx(truth.connected_at, abs=_SECOND)
    assert call["connected_at"] <= call["ended_at"]
    assert (micros(call["ended_at"]) or 0) <= truth.ended_at + _SECOND
    assert "estimated" in entry["notes"]

    again = asterisk.play("inbound_answered")
    assert _arrived(road, again)[0]["quality"] == []
    assert len(road.calls()) == before + 2
