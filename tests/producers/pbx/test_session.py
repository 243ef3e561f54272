"""A reading session of AMI without a socket: login, resync after a gap, keepalive, clock, events without a time."""

import random
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from producers.adapter import Frame, Notice, Reading
from producers.pbx._asterisk.session import BOOT_WAIT, Session
from producers.pbx.asterisk_ami import Config
from streams.clients import ami
from streams.clients.ami import parse
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Retry
from tests.support.pbx import channel, event, message

CONFIG = Config(host="pbx", username="trunkline", secret=SecretStr("s3cret"))
BEFORE = 1_699_999_000_000_000


class Line:
    """A session, and the PBX's end of it in the hands of a test."""

    def __init__(self, position: Mapping[str, Any] | None = None, config: Config = CONFIG, lost: int = 0) -> None:
        self.clock = ManualClock()
        self.skew = 0
        reading = Reading(
            pbx="main",
            clock=self.clock,
            chance=random.Random(7),
            stop=threading.Event(),
            position=position or {},
            lost=lost,
        )
        self.session = Session(config, reading)
        self.asked: list[dict[str, str]] = []
        self.got: list[Frame | Notice] = []
        self.say(b"Asterisk Call Manager/5.0.2\r\n")

    def say(self, *messages: bytes) -> None:
        self.got += self.session.receive(b"".join(messages))
        self.listen()

    def listen(self) -> None:
        self.asked += [parse(frame) for frame in self.session.outgoing().split(ami.END) if frame]

    def id_of(self, action: str) -> str:
        return [a for a in self.asked if a["action"] == action][-1]["actionid"]

    def ok(self, action: str, **more: str) -> bytes:
        return message(Response="Success", ActionID=self.id_of(action), **more)

    def pong(self) -> bytes:
        now = self.clock.now() + self.skew
        return self.ok("Ping", Ping="Pong", Timestamp=f"{now // 10**6}.{now % 10**6:06d}")

    def rows(self, action: str, name: str, *bodies: bytes) -> bytes:
        own = self.id_of(action).encode()
        rows = b"".join(b"Event: %b\r\nActionID: %b\r\n%b\r\n" % (name.encode(), own, body) for body in bodies)
        end = message(Event=f"{action}Complete", ActionID=own.decode(), EventList="Complete")
        return self.ok(action, EventList="start") + rows + end

    def log_in(self, uptime: str = "86400") -> None:
        self.say(self.ok("Challenge", Challenge="123"))
        booted = message(Event="FullyBooted", Privilege="system,all", Uptime=uptime) if uptime else b""
        self.say(self.ok("Login", Message="Authentication accepted"), booted)

    def resync(self, *live: bytes, waiting: bytes = b"", startup: str = "10:00:00", during: bytes = b"") -> None:
        self.say(self.pong())
        self.say(self.ok("CoreStatus", CoreStartupDate="2026-11-24", CoreStartupTime=startup))
        bridge = b"BridgeUniqueid: b-1\r\nBridgeType: parking\r\nBridgeTechnology: holding_bridge\r\n"
        channels = self.rows("CoreShowChannels", "CoreShowChannel", *live)
        begin, rest = channels.split(ami.END, 1)
        self.say(
            begin + ami.END + during + rest,
            self.rows("BridgeList", "BridgeListItem", bridge),
            self.rows("QueueStatus", "QueueEntry", *([waiting] if waiting else [])),
        )

    def told(self) -> list[tuple[str, str]]:
        """(kind, uniqueid) of everything given, and forget it."""
        got, self.got = self.got, []
        return [
            (i.type, "")
            if isinstance(i, Notice)
            else (parse(i.raw)["event"] + ("*" if i.facts else ""), parse(i.raw).get("uniqueid", ""))
            for i in got
        ]

    def notice(self, kind: str) -> Notice:
        return next(i for i in self.got if isinstance(i, Notice) and i.type == kind)


