"""The manager interface's wire: framing in any cut, actions that cannot be smuggled, answers that find their question."""

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clients import ami
from streams.clients.ami import Answer, Client, Frames, encode, every, parse

RECORDINGS = Path(__file__).parents[2] / "producers" / "pbx" / "asterisk_ami"
GREETING = b"Asterisk Call Manager/5.0.2\r\n"
RECORDED = (RECORDINGS / "queue_status_goami2" / "frames.txt").read_bytes()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(st.integers(0, 1 << 16), max_size=12))
def test_messages_do_not_depend_on_how_bytes_are_cut(places: list[int]) -> None:
    """TCP cuts where it likes, also inside the greeting, a line end, or an old free-text answer."""
    old = b"Response: Follows\r\nActionID: 1\r\nname\nvalue\r\n\r\nmore: text\n--END COMMAND--\r\n\r\n"
    stream = GREETING + old + RECORDED
    whole = Frames()
    expected = whole.feed(stream)
    assert expected[0] == old.removesuffix(ami.END)
    parts = Frames()
    assert [frame for piece in cut(stream, places) for frame in parts.feed(piece)] == expected
    assert parts.greeting == whole.greeting == "Asterisk Call Manager/5.0.2"


def test_a_message_without_end_is_bounded() -> None:
    """A sender that never ends a message costs a bounded buffer, gives its beginning once, and the next one is whole."""
    frames = Frames(limit=100)
    given_out = frames.feed(GREETING + b"Event: A\r\nX: ")
    for _ in range(50):
        given_out += frames.feed(b"x" * 90)
        assert len(frames._rest) <= 200
    given_out += frames.feed(b"\r\n\r\nEvent: B\r\n\r\n")
    torn, second = given_out
    assert isinstance(torn, ami.Torn)
    assert len(torn) == 100
    assert second == b"Event: B"


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=5))
def test_arbitrary_bytes_raise_nothing(data: bytes, places: list[int]) -> None:
    """Whatever a socket gives, framing and parsing answer."""
    frames = Frames(limit=256)
    for piece in cut(data, places):
        for frame in frames.feed(piece):
            parse(frame)


def test_fields_are_read_whatever_their_spelling() -> None:
    """Keys without case, split at the first colon, one space stripped, unreadable bytes replaced, first value wins."""
    raw = b"Event: X\r\nUniqueID: 1.2\r\nEmpty:\r\nTime: a:b: c\r\nTwo:  x\r\nVar: a=1\r\nVar: b=2\r\nBad: \xff\r\njunk"
    fields = parse(raw)
    assert fields["uniqueid"] == "1.2"
    assert (fields["empty"], fields["time"], fields["two"]) == ("", "a:b: c", " x")
    assert fields["bad"] == "\ufffd"
    assert fields["var"] == "a=1"
    assert every(raw, "var") == ["a=1", "b=2"]
    assert "junk" not in fields


@pytest.mark.parametrize("bad", ["a\r\nAction: Originate", "a\nb", "a\rb", "a\0b"])
@pytest.mark.parametrize("where", ["key", "value"])
def test_no_text_becomes_an_action_of_its_own(bad: str, where: str) -> None:
    """A line break or NUL in a key or a value is refused, and the error names the field, not its content."""
    fields = {bad: "x"} if where == "key" else {"Variable": bad}
    with pytest.raises(ValueError, match=r"AMI field 'a|AMI field 'Variable'") as refused:
        encode({"Action": "Ping", **fields})
    assert "Originate" not in str(refused.value) or where == "key"


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=5))
def test_an_action_reads_back_as_itself(fields: dict[str, str]) -> None:
    """What is encoded is exactly one message with exactly these fields, or it is refused."""
    try:
        wire = encode({"Action": "X", **fields})
    except ValueError:
        return
    (frame,) = Frames().feed(GREETING + wire)
    assert not isinstance(frame, ami.Torn)
    assert frame.count(b"\r\n") == len({"Action": "X", **fields}) - 1


