"""Asterisk: channel, queue and transfer events over AMI (lines `Key: Value`, a blank line ends a message).

quality: live events, resync after a gap, audits, two adapters of one PBX, both dialects (1.x and >= 2). Shown on
Asterisk 16; wants `timestampevents=yes`.

manager.conf:

    [general]
    enabled = yes
    timestampevents = yes
    [trunkline]
    secret = …
    read = system,call,agent,user,cdr,dtmf
    write = system,reporting
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr

from producers import feeds
from producers.adapter import Adapter, Context, Feed, Frame, event_id
from producers.pbx._asterisk import special, taxonomy
from producers.pbx._asterisk.session import Session
from producers.pbx._asterisk.zone import Zone
from schemas.events import CallEvent
from streams.clients import ami
from streams.runtime.errors import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    host: str
    """Address of the PBX."""
    username: str
    """User of manager.conf."""
    secret: SecretStr
    """The user's secret; from the environment or secret_file."""
    of: str = ""
    """The [pbx] section of which this is a second adapter, with the same keys: either may fail. Empty: a PBX of its own."""
    port: int = 5038
    """Port of AMI; with TLS usually 5039."""
    tls: bool = False
    """Speak TLS."""
    tls_ca: str = ""
    """File with the CA certificates to trust; empty: the system's."""
    tls_verify: bool = True
    """Check the PBX's certificate and name. Turn off only on a closed network."""
    md5: bool = True
    """Log in by challenge, so that the secret itself is not sent."""
    events: str = "on"
    """Event classes to ask for: on, or a list such as system,call,agent,user,cdr."""
    exclude: tuple[str, ...] = (
        *("VarSet", "Newexten", "RTCPSent", "RTCPReceived", "TestEvent", "AGIExec", "AsyncAGI", "ChannelUpdate"),
        *("PeerStatus", "ContactStatus", "ExtensionStatus", "BridgeCreate", "BridgeDestroy", "ConfbridgeTalking"),
        *("DTMFBegin", "SuccessfulAuth", "ChallengeSent", "RequestBadFormat", "MCID", "SIPRinging"),
    )
    """Events that the PBX shall not send us; take Newexten out to see who enters voicemail; VarSet too to know which queue
    was full or empty, and the files that MixMonitor writes. Both want the class dialplan, and double the events."""
    keepalive_seconds: float = 15.0
    """After twice as long without a sign of life the connection counts as dead; a ping goes out every 5 s, or sooner."""
    audit_seconds: float = 60.0
    """Time between two looks at who is alive: ends a call whose Hangup was lost after a minute or two. 0: never."""
    ivr_events: tuple[str, ...] = ()
    """Names of UserEvents by which the dialplan tells an IVR choice."""
    note_events: tuple[str, ...] = ()
    """Names of UserEvents that are a note on the call."""
    dtmf_digits: bool = False
    """Publish the digits that callers type. They may be card numbers and PINs."""
    cel: bool = True
    """Take in CEL events too (cel_manager): the only sign of voicemail, and who hung up. False: only those about voicemail."""
    zone: Zone = ""
    """IANA zone of the PBX's clock, for the local times in Cdr events; empty: measured from each record."""


def feed(config: Config) -> Feed:
    tls = feeds.tls(config.tls_ca, verify=config.tls_verify) if config.tls else None
    return feeds.tcp(config.host, config.port, tls=tls, talk=partial(Session, config))


_TELLING = re.compile(rb"\r\nVariable: (?:QUEUESTATUS|MIXMONITOR_FILENAME)\r\n")
"""The variables that say something of a call."""
_DROPPED = frozenset(
    b"varset rtcpsent rtcpreceived testevent agiexec asyncagi channelupdate peerstatus contactstatus extensionstatus"
    b" bridgecreate bridgedestroy confbridgetalking dtmfbegin successfulauth challengesent".split()
)


def normalise(frame: Frame, context: Context[Config]) -> Iterator[CallEvent]:
    """The events of one message. Answers and the client's own actions in a recording carry none."""
    raw = frame.raw
    if isinstance(raw, ami.Torn):
        raise Reject(f"a message of more than {ami.LIMIT} bytes")
    head = raw[: raw.find(b"\r\n")] if b"\r\n" in raw else raw
    if head[:7].lower() == b"event: " and head[7:].lower() in _DROPPED and not _TELLING.search(raw):
        return
    fields = ami.parse(raw)
    if "event" not in fields:
        if "response" in fields or "action" in fields:
            return
        raise Reject("no AMI message: it has no Event field")
    if b"\r\nEvent: " in raw:
        raise Reject("two events in one message")
    ts, precision = _when(frame, fields.get("timestamp"))
    identity = raw if precision == "us" and not frame.facts else _of_session(frame)
    found = special.snapshot(context, fields, frame.facts) if frame.facts else taxonomy.read(context, fields)
    for index, facts in enumerate(found):
        yield CallEvent(
            event_id=event_id(context.tenant, context.pbx, identity, frame.ordinal, index),
            tenant=context.tenant,
            pbx=context.pbx,
            merge_key=context.merge_key,
            ts=ts,
            ts_precision=precision,
            received_at=frame.received_at,
            seq=frame.seq,
            **facts,
        )


def _of_session(frame: Frame) -> bytes:
    """A snapshot's row, or an event without a time, is a fact of this reading session only."""
    session = frame.facts["session"] if frame.facts else ""
    return b"%d %d %b %b" % (frame.received_at, frame.seq, session.encode(), frame.raw)


def _when(frame: Frame, stamp: str | None) -> tuple[int, str]:
    """`Timestamp: 1700000000.123456`, UTC; a snapshot's row has the moment of the snapshot instead."""
    at = frame.facts["at"] if frame.facts else stamp
    if at is None:
        return frame.received_at, "arrival"
    seconds, dot, micros = at.partition(".")
    digits = seconds + micros
    if not dot or len(micros) != 6 or len(seconds) > 11 or not digits.isascii() or not digits.isdigit():  # noqa: PLR2004
        raise Reject(f"Timestamp is no time: {at[:40]!r}")
    return int(seconds) * 1_000_000 + int(micros), "us"


adapter = Adapter(config=Config, feed=feed, normalise=normalise, of=lambda config: config.of)
