"""One AMI connection as a reading session, sans I/O: login, filters, keepalive, resync.

AMI replays nothing, so every connection begins with a snapshot of what is alive. Order of what is given:
source.up, gap.detected (when something was read before), a row per live channel and waiting caller, gap.resolved, then
the events that arrived meanwhile.
"""

import re
from functools import partial
from typing import TYPE_CHECKING

import structlog

from producers.adapter import Frame, Notice, Ordinals, Position, Reading
from streams.clients.ami import Answer, Client, parse
from streams.runtime import metrics
from streams.runtime.errors import Fatal, Retry

if TYPE_CHECKING:
    from producers.pbx.asterisk_ami import Config

MICRO = 1_000_000
SKEW = MICRO
"""From here on the PBX's clock is called wrong."""
BOOT_WAIT = 3.0
"""Seconds to wait for FullyBooted after login; it does not come without the right to read `system`."""
STAMPS = (
    "set `timestampevents = yes` under [general] in manager.conf, `manager reload`; until then run one adapter only"
)
RIGHTS = "give the user `write = reporting` in manager.conf"
FILTER = "add `system` to the user's `write =` in manager.conf, or eventfilter lines"
_STAMP = re.compile(rb"\r\nTimestamp: ([0-9]{9,11})\.([0-9]{6})")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")
_HANGUP = re.compile(rb"Event: Hangup\r.*?\r\nUniqueid: ([^\r]+)", re.DOTALL)
_UNIQUEID = re.compile(rb"\r\nUniqueid: ([^\r]+)", re.IGNORECASE)
_LISTS = ("CoreShowChannels", "BridgeList", "QueueStatus")

log = structlog.get_logger()


