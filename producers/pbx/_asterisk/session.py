"""One AMI connection as a reading session, sans I/O: login, filters, keepalive, resync.

AMI replays nothing, so every connection begins with a snapshot of what is alive. Order of what is given:
source.up, gap.detected (when something was read before), a row per live channel and waiting caller, gap.resolved, then
the events that arrived meanwhile.

With every answer to a ping source.up says again how far this session has read: everything from since_us to until_us was
given. Now and then an audit asks who is alive; its source.up has their ids too (live, at audit_us), behind a row for
each channel whose beginning no event told.
"""

import re
from typing import TYPE_CHECKING

import structlog

from producers.adapter import Frame, Notice, Ordinals, Position, Reading
from producers.pbx._asterisk.inventory import Inventory, Lists, ask, told
from producers.pbx._asterisk.pulse import MICRO, STAMP, Pulse
from streams.clients.ami import Answer, Client, parse
from streams.runtime import metrics
from streams.runtime.errors import Fatal, Retry

if TYPE_CHECKING:
    from producers.pbx.asterisk_ami import Config

BOOT_WAIT = 3.0
"""Seconds to wait for FullyBooted after login; it does not come without the right to read `system`."""
HEARTBEAT = 5.0
"""Most seconds between two pings, and so between two words on how far the session has read."""
STAMPS = (
    "set `timestampevents = yes` under [general] in manager.conf, `manager reload`; until then run one adapter only"
)
RIGHTS = "give the user `write = reporting` in manager.conf"
FILTER = "add `system` to the user's `write =` in manager.conf, or eventfilter lines"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")

log = structlog.get_logger()