def test_a_first_connection_tells_what_is_alive_then_what_happens() -> None:
    """Without a past there is no gap.detected; the snapshot comes first, then events that arrived meanwhile, in order."""
    line = Line()
    line.log_in()
    line.say(event("Newstate", line.clock.now(), channel("1.5")))
    waiting = b"Queue: sales\r\nPosition: 1\r\nUniqueid: 1.5\r\nWait: 7\r\n"
    during = event("Newchannel", line.clock.now(), channel("1.6"))
    line.resync(channel("1.5", BridgeId="b-1"), channel("1.4"), waiting=waiting, during=during)
    line.say(event("Hangup", line.clock.now(), channel("1.6")))
    row = next(i for i in line.got if isinstance(i, Frame) and i.facts)
    assert row.facts is not None
    assert row.facts["bridge_type"] == "parking"
    resolved = line.notice("gap.resolved")
    assert resolved.data["live"] == "1.5 1.4"
    assert "restarted" not in resolved.data
    assert line.told() == [
        ("source.up", ""),
        ("CoreShowChannel*", "1.5"),
        ("CoreShowChannel*", "1.4"),
        ("QueueEntry*", "1.5"),
        ("gap.resolved", ""),
        ("FullyBooted", ""),
        ("Newstate", "1.5"),
        ("Newchannel", "1.6"),
        ("Hangup", "1.6"),
    ]


def test_a_gap_reaches_from_the_last_safe_moment_to_the_snapshot() -> None:
    """By the PBX's clock: from what was durable, to the Pong that opens the snapshot."""
    line = Line({"seen_us": BEFORE, "startup": "2026-11-24 10:00:00"}, lost=3)
    line.skew = 5_000_000
    line.log_in()
    line.resync()
    gap, resolved = line.notice("gap.detected"), line.notice("gap.resolved")
    pbx_now = line.clock.now() + 5_000_000
    assert gap.data["from_us"] == resolved.data["from_us"] == str(BEFORE)
    assert gap.data["to_us"] == resolved.data["to_us"] == str(pbx_now)
    assert (gap.data["reason"], gap.data["lost"]) == ("spool-full", "3")
    up = line.notice("source.up")
    assert (up.data["skew_us"], up.data["clock"]) == ("5000000", "wrong")
    assert [kind for kind, _ in line.told()][:3] == ["source.up", "gap.detected", "gap.resolved"]