class Session:
    """A `producers.feeds.Conversation`."""

    def __init__(self, config: "Config", reading: Reading) -> None:
        self._config = config
        self._reading = reading
        self._clock = reading.clock
        self._token = f"{reading.chance.getrandbits(64):016x}"
        self._client = Client(mark=f"trunkline-{self._token}")
        self._ordinals = Ordinals()
        self._seq = 0
        self._out: list[Frame | Notice] = []
        self._held: list[bytes] | None = []
        """Events that wait for the snapshot; None once it is done."""
        self._lists: dict[str, Answer] = {}
        self._syncing = False
        self._gap_from = 0
        self._logged_in_at: float | None = None
        self._pinged_at: float | None = None
        self._heard_at = self._clock.monotonic()
        self._snapshot_at = 0
        self._skew = 0
        self._startup = str(reading.position.get("startup", ""))
        self._uptime: int | None = None
        self._restarted = False
        self._stamped: bool | None = None
        self._seen = int(reading.position.get("seen_us", 0))
        self._position = reading.position
        self.up = False
        self._client.login(
            config.username, config.secret.get_secret_value(), self._login, events=config.events, md5=config.md5
        )

    # What a Conversation gives its transport

    def receive(self, data: bytes) -> list[Frame | Notice]:
        """Frames and notices that these bytes complete; raises Fatal when the PBX refuses the login."""
        self._heard_at = self._clock.monotonic()
        now = self._clock.now()
        raw = b""
        for raw in self._client.receive(data):
            if raw.startswith(b"Event: FullyBooted"):
                self._booted(raw)
            if self._held is not None:
                self._held.append(raw)
            else:
                self._out.append(self._frame(raw, now))
        if self._held is None:
            if stamp := _STAMP.search(raw):
                self._seen = int(stamp[1]) * MICRO + int(stamp[2])
            self._position = {"seen_us": self._seen, "startup": self._startup}
        given, self._out = self._out, []
        return given

    def outgoing(self) -> bytes:
        """What is to be sent now; raises Retry when the PBX has not answered for two pings."""
        now = self._clock.monotonic()
        patience = self._config.keepalive_seconds
        if now - self._heard_at > 2 * patience:
            raise Retry(f"no sign of life for {2 * patience:.0f} s")
        if self._logged_in_at is not None and not self.up and self._pinged_at is None:
            if now - self._logged_in_at > BOOT_WAIT:
                self._resync()
        elif self.up and self._pinged_at is not None and now - self._pinged_at >= patience:
            self._ping()
        return self._client.outgoing(now)

    @property
    def position(self) -> Position:
        """Does not move while events wait for the snapshot."""
        return self._position

    def ended(self, reason: str) -> list[Frame | Notice]:
        self._out += [self._frame(raw, self._clock.now()) for raw in self._held or ()]
        self._held = None
        if self.up:
            self.up = False
            self._out.append(self._notice("source.down", self._pbx_now(), {"reason": reason}))
        return self._out

    def farewell(self) -> bytes:
        self._client.ask("Logoff", {}, lambda _: None)
        return self._client.outgoing(self._clock.monotonic())

    # Login

    def _login(self, answer: Answer) -> None:
        if not answer.ok:
            raise Fatal(
                f"{self._config.host}:{self._config.port} refuses the AMI user {self._config.username!r}"
                f" ({answer.message or 'no reason given'}): check username, secret and the permit= lines of manager.conf"
            )
        self._logged_in_at = self._clock.monotonic()
        names = [name for name in self._config.exclude if _PLAIN_NAME.fullmatch(name)]
        if names:
            # One anchored expression: the PBX runs it over every event of every session.
            rule = f"!^Event: ({'|'.join(names)})[^A-Za-z]"
            self._client.ask("Filter", {"Operation": "Add", "Filter": rule}, self._filtered)

    def _filtered(self, answer: Answer) -> None:
        if not answer.ok:
            log.warning("the PBX sends unwanted events too", pbx=self._reading.pbx, reason=answer.message, fix=FILTER)

    def _booted(self, raw: bytes) -> None:
        uptime = parse(raw).get("uptime", "")
        self._uptime = int(uptime) if uptime.isascii() and uptime.isdigit() and len(uptime) < 12 else None  # noqa: PLR2004
        if not self._syncing:
            self._held = self._held or []
            self._resync()

    # Keepalive and clock

    def _ping(self) -> None:
        sent = self._clock.now()
        self._pinged_at = self._clock.monotonic()
        self._client.ask("Ping", {}, lambda answer: self._pong(answer, sent))

    def _pong(self, answer: Answer, sent: int) -> None:
        now = self._clock.now()
        stamp = _STAMP.search(b"\r\nTimestamp: " + answer.fields.get("timestamp", "").encode())
        if stamp is None:
            return
        theirs = int(stamp[1]) * MICRO + int(stamp[2])
        wrong = abs(self._skew) > SKEW
        self._skew = theirs - (sent + now) // 2
        self._seen = max(self._seen, theirs)
        metrics.CLOCK_SKEW.labels(self._reading.pbx).set(self._skew / MICRO)
        if abs(self._skew) > SKEW and not wrong:
            log.warning("the PBX's clock is off; mend its NTP", pbx=self._reading.pbx, seconds=self._skew / MICRO)

    def _pbx_now(self) -> int:
        return self._clock.now() + self._skew

    # Resync

    def _resync(self) -> None:
        before = self._seen
        sent = self._clock.now()
        self._syncing = True
        self._pinged_at = self._clock.monotonic()
        self._lists = {}

        def begun(answer: Answer) -> None:
            self._pong(answer, sent)
            self._snapshot_at = self._pbx_now()
            self._announce(before)

        self._client.ask("Ping", {}, begun)
        self._client.ask("CoreStatus", {}, self._started)
        for action in _LISTS:
            self._client.ask(action, {}, partial(self._listed, action), listed=True)

    def _announce(self, before: int) -> None:
        if not self.up:
            self.up = True
            data = {"skew_us": str(self._skew), "version": self._client.greeting}
            if abs(self._skew) > SKEW:
                data["clock"] = "wrong"
            self._out.append(self._notice("source.up", self._snapshot_at, data))
        if before:
            data = {"from_us": str(before), "to_us": str(self._snapshot_at)}
            if self._reading.lost:
                data |= {"reason": "spool-full", "lost": str(self._reading.lost)}
            self._out.append(self._notice("gap.detected", self._snapshot_at, data))
        self._gap_from = before or self._snapshot_at

    def _started(self, answer: Answer) -> None:
        startup = f"{answer.fields.get('corestartupdate', '')} {answer.fields.get('corestartuptime', '')}".strip()
        away = self._snapshot_at - self._gap_from
        young = self._uptime is not None and self._uptime * MICRO < away
        self._restarted = young or (bool(self._startup) and bool(startup) and startup != self._startup)
        self._startup = startup or self._startup

    def _listed(self, action: str, answer: Answer) -> None:
        self._lists[action] = answer
        if len(self._lists) == len(_LISTS):
            self._synced()

    def _synced(self) -> None:
        held, self._held = self._held or [], None
        self._syncing = False
        now = self._clock.now()
        if self._lists["CoreShowChannels"].ok:
            self._out += self._snapshot({m[1] for raw in held if (m := _HANGUP.match(raw))}, now)
        else:
            reason = self._lists["CoreShowChannels"].message
            log.error(
                "no snapshot: calls that ended unseen stay open", pbx=self._reading.pbx, reason=reason, fix=RIGHTS
            )
        self._out += [self._frame(raw, now) for raw in held]

    def _snapshot(self, ended: set[bytes], now: int) -> list[Frame | Notice]:
        """A leg whose Hangup came while the snapshot ran is not told as live: it would be revived."""
        rows: list[Frame | Notice] = []
        facts = {"at": f"{self._snapshot_at // MICRO}.{self._snapshot_at % MICRO:06d}", "session": self._token}
        bridges = _bridges(self._lists["BridgeList"])
        live: list[str] = []
        for raw in self._lists["CoreShowChannels"].items + self._lists["QueueStatus"].items:
            leg = _UNIQUEID.search(raw)
            if leg is None or not raw.startswith((b"Event: CoreShowChannel\r", b"Event: QueueEntry\r")):
                continue
            if raw.startswith(b"Event: CoreShowChannel"):
                live.append(leg[1].decode("utf-8", "replace"))
            if leg[1] not in ended:
                rows.append(self._frame(raw, now, facts | bridges.get(parse(raw).get("bridgeid", ""), {})))
        data = {"from_us": str(self._gap_from), "to_us": str(self._snapshot_at), "live": " ".join(live)}
        if self._restarted:
            data["restarted"] = "1"
        return [*rows, self._notice("gap.resolved", self._snapshot_at, data)]

    # What is given

    def _frame(self, raw: bytes, now: int, facts: dict[str, str] | None = None) -> Frame:
        if self._stamped is None and facts is None and not raw.startswith(b"Event: FullyBooted"):
            self._stamped = _STAMP.search(raw) is not None
            if not self._stamped:
                log.warning("events carry no time", pbx=self._reading.pbx, fix=STAMPS)
                self._out.append(self._notice("source.up", now, {"timestamps": "0", "fix": STAMPS}))
        self._seq += 1
        if facts is not None:
            return Frame(raw, now, self._seq, 0, facts)
        return Frame(raw, now, self._seq, self._ordinals.of(raw))

    def _notice(self, kind: str, ts: int, data: dict[str, str]) -> Notice:
        self._seq += 1
        told = {"session": self._token, **data}
        return Notice(type=kind, ts=ts, received_at=self._clock.now(), seq=self._seq, data=told)


def _bridges(answer: Answer) -> dict[str, dict[str, str]]:
    rows = [parse(raw) for raw in answer.items]
    return {
        row["bridgeuniqueid"]: {
            "bridge_type": row.get("bridgetype", ""),
            "technology": row.get("bridgetechnology", ""),
        }
        for row in rows
        if "bridgeuniqueid" in row
    }
