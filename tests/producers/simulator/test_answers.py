from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator.answers import QUESTIONS
from producers.simulator.frames import Frame
from producers.simulator.message import Message
from tests.producers.simulator.centre import Played, build, frames_of, head


def moment(seed: int, seconds: float) -> tuple[Played, list[Frame], int]:
    """A busy centre in mid-run: what was said until then, and the moment in µs UTC."""
    played = build(seed, calls=None, rate=3.0)
    at = round(seconds * 1e6)
    frames = played.player.advance(at)
    return played, frames, played.player.exchange.opening + at


def ask(played: Played, at: int, action: str, **headers: str) -> list[dict[str, str]]:
    """The items of a list answer; its frame, its end and its count are checked on the way."""
    message = Message({"action": action, "actionid": "q-1", **headers})
    start, *items, end = [head(f) for f in frames_of(QUESTIONS[action](played.player.exchange, message, at))]
    assert (start["Response"], start["EventList"], start["ActionID"]) == ("Success", "start", "q-1")
    assert (end["EventList"], end["ListItems"], end["ActionID"]) == ("Complete", str(len(items)), "q-1")
    assert all(item["ActionID"] == "q-1" and "Privilege" not in item for item in items)
    return items


def said(frames: Iterable[Frame], event: str) -> list[dict[str, str]]:
    return [head(frame.wire) for frame in frames if frame.event == event]


@given(seed=st.integers(0, 10**6), seconds=st.floats(0, 60))
@settings(max_examples=15, deadline=None)
def test_lists_show_what_the_events_have_said(seed: int, seconds: float) -> None:
    """At any moment, channels, bridges, waiting callers and member states are those that a listener has worked out."""
    played, frames, at = moment(seed, seconds)
    born = {told["Uniqueid"]: told for told in said(frames, "Newchannel")}
    for told in said(frames, "Hangup"):
        del born[told["Uniqueid"]]
    channels = ask(played, at, "coreshowchannels")
    assert {channel["Uniqueid"] for channel in channels} == set(born)
    inside = {told["Uniqueid"]: told["BridgeUniqueid"] for told in said(frames, "BridgeEnter")}
    bridges = {told["BridgeUniqueid"] for told in said(frames, "BridgeCreate")}
    bridges -= {told["BridgeUniqueid"] for told in said(frames, "BridgeDestroy")}
    listed = ask(played, at, "bridgelist")
    assert {bridge["BridgeUniqueid"] for bridge in listed} == bridges
    for channel in channels:
        assert channel["BridgeId"] in {"", inside.get(channel["Uniqueid"])}
    for bridge in listed:
        legs = ask(played, at, "bridgeinfo", bridgeuniqueid=bridge["BridgeUniqueid"])
        assert len(legs) == int(bridge["BridgeNumChannels"])
    waiting = {told["Uniqueid"] for told in said(frames, "QueueCallerJoin")}
    waiting -= {told["Uniqueid"] for told in said(frames, "QueueCallerLeave")}
    items = ask(played, at, "queuestatus")
    assert {item["Uniqueid"] for item in items if item["Event"] == "QueueEntry"} == waiting
    last = {(told["Queue"], told["Interface"]): told["Status"] for told in said(frames, "QueueMemberStatus")}
    for item in items:
        if item["Event"] == "QueueMember":
            assert item["Status"] == last.get((item["Queue"], item["Location"]), "1")


def test_queue_status_narrows_to_a_queue_and_a_member() -> None:
    """As app_queue does: by queue name in any case, by interface or member name."""
    played, _, at = moment(1, 20)
    items = ask(played, at, "queuestatus", queue="SALES", member="PJSIP/1001")
    assert [item["Event"] for item in items if item["Event"] != "QueueEntry"] == ["QueueParams", "QueueMember"]
    assert {item["Queue"] for item in items} == {"sales"}
    params = next(item for item in items if item["Event"] == "QueueParams")
    assert int(params["Calls"]) == sum(item["Event"] == "QueueEntry" for item in items)


def test_durations_are_hours_minutes_seconds() -> None:
    """CoreShowChannels says how long a channel has lived, in a form that does not wrap."""
    played, _, at = moment(1, 20)
    oldest = ask(played, at + 3_600_000_000, "coreshowchannels")[0]
    assert oldest["Duration"].startswith("01:00:")


def test_device_states_are_the_last_that_were_said() -> None:
    """DeviceStateList repeats the last DeviceStateChange of every telephone and trunk."""
    played, frames, at = moment(2, 30)
    last = {t["Device"]: t["State"] for t in said(frames, "DeviceStateChange") if not t["Device"].startswith("Queue:")}
    assert {item["Device"]: item["State"] for item in ask(played, at, "devicestatelist")} == last


def test_single_answers_and_errors() -> None:
    """Settings and status are one response; no hints, no bridge id and a wrong one are errors."""
    played, _, at = moment(1, 5)
    exchange = played.player.exchange

    def answer(action: str, **headers: str) -> dict[str, str]:
        return head(QUESTIONS[action](exchange, Message({"action": action, **headers}), at))

    assert answer("coresettings")["AMIversion"].startswith("5.")
    assert int(answer("corestatus")["CoreCurrentCalls"]) == len(exchange.legs)
    assert answer("extensionstatelist")["Response"] == "Error"
    assert answer("bridgeinfo")["Message"] == "BridgeUniqueid must be provided"
    assert answer("bridgeinfo", bridgeuniqueid="x")["Message"] == "Specified BridgeUniqueid not found"