@pytest.mark.parametrize("pieces", [1, 1000])
def test_a_leg_that_ends_during_the_snapshot_is_not_revived(pieces: int) -> None:
    """Its row may say Up: it is not told as live, its Hangup is, however the bytes come in."""
    line = Line()
    line.log_in()
    line.say(line.pong(), line.ok("CoreStatus"))
    own = line.id_of("CoreShowChannels").encode()
    wire = (
        line.ok("CoreShowChannels", EventList="start")
        + b"Event: CoreShowChannel\r\nActionID: %b\r\n%b\r\n" % (own, channel("1.5"))
        + event("Hangup", line.clock.now(), channel("1.5"))
        + message(Event="CoreShowChannelsComplete", ActionID=own.decode(), EventList="Complete")
        + line.rows("BridgeList", "BridgeListItem")
        + line.rows("QueueStatus", "QueueEntry", b"Queue: sales\r\nPosition: 1\r\nUniqueid: 1.5\r\n")
    )
    size = max(1, len(wire) // pieces)
    for at in range(0, len(wire), size):
        line.say(wire[at : at + size])
    assert line.notice("gap.resolved").data["live"] == "1.5"
    assert [k for k in line.told() if k[1]] == [("Hangup", "1.5")]


@pytest.mark.parametrize(
    ("startup", "uptime", "restarted"),
    [("10:00:00", "86400", False), ("11:00:00", "86400", True), ("10:00:00", "30", True), ("11:00:00", "", True)],
)
def test_a_restart_of_the_pbx_is_told(startup: str, uptime: str, restarted: bool) -> None:
    """By another start time, or an uptime shorter than we were away; a client that is fast sees no uptime."""
    line = Line({"seen_us": BEFORE, "startup": "2026-11-24 10:00:00"})
    line.log_in(uptime)
    if not uptime:
        line.clock.advance(BOOT_WAIT + 1)
        line.listen()
    line.resync(startup=startup)
    assert line.notice("gap.resolved").data.get("restarted") == ("1" if restarted else None)


def test_the_position_does_not_run_ahead_of_what_was_given() -> None:
    """While events wait for the snapshot, a crash must find the old position."""
    line = Line({"seen_us": BEFORE, "startup": ""})
    line.log_in()
    line.say(event("Newchannel", line.clock.now(), channel("1.6")))
    assert line.session.position["seen_us"] == BEFORE
    line.resync()
    at = line.clock.now() + 1_500_000
    line.say(event("Hangup", at, channel("1.6")))
    assert line.session.position["seen_us"] == at
    assert line.session.position["startup"] == "2026-11-24 10:00:00"


def test_a_connection_that_dies_gives_what_it_held() -> None:
    """Events that waited for a snapshot which never came are given all the same, then source.down."""
    line = Line()
    line.log_in()
    line.say(line.pong())
    line.say(event("Newchannel", line.clock.now(), channel("1.6")))
    line.got += line.session.ended("reset")
    assert line.told() == [("source.up", ""), ("FullyBooted", ""), ("Newchannel", "1.6"), ("source.down", "")]


def test_a_refused_login_needs_a_person() -> None:
    """The text says whom to look at, and does not hold the secret."""
    line = Line()
    line.say(line.ok("Challenge", Challenge="123"))
    with pytest.raises(Fatal, match=r"trunkline.*Authentication failed.*manager.conf") as refused:
        line.say(message(Response="Error", ActionID=line.id_of("Login"), Message="Authentication failed"))
    assert "s3cret" not in str(refused.value)


def test_unwanted_events_are_excluded_at_the_source() -> None:
    """One anchored expression for the PBX to run; a refusal is no reason to stop."""
    line = Line()
    line.log_in()
    rule = next(a["filter"] for a in line.asked if a["action"] == "Filter")
    assert rule.startswith("!^Event: (VarSet|Newexten|")
    line.say(message(Response="Error", ActionID=line.id_of("Filter"), Message="Permission denied"))
    line.resync()
    assert ("gap.resolved", "") in line.told()


def test_without_the_right_to_a_snapshot_events_still_flow() -> None:
    """No gap.resolved without knowing what is alive: nothing may be closed on a guess."""
    line = Line({"seen_us": BEFORE, "startup": ""})
    line.log_in()
    line.say(line.pong(), line.ok("CoreStatus"), event("Hangup", line.clock.now(), channel("1.6")))
    line.say(message(Response="Error", ActionID=line.id_of("CoreShowChannels"), Message="Permission denied"))
    line.say(line.rows("BridgeList", "BridgeListItem"), line.rows("QueueStatus", "QueueEntry"))
    kinds = [kind for kind, _ in line.told()]
    assert kinds == ["source.up", "gap.detected", "FullyBooted", "Hangup"]


def test_silence_is_death() -> None:
    """A ping each 15 s; after 30 s without a byte the connection is given up."""
    line = Line()
    line.log_in()
    line.resync()
    pings = [a["action"] for a in line.asked].count("Ping")
    line.clock.advance(15)
    line.listen()
    assert [a["action"] for a in line.asked].count("Ping") == pings + 1
    line.say(line.pong())
    line.clock.advance(29)
    line.listen()
    line.clock.advance(2)
    with pytest.raises(Retry, match="30 s"):
        line.listen()


def test_events_without_a_time_are_told_once() -> None:
    """timestampevents=no: source.up says so and how to mend it; the events still come."""
    line = Line()
    line.log_in()
    line.resync()
    line.told()
    bare = b"Event: Newchannel\r\nPrivilege: call,all\r\n" + channel("1.7") + b"\r\n"
    line.say(bare)
    again = line.notice("source.up")
    assert again.data["timestamps"] == "0"
    assert "timestampevents = yes" in again.data["fix"]
    line.say(bare)
    assert line.told() == [("source.up", ""), ("Newchannel", "1.7"), ("Newchannel", "1.7")]


def test_events_without_a_time_allow_one_adapter_only() -> None:
    """The second one would tell each event under an id of its own: a person is needed."""
    line = Line(config=replace(CONFIG, of="main"))
    line.log_in()
    line.resync()
    line.say(event("Newchannel", line.clock.now(), channel("1.7")))
    line = Line(config=replace(CONFIG, of="main"))
    line.log_in()
    line.resync()
    with pytest.raises(Fatal, match="timestampevents = yes"):
        line.say(b"Event: Newchannel\r\nPrivilege: call,all\r\n" + channel("1.7") + b"\r\n")


def test_identical_events_are_counted_apart() -> None:
    """The same bytes twice are two facts with two identities."""
    line = Line()
    line.log_in()
    line.resync()
    line.told()
    same = event("DTMFEnd", 5, channel("1.7"))
    line.say(same, same)
    line.say(same)
    assert [i.ordinal for i in line.got if isinstance(i, Frame)] == [0, 1, 2]


def test_a_boot_that_ends_later_brings_a_second_snapshot() -> None:
    """Who connects while Asterisk still boots asks again when it says that it is ready."""
    line = Line()
    line.log_in(uptime="")
    line.clock.advance(BOOT_WAIT + 1)
    line.listen()
    line.resync()
    line.told()
    line.say(message(Event="FullyBooted", Privilege="system,all", Status="Fully Booted"))
    line.resync(channel("1.8"))
    assert [kind for kind, _ in line.told()] == ["gap.detected", "CoreShowChannel*", "gap.resolved", "FullyBooted"]
