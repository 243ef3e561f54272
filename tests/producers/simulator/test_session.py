import asyncio
import hashlib
from collections.abc import Callable

import pytest

from producers.simulator.frames import Frame
from producers.simulator.message import LIMIT, Message
from producers.simulator.session import Gate, Session
from tests.producers.simulator.centre import frames_of, head

GATE = Gate(user="trunkline", secret="s3cret", failure_delay=0.0, buffer_bytes=1000)
FRAMES = [
    Frame(1, "Newchannel", "call", b"Event: Newchannel\r\nPrivilege: call,all\r\nChannel: Local/1@x\r\n\r\n"),
    Frame(2, "AgentCalled", "agent", b"Event: AgentCalled\r\nPrivilege: agent,all\r\n\r\n"),
    Frame(3, "VarSet", "dialplan", b"Event: VarSet\r\nPrivilege: dialplan,all\r\n\r\n"),
    Frame(4, "Cdr", "cdr", b"Event: Cdr\r\nPrivilege: cdr,all\r\n\r\n"),
]
WHOLE = b"".join(frame.wire for frame in FRAMES if frame.privilege != "dialplan")


class Wire(asyncio.Transport):
    """A connection that keeps what is written; `unread` is what the far side has left lying."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unread = 0
        self.closed = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return bool(self.closed)

    def close(self) -> None:
        self.closed = self.closed or "closed"

    def abort(self) -> None:
        self.closed = self.closed or "aborted"


def connected(gate: Gate = GATE) -> tuple[Session, Wire]:
    """A session that has greeted its client."""

    def act(message: Message, write: Callable[[bytes], object]) -> None:
        write(message.success(f"did {message.action}"))

    session = Session(gate, challenge="123", act=act, booted=lambda: b"Event: FullyBooted\r\n\r\n", gone=id)
    wire = Wire()
    session.connection_made(wire)
    assert wire.written == b"Asterisk Call Manager/5.0.4\r\n"
    wire.written = b""
    return session, wire


def say(session: Session, wire: Wire, **headers: str) -> list[dict[str, str]]:
    """Send one action; what is answered, after timers that are due have run."""

    async def send() -> None:
        session.data_received("".join(f"{k}: {v}\r\n" for k, v in headers.items()).encode() + b"\r\n")
        await asyncio.sleep(0.01)

    wire.written = b""
    asyncio.run(send())
    return [head(frame) for frame in frames_of(wire.written)]


def login(session: Session, wire: Wire, **headers: str) -> list[dict[str, str]]:
    return say(session, wire, **{"Action": "Login", "Username": "trunkline", "Secret": "s3cret", **headers})


def key(challenge: str, secret: str) -> str:
    return hashlib.md5((challenge + secret).encode()).hexdigest()


def test_plain_login_is_answered_and_followed_by_fully_booted() -> None:
    """The ActionID comes back, then the event that says the PBX is up."""
    session, wire = connected()
    told = login(session, wire, ActionID="a-1")
    assert told[0] == {"Response": "Success", "ActionID": "a-1", "Message": "Authentication accepted"}
    assert told[1]["Event"] == "FullyBooted"
    assert session.entered


def test_md5_login_proves_the_secret_without_sending_it() -> None:
    """Challenge, then the hash of challenge and secret; action and header names in any case."""
    session, wire = connected()
    assert say(session, wire, action="challenge", AUTHTYPE="md5")[0]["Challenge"] == "123"
    told = say(session, wire, Action="login", AuthType="MD5", Username="trunkline", Key=key("123", "s3cret"))
    assert told[0]["Message"] == "Authentication accepted"


@pytest.mark.parametrize(
    "headers",
    [
        {"Secret": "wrong"},
        {"Secret": ""},
        {"Username": "nobody"},
        {"AuthType": "MD5", "Key": "0" * 32},
        {"AuthType": "MD5", "Key": ""},
    ],
)
def test_a_failed_login_is_told_and_closed(headers: dict[str, str]) -> None:
    """Whatever was wrong, the answer is the same, and then the connection ends."""
    session, wire = connected()
    assert [told["Message"] for told in login(session, wire, **headers)] == ["Authentication failed"]
    assert wire.closed == "closed"
    assert not session.entered


def test_a_failed_login_is_answered_late_and_nothing_else_is() -> None:
    """Until the answer to a failed login comes, Asterisk's session sleeps: other actions are not heard."""
    session, wire = connected(Gate(user="u", secret="s", failure_delay=60.0))
    assert login(session, wire) == []
    assert say(session, wire, Action="Logoff") == []


