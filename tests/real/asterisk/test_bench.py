"""The bench tells the truth: what it says happened stands in the PBX's own records, and it leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.asterisk.bench import Bench
from tests.real.asterisk.conftest import Followed
from tests.real.asterisk.stories import STORIES, Truth
from tests.real.asterisk.witness import Witness
from tests.support.ami import Ami

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]  # the first one may build the folder

_SECOND = 1_000_000


Played = Callable[[str], tuple[Truth, Witness]]
_UNTOLD = {
    *("queue_nobody_there", "queue_deserted", "queue_full", "queue_overflow", "ivr_only", "out_of_hours"),
    *("unallocated", "congestion", "hold_by_music", "blind_by_code"),
}
"""The last status of Dial does not say how these came out, or no Hold that there was one."""
_PLAIN = [
    name
    for name, one in STORIES.items()
    if one.starts == "caller" and not (one.dials or one.sipp or one.parked) and name not in _UNTOLD
]
"""Those whose course can be read off the records without a fold of one's own."""


@pytest.fixture(scope="module")
def played(asterisk: Bench, followed: Followed) -> Played:
    """The truth of a scenario, and what the PBX wrote down of it."""
    evening, _ = followed
    events = [frame.fields() for frame in evening.frames]

    def of(scenario: str) -> tuple[Truth, Witness]:
        truth = evening.truths[scenario]
        own = [event for event in events if truth.linkedid in (event.get("Linkedid"), event.get("TransfereeLinkedid"))]
        return truth, Witness(bench=asterisk, linkedid=truth.linkedid, events=own)

    return of


def _play(bench: Bench, *scenarios: str) -> list[tuple[Truth, Witness]]:
    with bench.session() as session:
        truths = bench.play_together(*scenarios)
        events = session.events()
    return [(truth, Witness(bench=bench, linkedid=truth.linkedid, events=events)) for truth in truths]


def _who(truth: Truth) -> str:
    people = {
        "customer": "trunk",
        "agent": truth.last_agent,
        "caller": truth.caller,
        "callee": "trunk",
        "system": "dialplan",
    }
    return people[truth.hangup_by]


@pytest.mark.parametrize("scenario", _PLAIN)
def test_truth_stands_in_the_records_of_the_pbx(played: Played, scenario: str) -> None:
    """Outcome, telephones, queue, transfer, hold, who hung up and the times agree with CEL, queue_log and AMI."""
    truth, witness = played(scenario)

    assert witness.outcome() == truth.outcome
    assert sorted(witness.rang()) == sorted((o.agent, o.result == "answered") for o in truth.offers)
    assert witness.queue() == truth.queue
    assert witness.transfer() == truth.transfer
    assert witness.held() == pytest.approx(truth.held_s, abs=0.5)
    assert witness.hung_up() == _who(truth)
    assert witness.started() == pytest.approx(truth.started_at, abs=_SECOND)
    assert witness.connected() == pytest.approx(truth.connected_at, abs=_SECOND)
    assert witness.ended() == pytest.approx(truth.ended_at, abs=_SECOND)


@pytest.mark.parametrize("scenario", ["inbound_answered", "utf8_name"])
def test_call_enters_as_a_carrier_sends_it(played: Played, scenario: str) -> None:
    """The first channel is the trunk's, with the customer's number and name and the number dialled; Master.csv has it."""
    truth, witness = played(scenario)
    first = witness.cel[0]

    assert (first["context"], first["exten"]) == ("from-trunk", truth.did)
    assert (first["number"], first["name"]) == (truth.caller, truth.caller_name)
    assert [(row["src"], row["disposition"]) for row in witness.cdr] == [(truth.caller, "ANSWERED")]


def test_withheld_number_reaches_nobody(played: Played) -> None:
    """The PBX sees "anonymous", and no event names the number of who called."""
    truth, witness = played("caller_id_hidden")

    assert witness.cel[0]["number"] == "anonymous"
    assert not [event for event in witness.events if truth.caller.removeprefix("+32") in str(event)]


def test_agents_of_a_linear_queue_ring_in_order(played: Played) -> None:
    """The second agent's telephone rings only after the first did not answer."""
    truth, witness = played("queue_answered_by_second_agent")

    assert [agent for agent, _ in witness.rang()] == [offer.agent for offer in truth.offers]
    assert witness.queue_log == ["ENTERQUEUE", "RINGNOANSWER", "CONNECT", "COMPLETECALLER"]


def test_calls_at_the_same_time_are_kept_apart(asterisk: Bench) -> None:
    """Two calls that overlap have two ids, and each its own telephones."""
    (first, one), (second, two) = _play(asterisk, "inbound_answered", "queue_ringall_local")

    assert first.linkedid != second.linkedid
    assert second.started_at < first.ended_at
    assert one.rang() == [("201", True)]
    assert sorted(two.rang()) == [("204", False), ("205", True)]


def test_two_sessions_receive_the_same_bytes(asterisk: Bench) -> None:
    """Both sessions of the adapter's user get identical frames: a frame is a sound identity."""
    with asterisk.session() as one, asterisk.session() as two:
        since = one.position(), two.position()
        asterisk.play("inbound_answered")
        ours, theirs = ([frame.raw for frame in s.frames[n:]] for s, n in zip((one, two), since, strict=True))

    assert ours == theirs
    assert len(ours) > 20


def test_killed_pbx_comes_back(asterisk: Bench) -> None:
    """SIGKILL in mid-call cuts every session; after a restart on the same port calls go through."""
    session = asterisk.session()
    call = asterisk.begin("hold")
    session.wait(lambda frame: frame.get("Event") == "BridgeEnter")
    asterisk.kill()
    with pytest.raises(TimeoutError, match="closed"):
        session.wait(lambda frame: frame.get("Event") == "Shutdown", since=session.position())
    session.close()
    call.wait()
    asterisk.restart()

    assert asterisk.play("inbound_answered").outcome == "answered"


def test_stopped_bench_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """A second bench runs beside the first from the same folder; once stopped nobody listens and nothing is mounted."""
    bench = Bench(folder=folder, home=tmp_path)
    try:
        bench.start()
        assert bench.play("inbound_abandoned_ringing").outcome == "abandoned_ringing"
    finally:
        bench.stop()

    with pytest.raises(ConnectionRefusedError):
        Ami(host=bench.host, port=bench.ami_port, username=bench.username, secret=bench.secret)
    assert str(folder) not in Path("/proc/mounts").read_text(encoding="utf-8")