def talk(client: Client, *messages: Mapping[str, str]) -> list[bytes]:
    wire = b"".join("".join(f"{k}: {v}\r\n" for k, v in m.items()).encode() + b"\r\n" for m in messages)
    return list(client.receive(wire))


def asked(client: Client) -> list[dict[str, str]]:
    return [parse(frame) for frame in client.outgoing(0.0).split(ami.END) if frame]


def test_login_by_challenge_never_sends_the_secret() -> None:
    """The digest of challenge and secret goes out, as Asterisk computes it."""
    client, answers = Client(mark="m"), list[Answer]()
    list(client.receive(GREETING))
    client.login("u", "s3cret", answers.append, events="call")
    (challenge,) = asked(client)
    assert challenge == {"action": "Challenge", "actionid": "m-1", "authtype": "MD5"}
    talk(client, {"Response": "Success", "ActionID": "m-1", "Challenge": "145769581"})
    wire = client.outgoing(0.0)
    assert b"s3cret" not in wire
    login = parse(wire)
    assert login["key"] == hashlib.md5(b"145769581s3cret").hexdigest()
    assert (login["username"], login["events"]) == ("u", "call")
    talk(client, {"Response": "Success", "ActionID": "m-2", "Message": "Authentication accepted"})
    assert [a.ok for a in answers] == [True]


def test_plain_login_and_its_refusal() -> None:
    """A refusal may come without an ActionID (AMI 1.x): it still answers the login."""
    client, answers = Client(mark="m"), list[Answer]()
    list(client.receive(GREETING))
    client.login("u", "s", answers.append, md5=False)
    assert asked(client)[0]["secret"] == "s"
    talk(client, {"Response": "Error", "Message": "Authentication failed"})
    assert [(a.ok, a.message) for a in answers] == [(False, "Authentication failed")]


def test_list_answers_are_collected_among_events() -> None:
    """Rows belong to their question; what the PBX sends in between, and others' answers, do not."""
    client, answers = Client(mark="m"), list[Answer]()
    list(client.receive(GREETING))
    client.ask("QueueStatus", {}, answers.append, listed=True)
    client.ask("Ping", {}, answers.append)
    events = talk(
        client,
        {"Response": "Success", "ActionID": "m-1", "EventList": "start"},
        {"Event": "QueueEntry", "Queue": "a", "ActionID": "m-1"},
        {"Event": "Hangup", "Uniqueid": "1.1"},
        {"Event": "OriginateResponse", "ActionID": "m-9", "Response": "Failure"},
        {"Event": "QueueEntry", "Queue": "b", "ActionID": "other-1"},
        {"Event": "QueueEntry", "Queue": "c", "ActionID": "m-1"},
        {"Response": "Success", "ActionID": "other-1"},
        {"Event": "QueueStatusComplete", "ActionID": "m-1"},
        {"Response": "Success", "ActionID": "m-2", "Ping": "Pong"},
    )
    assert [parse(e)["event"] for e in events] == ["Hangup", "OriginateResponse", "QueueEntry"]
    queue, pong = answers
    assert [parse(item)["queue"] for item in queue.items] == ["a", "c"]
    assert pong.fields["ping"] == "Pong"


def test_an_error_ends_a_list_question() -> None:
    """`Permission denied` instead of a list is an answer, with no rows."""
    client, answers = Client(mark="m"), list[Answer]()
    list(client.receive(GREETING))
    client.ask("CoreShowChannels", {}, answers.append, listed=True)
    talk(client, {"Response": "Error", "ActionID": "m-1", "Message": "Permission denied"})
    assert [(a.ok, a.items) for a in answers] == [(False, ())]


def test_actions_leave_no_faster_than_allowed() -> None:
    """A burst is spread: two a second here, never more at once than a second's worth."""
    client = Client(mark="m", per_second=2)
    for _ in range(5):
        client.ask("Ping", {}, lambda _: None)
    left = [client.outgoing(at).count(b"Action: Ping") for at in (0.0, 0.1, 0.5, 10.0, 10.0)]
    assert left == [2, 0, 1, 2, 0]
