from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator.plan import KINDS, Centre, Settings
from producers.simulator.roster import staff
from tests.producers.simulator.centre import build, head, play_all

OUTCOMES = {
    "answered",
    "abandoned",
    "abandoned_ringing",
    "voicemail",
    "busy",
    "no_answer",
    "queue_timeout",
    "rejected",
}


@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_same_seed_same_stream_and_same_truth(seed: int) -> None:
    """Two runs of one seed are the same bytes: frames, truth and call detail records."""
    first, again = build(seed, calls=20), build(seed, calls=20)
    assert [frame.wire for frame in play_all(first)] == [frame.wire for frame in play_all(again)]
    assert first.told == again.told
    assert first.records == again.records


def test_another_seed_is_another_day() -> None:
    """The seed matters."""
    assert [f.wire for f in play_all(build(1, calls=5))] != [f.wire for f in play_all(build(2, calls=5))]


@given(seed=st.integers(0, 10**6), speed=st.sampled_from([0.5, 1.0, 7.0, 60.0]), agents=st.integers(3, 15))
@settings(max_examples=12, deadline=None)
def test_no_agent_is_on_two_calls_at_once(seed: int, speed: float, agents: int) -> None:
    """At no moment do live legs (ringing, dialling or up) of two calls share one agent's telephone."""
    played = build(seed, calls=40, rate=2.0 * speed, speed=speed, agents=agents)
    frames = play_all(played)
    call_of = {linkedid: number for number, truth in played.closed.items() for linkedid in truth["linkedids"]}
    busy: dict[str, dict[str, int]] = defaultdict(dict)
    for frame in frames:
        told = head(frame.wire)
        device = told.get("Channel", "").split("-")[0]
        if not device.startswith("PJSIP/1"):
            continue
        if frame.event in {"Newchannel", "Newstate"} and told["ChannelState"] in {"4", "5", "6"}:
            busy[device][told["Uniqueid"]] = call_of[told["Linkedid"]]
        elif frame.event == "Hangup":
            busy[device].pop(told["Uniqueid"], None)
        assert len(set(busy[device].values())) <= 1, (device, busy[device])


@given(seed=st.integers(0, 10**6), speed=st.sampled_from([0.5, 2.0, 50.0]))
@settings(max_examples=8, deadline=None)
def test_everything_that_begins_ends(seed: int, speed: float) -> None:
    """Every leg hangs up once, every bridge is destroyed, nobody stays in a queue, and stamps never go back."""
    played = build(seed, calls=40, rate=speed, speed=speed)
    frames = play_all(played)
    counts = Counter(frame.event for frame in frames)
    exchange = played.player.exchange
    assert counts["Newchannel"] == counts["Hangup"] > 0
    assert counts["BridgeCreate"] == counts["BridgeDestroy"]
    assert counts["BridgeEnter"] == counts["BridgeLeave"]
    assert counts["QueueCallerJoin"] == counts["QueueCallerLeave"]
    assert not exchange.legs
    assert not exchange.bridges
    assert all(not queue.entries and not queue.left for queue in exchange.queues.all.values())
    assert all(member.talk is None for queue in exchange.queues.all.values() for member in queue.members.values())
    assert set(exchange.presence.states.values()) <= {"NOT_INUSE"}
    assert [frame.at for frame in frames] == sorted(frame.at for frame in frames)


def test_every_kind_happens_and_every_outcome_is_a_known_word() -> None:
    """A long enough day has every kind of call, matched, ambiguous, unknown, hidden and internal callers."""
    played = build(5, calls=700, rate=0.7, agents=30)
    play_all(played)
    truths = played.closed.values()
    assert {truth["outcome"] for truth in truths} == OUTCOMES
    assert {truth["match"] for truth in truths} == {"matched", "ambiguous", "none", "hidden", "internal"}
    kinds = {truth["kind"] for truth in truths}
    assert set(KINDS) - kinds == set()
    assert {"rejected", "no_answer", "queue_abandoned_ringing", "queue_abandoned_after_ring"} <= kinds


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_truth_agrees_with_itself(kind: str) -> None:
    """Talk lies within the call, holds within the talk, and whoever answered was offered the call."""
    played = build(2, calls=15, rate=0.5, agents=20, mix={kind: 1.0})
    play_all(played)
    assert len(played.closed) == 15
    for truth in played.closed.values():
        length = (truth["ended_at"] - truth["started_at"]) / 1e6
        assert 0 <= truth["talk_s"] + truth["hold_s"] + truth["queue_wait_s"] <= length
        assert (truth["answered_at"] is not None) == (truth["outcome"] == "answered") == (truth["talk_s"] > 0)
        if truth["outcome"] == "answered" and truth["direction"] == "inbound":
            assert truth["answered_by"] in {o["agent"] for o in truth["offers"] if o["result"] == "answered"}
        assert all(
            truth["started_at"] <= o["offered_at"] <= o["ended_at"] <= truth["ended_at"] for o in truth["offers"]
        )
        assert bool(truth["did"]) == (truth["direction"] == "inbound")
        assert (truth["customer_number"] == "") == (truth["match"] in {"hidden", "internal"})


def test_an_attended_transfer_has_two_linkedids_and_a_feature_transfer_one() -> None:
    """REFER joins two calls, `*2` stays in one."""
    refer, feature = (
        build(1, calls=4, rate=0.2, mix={"attended_transfer": 1}),
        build(1, calls=4, rate=0.2, mix={"feature_transfer": 1}),
    )
    play_all(refer)
    play_all(feature)
    done = [t for t in refer.closed.values() if t["kind"] == "attended_transfer"]
    assert done
    assert all(len(t["linkedids"]) == 2 and t["transfers"][0]["kind"] == "attended" for t in done)
    assert all(len(t["linkedids"]) == 1 for t in feature.closed.values())


def test_an_unknown_kind_is_named_with_the_known_ones() -> None:
    """A mix with a misspelt kind says which, and what there is."""
    with pytest.raises(ValueError, match=r"hodl.*direct_answered"):
        Centre(Settings(mix={"hodl": 1.0}), staff(agents=2, queues=1, trunks=1, dids=1), ())


@pytest.mark.parametrize(
    ("agents", "queues", "trunks", "dids"), [(1, 1, 1, 1), (5, 6, 1, 6), (5, 2, 0, 2), (5, 3, 1, 2)]
)
def test_an_impossible_centre_is_refused(agents: int, queues: int, trunks: int, dids: int) -> None:
    """Too few agents, trunks or numbers is an error at the start, not a surprise in mid-run."""
    with pytest.raises(ValueError, match="a centre has"):
        staff(agents=agents, queues=queues, trunks=trunks, dids=dids)
