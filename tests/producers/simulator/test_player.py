import random
from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator.clicks import hang_up, originate
from producers.simulator.faults import Loss
from producers.simulator.message import Message
from producers.simulator.truth import KNOWN_AT_START
from tests.producers.simulator.centre import Played, build, head, play_all


def play_until(played: Played, seconds: float) -> int:
    """Play that many seconds; returns the moment in µs since the opening."""
    at = round(seconds * 1e6)
    played.player.advance(at)
    return at


def test_every_call_has_one_open_line_and_one_closed_line_after_it() -> None:
    """A witness who reads the truth while it is written knows of each call from its start on, and of its end once."""
    played = build(3, calls=50)
    play_all(played)
    seen: dict[int, list[bool]] = {}
    for truth in played.truths:
        seen.setdefault(truth["number"], []).append(truth["open"])
    assert seen == {number: [True, False] for number in range(1, 51)}
    assert played.player.finished == 50


def test_the_open_line_does_not_know_the_future() -> None:
    """While a call goes on, its truth holds what was known at its start, and the ids under which it runs."""
    played = build(1, calls=10)
    play_all(played)
    for truth in played.truths:
        if truth["open"]:
            assert set(truth) == KNOWN_AT_START | {"uniqueid", "linkedids", "open", "fate", "lost"}
            assert truth["linkedids"] == [truth["uniqueid"]]


@given(seed=st.integers(0, 10**6), seconds=st.floats(0, 40))
@settings(max_examples=25, deadline=None)
def test_a_hang_up_from_outside_ends_that_call_and_leaves_the_rest(seed: int, seconds: float) -> None:
    """Whenever it comes, the call of the channel ends at once, whole and once in the truth; all others end as planned."""
    played = build(seed, calls=30)
    at = play_until(played, seconds)
    player = played.player
    if not player.exchange.legs:
        return
    leg = list(player.exchange.legs.values())[seed % len(player.exchange.legs)]
    reply, frames = hang_up(player, Message({"channel": leg.channel, "cause": "21"}), at)
    assert reply.startswith(b"Response: Success")
    gone = [head(frame.wire)["Uniqueid"] for frame in frames if frame.event == "Hangup"]
    assert leg.uniqueid in gone
    assert leg.uniqueid not in player.exchange.legs
    play_all(played)
    assert sorted(played.closed) == list(range(1, 31))
    assert [truth["fate"] for truth in played.closed.values()].count("hangup") == 1
    assert not player.exchange.legs
    assert not player.exchange.bridges


def test_hanging_up_nobody_is_an_error() -> None:
    """A channel that is not there, or no channel at all, is answered with an error and changes nothing."""
    played = build()
    play_until(played, 3)
    for message in (Message({"channel": "PJSIP/none-00000000"}), Message({})):
        reply, frames = hang_up(played.player, message, 3_000_000)
        assert reply.startswith(b"Response: Error")
        assert frames == []


@given(seed=st.integers(0, 10**6), seconds=st.floats(0, 40))
@settings(max_examples=15, deadline=None)
def test_a_clean_stop_ends_every_call_and_says_so(seed: int, seconds: float) -> None:
    """`core stop now` hangs up every channel, closes every truth that was open, and the last word is Shutdown."""
    played = build(seed, calls=30)
    at = play_until(played, seconds)
    frames = played.player.shut_down(at)
    assert frames[-1].event == "Shutdown"
    assert played.player.due is None
    assert not played.player.exchange.legs
    assert {t["number"] for t in played.truths if t["open"]} == set(played.closed)


def test_after_a_crash_numbers_begin_again_and_nobody_was_told() -> None:
    """A crash closes the truth only; after the start, sequences and channel names are 0 again and later calls come."""
    played = build(2, calls=40, rate=5.0)
    at = play_until(played, 4)
    alive = len(played.player.exchange.legs)
    assert alive > 0
    played.player.crash(at)
    crashed = [truth for truth in played.closed.values() if truth["fate"] == "crash"]
    assert crashed
    assert all(truth["ended_at"] == played.player.exchange.opening + at for truth in crashed)
    assert played.player.due is None
    played.player.boot(at + 2_000_000)
    first = head(play_all(played)[0].wire)
    assert first["Uniqueid"].split(".")[1] == "0"
    assert first["Channel"].endswith("-00000000")
    numbers = [truth["number"] for truth in played.truths if not truth["open"]]
    assert len(numbers) == len(set(numbers)) == 40


