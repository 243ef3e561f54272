"""Two adapters on one real Asterisk: either may be killed in mid-call, and the PBX too."""

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


@pytest.fixture(scope="module")
def road(asterisk: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """The road with both adapters."""
    with running(asterisk, tmp_path_factory.mktemp("road"), twice=True, records_grace=2) as road:
        yield road


def _connected(road: Road) -> int:
    return len(road.rows("SELECT 1 FROM calls_latest WHERE state = 'connected'"))


def _arrived(road: Road, truth: Truth) -> Row:
    """The call's one row, which has one entry in the journal."""
    road.await_arrival([truth])
    (call,) = (row for row in road.calls() if row["call_id"] == call_id(truth))
    assert sum(entry["call_id"] == call["call_id"] for entry in road.journal()) == 1
    return call


def _exact(call: Row, truth: Truth) -> None:
    assert call["quality"] == []
    assert (call["outcome"], call["agent"], call["hangup_by"]) == ("answered", "203", "agent")
    for known, true in (
        (call["started_at"], truth.started_at),
        (call["connected_at"], truth.connected_at),
        (call["ended_at"], truth.ended_at),
    ):
        assert micros(known) == pytest.approx(true, abs=_SECOND)


@pytest.mark.parametrize("name", ["main", "second"])
def test_call_during_which_one_adapter_died_is_as_if_nothing_had_happened(
    asterisk: Bench, road: Road, name: str
) -> None:
    """Killed in mid-call and back before its end: no flag, no second call, no other time."""
    before, resyncs = len(road.calls()), road.resyncs()
    play = asterisk.begin("long_talk")
    until(lambda: _connected(road) == 1, "the talk to be seen")
    road.adapter(name).kill()
    until(lambda: road.resyncs() > resyncs, "the adapter to be back")
    play.wait()
    truth = play.truth()
    _exact(_arrived(road, truth), truth)
    assert len(road.calls()) == before + 1


def test_call_that_began_and_ended_while_one_adapter_was_away_is_whole(asterisk: Bench, road: Road) -> None:
    """The other one alone has seen it."""
    resyncs = road.resyncs()
    road.adapter("main").kill()
    truth = asterisk.play("inbound_answered")
    until(lambda: road.resyncs() > resyncs, "the adapter to be back")
    call = _arrived(road, truth)
    assert (call["outcome"], call["quality"]) == ("answered", [])


def test_call_that_a_dying_pbx_cut_off_is_closed_once(asterisk: Bench, road: Road) -> None:
    """Both adapters lose the PBX and both find it again: one record, closed where it was last alive; then all is well."""
    before, resyncs = len(road.calls()), road.resyncs()
    play = asterisk.begin("long_talk")
    until(lambda: _connected(road) == 1, "the talk to be seen")
    asterisk.kill()
    killed_at = _CLOCK.now()
    asterisk.restart()
    play.wait()
    until(lambda: road.resyncs() >= resyncs + 2, "both adapters to be back")
    truth = play.truth()
    call = _arrived(road, truth)
    assert call["outcome"] == "answered"
    assert {"gap", "estimated"} <= set(call["quality"])
    assert (micros(call["ended_at"]) or 0) <= killed_at + _SECOND

    again = asterisk.play("inbound_answered")
    assert _arrived(road, again)["quality"] == []
    assert len(road.calls()) == before + 2


def test_nothing_is_left_open_or_refused(road: Road) -> None:
    """Whatever was done to it before: every call is final, and no event was refused."""
    assert {call["state"] for call in road.calls()} <= {"final"}
    assert road.dead_letters() == ""
