"""Agents of a real Asterisk: pauses, log-outs and calls, as its manager asks for them and as their states tell them."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from producers.adapter import Context, Frame, Notice, Ordinals, Reading
from producers.pbx import asterisk_ami
from schemas import codec
from schemas.events import AgentState, EnrichedCallEvent
from streams.processors.presence.states import CALLS
from tests.real.asterisk.bench import Bench
from tests.real.asterisk.conftest import FolderOf
from tests.real.asterisk.evening import Evening
from tests.real.asterisk.folder import VERSIONS
from tests.real.asterisk.house import PLAN
from tests.real.asterisk.play import CLOCK, until
from tests.streams.processors.presence.shift import feed, task, whole

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]  # the first one may build the folder

MICRO = 1_000_000
MEMBER = {"Queue": "second", "Interface": "PJSIP/203"}


@pytest.fixture(scope="module", params=VERSIONS)
def bench(
    request: pytest.FixtureRequest, folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A PBX of the module's own, of each version: its queues' members change."""
    made = Bench(folder=folder_of(request.param), home=tmp_path_factory.mktemp(f"agents-{request.param}"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@dataclass(slots=True)
class Reader:
    """The adapter's feed on that PBX, and every event that it gave."""

    bench: Bench
    events: list[EnrichedCallEvent] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """In a thread of its own, until `stop`."""
        bench = self.bench
        config = asterisk_ami.Config(
            host=bench.host, port=bench.ami_port, username=bench.username, secret=SecretStr(bench.secret)
        )
        context = _context(config)
        reading = Reading(pbx="main", clock=CLOCK, chance=random.Random(1), stop=self.stop, position={})
        for batch in asterisk_ami.feed(config)(reading):
            for item in batch.items:
                if isinstance(item, Frame):
                    found = [EnrichedCallEvent(**codec.as_row(e)) for e in asterisk_ami.normalise(item, context)]
                    self.events += found
                else:
                    self.events.append(_event(item))

    def says(self, wanted: Callable[[EnrichedCallEvent], bool]) -> bool:
        return any(wanted(event) for event in list(self.events))


def _context(config: asterisk_ami.Config) -> Context[asterisk_ami.Config]:
    return Context(tenant="t", pbx="main", numbers=PLAN, config=config)


def _event(notice: Notice) -> EnrichedCallEvent:
    """What the runtime makes of a notice."""
    return EnrichedCallEvent(
        event_id=f"{notice.seq:016d}".encode(),
        tenant="t",
        pbx="main",
        merge_key="t/main",
        type=notice.type,
        ts=notice.ts,
        received_at=notice.received_at,
        seq=notice.seq,
        data=notice.data,
    )


@pytest.fixture
def reader(bench: Bench) -> Iterator[Reader]:
    made = Reader(bench)
    thread = threading.Thread(target=made.read, daemon=True)
    thread.start()
    try:
        until(lambda: made.says(lambda event: event.type == "gap.resolved"), "the snapshot")
        yield made
    finally:
        made.stop.set()
        thread.join(10)


def states(reader: Reader, agent: str, **rules: float) -> list[AgentState]:
    """Each state of an agent at its highest revision."""
    said = feed(task(**rules), reader.events)
    whole(said)
    return list({one.number: one for one in said if one.agent_id == agent}.values())


def test_pauses_and_log_outs_are_told_when_they_were_asked_for(bench: Bench, reader: Reader) -> None:
    """The snapshot tells the state without a time; each change lies between the request and its answer."""
    asked: list[tuple[int, int]] = []
    with bench.session() as manager:
        for action, fields in (
            ("QueueAdd", {"MemberName": "Clara Jacobs"}),
            ("QueuePause", {"Paused": "true", "Reason": "lunch"}),
            ("QueuePause", {"Paused": "true", "Reason": "training"}),
            ("QueuePause", {"Paused": "false"}),
            ("QueueRemove", {}),
        ):
            before = CLOCK.now()
            manager.request(action, MEMBER | fields)
            CLOCK.sleep(0.3)
            asked.append((before, CLOCK.now()))
    until(lambda: reader.says(lambda e: e.data.get("event") == "QueueMemberRemoved"), "the log-out")
    found = states(reader, "203")
    assert [(one.state, one.reason, one.estimated) for one in found] == [
        *(("available", "", True), ("paused", "lunch", False), ("paused", "training", False)),
        *(("available", "", False), ("logged_out", "", False)),
    ]
    for one, (before, after) in zip(found[1:], asked[1:], strict=True):
        assert before <= one.since <= after
    assert [one.queues for one in found] == [("second",)] * 4 + [()]
    assert found[0].rev > 1  # the queue became known while he was available
    assert {one.name for one in found} == {"Clara Jacobs"}


def test_a_queue_call_rings_connects_and_is_followed_by_wrap_up(bench: Bench, reader: Reader) -> None:
    """Who did not answer rang and was available again; who did was on the call for as long as it lasted."""
    truth = bench.play("queue_answered_by_second_agent")
    first, second = (states(reader, agent, wrapup_seconds=30) for agent in ("201", "202"))
    assert [one.state for one in first] == ["available", "ringing", "available"]
    assert [one.state for one in second] == ["available", "ringing", "on_call", "wrapup"]
    talk, after = second[2:]
    assert (talk.queue, talk.call_id) == ("support", f"main:{truth.linkedid}")
    assert truth.connected_at is not None
    assert after.previous_s == pytest.approx((truth.ended_at - truth.connected_at) / MICRO, abs=0.5)
    assert {one.estimated for one in (*first[1:], *second[1:3])} == {False}


def test_every_telephone_of_an_evening_rings_talks_and_is_free_again(evening: Evening) -> None:
    """Transfers, parking, pickups, ring groups, conferences: who was offered a call rang, and in the end nobody is taken."""
    context = _context(asterisk_ami.Config(host="pbx", username="trunkline", secret=SecretStr("-")))
    ordinals = Ordinals()
    raws = [(frame.raw.lstrip(b"\r\n"), frame.arrived) for frame in evening.frames]  # a TestEvent ends in blank lines
    frames = [Frame(raw, at, seq, ordinals.of(raw)) for seq, (raw, at) in enumerate(raws)]
    events = [
        EnrichedCallEvent(**codec.as_row(event)) for frame in frames for event in asterisk_ami.normalise(frame, context)
    ]
    said = feed(task(), events)
    whole(said)
    last = {one.agent_id: one for one in said}
    assert {agent: one.state for agent, one in last.items() if one.state in (*CALLS, "unknown")} == {}
    assert [one for one in last.values() if one.legs] == []
    for name, truth in evening.truths.items():
        within = truth.started_at - MICRO, truth.ended_at + MICRO
        rang = {one.agent_id for one in said if one.state == "ringing" and within[0] < one.since < within[1]}
        talked = {one.agent_id for one in said if one.state == "on_call" and within[0] < one.since < within[1]}
        assert {offer.agent for offer in truth.offers if offer.result != "busy"} <= rang, name
        assert {offer.agent for offer in truth.offers if offer.result == "answered"} <= talked, name