def test_nothing_is_done_for_strangers() -> None:
    """Before the login, all but login, challenge and logoff is denied, and no event is delivered."""
    session, wire = connected()
    assert say(session, wire, Action="CoreShowChannels")[0]["Message"] == "Permission denied"
    assert say(session, wire, Actionn="x")[0]["Message"] == "Missing action in request"
    assert say(session, wire, Action="Challenge")[0]["Message"] == "Must specify AuthType"
    wire.written = b""
    session.deliver(FRAMES, WHOLE)
    assert wire.written == b""


def test_logoff_says_goodbye_and_closes() -> None:
    """The polite end."""
    session, wire = connected()
    login(session, wire)
    assert say(session, wire, Action="Logoff")[0]["Response"] == "Goodbye"
    assert wire.closed == "closed"


@pytest.mark.parametrize(
    ("events", "heard"),
    [
        ("on", ["Newchannel", "AgentCalled", "Cdr"]),
        ("", ["Newchannel", "AgentCalled", "Cdr"]),
        ("call,cdr", ["Newchannel", "Cdr"]),
        ("agent", ["AgentCalled"]),
        ("off", []),
        ("dialplan", []),
    ],
)
def test_the_mask_narrows_what_the_user_may_read(events: str, heard: list[str]) -> None:
    """`Events:` chooses among the classes of the user's right to read; it never adds one."""
    session, wire = connected()
    login(session, wire, Events=events)
    wire.written = b""
    session.deliver(FRAMES, WHOLE)
    assert [head(frame)["Event"] for frame in frames_of(wire.written)] == heard


def test_the_mask_can_change_later() -> None:
    """Action Events answers with what is on now; without the system class there is no FullyBooted."""
    session, wire = connected()
    assert len(login(session, wire, Events="off")) == 1
    assert say(session, wire, Action="Events", EventMask="on")[0]["Events"] == "On"
    assert say(session, wire, Action="Events", EventMask="off")[0]["Events"] == "Off"


def test_filters_include_first_and_then_exclude() -> None:
    """A filter is a pattern over the whole frame; `!` excludes; a bad pattern and another operation are errors."""
    session, wire = connected()
    login(session, wire)
    assert say(session, wire, Action="Filter", Operation="Add", Filter="(")[0]["Response"] == "Error"
    assert say(session, wire, Action="Filter", Operation="Del", Filter="x")[0]["Message"] == "Unknown operation"
    assert say(session, wire, Action="Filter", Operation="Add", Filter="!Channel: Local/")[0]["Response"] == "Success"
    say(session, wire, Action="Filter", Operation="Add", Filter="Event: (Newchannel|Cdr)")
    wire.written = b""
    session.deliver(FRAMES, WHOLE)
    assert [head(frame)["Event"] for frame in frames_of(wire.written)] == ["Cdr"]


def test_a_client_that_does_not_read_is_cut_off() -> None:
    """More unread than the gate allows breaks the connection, and nothing more is written to it."""
    session, wire = connected()
    login(session, wire)
    wire.unread = 1001
    session.deliver(FRAMES, WHOLE)
    assert wire.closed == "aborted"
    written = wire.written
    session.deliver(FRAMES, WHOLE)
    assert wire.written == written


def test_endless_input_without_an_empty_line_is_cut_off() -> None:
    """Nobody can fill the memory by never ending an action."""
    session, wire = connected()
    session.data_received(b"x" * (LIMIT + 1))
    assert wire.closed == "closed"


def test_other_actions_go_to_the_pbx() -> None:
    """The session answers for itself only; a second login changes nothing."""
    session, wire = connected()
    login(session, wire)
    assert say(session, wire, Action="QueueStatus")[0]["Message"] == "did queuestatus"
    assert login(session, wire, Secret="wrong")[0]["Message"] == "Already authenticated"


def test_the_secret_is_not_printed() -> None:
    """A gate in a traceback or a log shows no secret."""
    assert "s3cret" not in repr(GATE)