class Session:
    """A `producers.feeds.Conversation`."""

    def __init__(self, config: "Config", reading: Reading) -> None:
        self._config = config
        self._reading = reading
        self._clock = reading.clock
        self._token = f"{reading.chance.getrandbits(64):016x}"
        self._reader = str(reading.position.get("reader", "")) or f"{reading.chance.getrandbits(64):016x}"
        self._client = Client(mark=f"trunkline-{self._token}")
        self._ordinals = Ordinals()
        self._inventory = Inventory()
        self._seq = 0
        self._out: list[Frame | Notice] = []
        self._held: list[bytes] | None = []
        """Events that wait for the snapshot; None once it is done."""
        self._syncing = False
        self._gap_from = 0
        self._logged_in_at: float | None = None
        self._pinged_at: float | None = None
        self._heard_at = self._clock.monotonic()
        self._snapshot_at = 0
        self._devices: tuple[bytes, ...] = ()
        self._answered = False
        """A ping was, and how far we have read is to be told."""
        self._audited_at: float | None = None
        """None: not now, or the PBX does not let us."""
        self._startup = str(reading.position.get("startup", ""))
        self._uptime: int | None = None
        self._restarted = False
        self._stamped: bool | None = None
        self._pulse = Pulse(reading.pbx, reading.clock, int(reading.position.get("seen_us", 0)))
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
            self._inventory.heard(raw)
            if self._held is not None:
                self._held.append(raw)
            else:
                self._out.append(self._frame(raw, now))
        if self._held is None:
            self._pulse.heard(raw)
            self._position = {"seen_us": self._pulse.seen, "startup": self._startup, "reader": self._reader}
            if self._answered:
                beat = {"heartbeat": "1", "skew_us": str(self._pulse.skew), **self._pulse.coverage()}
                self._out.append(self._notice("source.up", self._pulse.seen, beat))
        self._answered = False
        given, self._out = self._out, []
        return given

    def outgoing(self) -> bytes:
        """What is to be sent now; raises Retry when the PBX has not answered for two pings."""
        now = self._clock.monotonic()
        patience, audits = self._config.keepalive_seconds, self._config.audit_seconds
        if now - self._heard_at > 2 * patience:
            raise Retry(f"no sign of life for {2 * patience:.0f} s")
        if self._logged_in_at is not None and not self.up and self._pinged_at is None:
            if now - self._logged_in_at > BOOT_WAIT:
                self._resync()
        elif self._audited_at is not None and 0 < audits <= now - self._audited_at:
            self._audit()
        elif self.up and self._pinged_at is not None and now - self._pinged_at >= min(patience, HEARTBEAT):
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
            self._out.append(
                self._notice("source.down", self._pulse.now(), {"reason": reason, **self._pulse.coverage()})
            )
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

    def _ping(self) -> None:
        sent = self._clock.now()
        self._pinged_at = self._clock.monotonic()

        def answered(answer: Answer) -> None:
            self._pulse.pong(answer, sent)
            self._answered = True

        self._client.ask("Ping", {}, answered)

    # Resync

    def _resync(self) -> None:
        before = self._pulse.seen
        sent = self._clock.now()
        self._syncing = True
        self._audited_at = None
        self._pinged_at = self._clock.monotonic()
        self._inventory.begin()

        def begun(answer: Answer) -> None:
            self._snapshot_at = self._pulse.pong(answer, sent)
            self._announce(before)

        self._client.ask("Ping", {}, begun)
        self._client.ask("CoreStatus", {}, self._started)
        self._client.ask("DeviceStateList", {}, self._listed_devices, listed=True)
        ask(self._client, self._synced)

    def _announce(self, before: int) -> None:
        if not self.up:
            self.up = True
            self._pulse.since = self._snapshot_at
            data = {"skew_us": str(self._pulse.skew), "version": self._client.greeting, **self._pulse.coverage()}
            if self._pulse.wrong:
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

    def _listed_devices(self, answer: Answer) -> None:
        """Answers come in the order of the questions, so they are there before the lists are."""
        self._devices = answer.items

    def _synced(self, lists: Lists) -> None:
        held, self._held = self._held or [], None
        self._syncing = False
        now = self._clock.now()
        if lists.channels.ok:
            self._audited_at = self._clock.monotonic()
            strangers, _ = self._inventory.compare(lists.live)
            self._tell(strangers, lists, self._snapshot_at)
            facts = self._listing(self._snapshot_at)
            self._out += [self._frame(raw, now, facts) for raw in (*self._devices, *lists.members)]
            data = {"from_us": str(self._gap_from), "to_us": str(self._snapshot_at), "live": told(lists.live)}
            if self._restarted:
                data["restarted"] = "1"
            self._out.append(self._notice("gap.resolved", self._snapshot_at, data))
        else:
            reason = lists.channels.message
            log.error(
                "no snapshot: calls that ended unseen stay open", pbx=self._reading.pbx, reason=reason, fix=RIGHTS
            )
        self._out += [self._frame(raw, now) for raw in held]

    def _tell(self, strangers: set[bytes], lists: Lists, at: int) -> None:
        """A row for each; a leg whose Hangup came while the list was made is none of them: it would be revived."""
        facts, now = self._listing(at), self._clock.now()
        for raw, bridge in lists.rows(strangers):
            self._out.append(self._frame(raw, now, facts | bridge))

    def _listing(self, at: int) -> dict[str, str]:
        """What a row of a list does not tell itself."""
        return {"at": f"{at // MICRO}.{at % MICRO:06d}", "session": self._token}

    def _audit(self) -> None:
        """Have the lists made again, between two pings.

        What is not in them and older than the first answer is gone; behind the second no event from before is on its way.
        """
        self._audited_at = None
        sent = self._clock.now()
        self._pinged_at = self._clock.monotonic()
        at = 0
        found: list[Lists] = []

        def opened(answer: Answer) -> None:
            nonlocal at
            at = self._pulse.pong(answer, sent)
            self._inventory.begin()

        def closed(_: Answer) -> None:
            if self._syncing or self._audited_at is not None:
                return
            self._audited_at = self._clock.monotonic()
            for lists in (each for each in found if each.channels.ok):
                strangers, vanished = self._inventory.compare(lists.live)
                strangers -= lists.local
                metrics.SOURCE_LOST.labels(self._reading.pbx).inc(len(strangers) + len(vanished))
                self._tell(strangers, lists, at)
                data = {"heartbeat": "1", "audit_us": str(at), "live": told(lists.live), **self._pulse.coverage()}
                self._out.append(self._notice("source.up", at, data))

        self._client.ask("Ping", {}, opened)
        ask(self._client, found.append)
        self._client.ask("Ping", {}, closed)

    # What is given

    def _frame(self, raw: bytes, now: int, facts: dict[str, str] | None = None) -> Frame:
        if self._stamped is None and facts is None and not raw.startswith(b"Event: FullyBooted"):
            self._stamped = STAMP.search(raw) is not None
            if not self._stamped:
                if self._config.of:  # it would double every event under another id
                    raise Fatal(f"a second adapter needs events that carry their time: {STAMPS}")
                log.warning("events carry no time", pbx=self._reading.pbx, fix=STAMPS)
                self._out.append(self._notice("source.up", now, {"timestamps": "0", "fix": STAMPS}))
        self._seq += 1
        if facts is not None:
            return Frame(raw, now, self._seq, 0, facts)
        return Frame(raw, now, self._seq, self._ordinals.of(raw))

    def _notice(self, kind: str, ts: int, data: dict[str, str]) -> Notice:
        self._seq += 1
        data = {"session": self._token, "reader": self._reader, **data}
        return Notice(type=kind, ts=ts, received_at=self._clock.now(), seq=self._seq, data=data)