def click(**headers: str) -> Message:
    """An Originate as the product sends it."""
    usual = {"channel": "PJSIP/1003", "context": "internal", "exten": "0261910004", "priority": "1", "async": "true"}
    return Message({**usual, "actionid": "cmd-7", "channelid": "click-7", **headers})


def test_a_click_rings_the_agent_and_then_the_customer() -> None:
    """The own ChannelId becomes the uniqueid, the answer says Success when the agent answers, then the number is dialled."""
    played = build(calls=0)
    reply, frames = originate(played.player, click(), 1_000_000)
    assert reply == b"Response: Success\r\nActionID: cmd-7\r\nMessage: Originate successfully queued\r\n\r\n"
    frames += play_all(played)
    told = [(frame.event, head(frame.wire)) for frame in frames]
    events = [event for event, _ in told]
    assert told[0][1]["Uniqueid"] == told[0][1]["Linkedid"] == "click-7"
    assert "Channel" not in next(fields for event, fields in told if event == "DialBegin")
    response = next(fields for event, fields in told if event == "OriginateResponse")
    assert (response["Response"], response["Reason"], response["Uniqueid"]) == ("Success", "4", "click-7")
    assert response["ActionID"] == "cmd-7"
    second = next(fields for event, fields in told[1:] if event == "Newchannel")
    assert second["Context"] == "from-trunk"
    assert events.index("OriginateResponse") < [i for i, event in enumerate(events) if event == "Newchannel"][1]
    (truth,) = played.closed.values()
    assert truth["kind"] == "click_to_call"
    assert (truth["direction"], truth["customer_number"]) == ("outbound", "+33261910004")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [({"channel": "PJSIP/9999"}, "0"), ({"channel": "SIP/1003"}, "0")],
)
def test_a_click_to_nobody_fails_later(headers: dict[str, str], reason: str) -> None:
    """It is queued all the same; the failure comes as an event, with no call and no truth."""
    played = build(calls=0)
    reply, frames = originate(played.player, click(**headers), 0)
    assert b"successfully queued" in reply
    told = head(frames[0].wire)
    assert (told["Response"], told["Reason"], told["Channel"]) == ("Failure", reason, headers["channel"])
    assert played.told == []


def test_a_click_to_a_busy_agent_fails_with_busy() -> None:
    """Nobody is given a second call by a click."""
    played = build(calls=0)
    originate(played.player, click(), 0)
    _, frames = originate(played.player, click(channelid=""), 1000)
    told = head(frames[0].wire)
    assert (told["Reason"], told["Uniqueid"]) == ("5", "<unknown>")


@pytest.mark.parametrize(
    "headers",
    [
        {"channel": ""},
        {"channel": "1003"},
        {"async": "false"},
        {"application": "System"},
        {"context": ""},
        {"exten": "0261910004&SIP/evil"},
        {"exten": ""},
    ],
)
def test_an_impossible_click_is_an_error(headers: dict[str, str]) -> None:
    """Missing or dangerous headers are refused in the answer, and nothing is played."""
    played = build(calls=0)
    reply, frames = originate(played.player, click(**headers), 0)
    assert reply.startswith(b"Response: Error\r\nActionID: cmd-7\r\n")
    assert frames == []
    assert played.player.due is None


def test_truth_lines_are_json_lines() -> None:
    """Every line is one JSON object with its line end: a file of them can be read while it grows."""
    played = build(calls=5)
    play_all(played)
    for line in played.told:
        assert line.endswith(b"}\n")
        assert line.count(b"\n") == 1
        assert isinstance(orjson.loads(line), dict)


def test_what_is_lost_stands_in_the_truth_of_its_call() -> None:
    """Every event of a call is either sent or told as lost, and what is lost changes nothing else."""
    whole, thinned = build(4, calls=30), build(4, calls=30, loss=Loss(rng=random.Random(4), chance=0.05))
    sent, left = play_all(whole), play_all(thinned)
    gone = Counter(frame.wire for frame in sent) - Counter(frame.wire for frame in left)
    states = ("DeviceStateChange", "QueueMemberStatus")
    events = Counter(event for wire in gone.elements() if (event := head(wire)["Event"]) not in states)
    told = [name.partition(" ")[0] for truth in thinned.closed.values() for name in truth["lost"]]
    assert Counter(told) == events
    assert told
    assert [truth["lost"] for truth in whole.closed.values()] == [[]] * 30
    assert [t["talk_s"] for t in thinned.closed.values()] == [t["talk_s"] for t in whole.closed.values()]
