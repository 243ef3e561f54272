"""Telephones played by sipp: what a telephone itself says by SIP (hold, 302, REFER), packet by packet from `sipp/*.xml`."""

import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from streams.runtime.clock import SystemClock
from tests.real.asterisk.house import SIPP
from tests.real.asterisk.stories import Leg

_SCENARIOS = Path(__file__).with_name("sipp")
_LONGEST_S = "40"
_START = """
mount --bind "$2" "$1/mnt" && folder=$1 && shift 2 && exec chroot "$folder" sh -c 'cd /mnt && exec "$@"' sipp "$@"
"""
_MESSAGE = re.compile(
    r"^-{10,} (?P<moment>\S+(?:[ \t][\d:.]+)?).*\nUDP message (?P<way>sent|received).*\n\n(?P<text>(?:.+\n)+)",
    re.MULTILINE,
)
"""`2026-11-24 19:18:36.623694`, since sipp 3.7 `2026-11-24T19:18:36.623694Z`."""


_CLOCK = SystemClock()


class Message(NamedTuple):
    """One packet as sipp logged it."""

    at: int
    """µs UTC."""
    sent: bool
    text: str

    def header(self, name: str) -> str:
        found = re.search(rf"^{name}: *(.*?)\r?$", self.text, re.MULTILINE)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where sipp runs and whom it talks to."""

    folder: Path
    """That of the Asterisk under test: it holds sipp too."""
    home: Path
    port: str
    """Of the telephones."""
    pbx: str
    """The PBX's SIP port."""


class Line:
    """One call at a telephone: a process that ends with it."""

    def __init__(self, place: Place, extension: str, scenario: str, other: str, *, dials: bool = False) -> None:
        """Start it: it waits for a call on its address, or dials `other` at once."""
        self._extension, self._dials = extension, dials
        self._address = (SIPP[int(extension)], int(place.port))
        name = f"{extension}-{scenario}-{secrets.token_hex(3)}"
        self._log = place.home / f"{name}.log"
        place.home.mkdir(parents=True, exist_ok=True)
        shutil.copy(_SCENARIOS / f"{scenario}.xml", place.home)
        own = str(int(place.port) + 1) if dials else place.port
        sipp = ["sipp", "-sf", f"{scenario}.xml", "-s", extension, "-i", self._address[0], "-p", own, "-m", "1"]
        sipp += ["-nostdin", "-timeout", _LONGEST_S, "-default_behaviors", "all,-abortunexp", "-key", "other", other]
        sipp += ["-trace_msg", "-message_file", f"{name}.log"]
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", _START, "sh"]
        with (place.home / f"{name}.out").open("wb") as out:
            self._process = subprocess.Popen(
                [*command, str(place.folder), str(place.home), *sipp, f"127.0.0.1:{place.pbx}"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={"TZ": "UTC", "TERM": "dumb", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )

    def over(self) -> bool:
        """Whether the call is."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End it, in whatever state it is."""
        self._process.kill()
        self._process.wait(10)

    def leg(self) -> Leg | None:
        """The telephone's part as its own packets tell it; None before the first."""
        messages = list(self._messages())
        asked = [one for one in messages if one.text.startswith("INVITE ")]
        if not asked:
            return None
        taken = [one for one in messages if one.text.startswith("SIP/2.0 200") and "INVITE" in one.header("CSeq")]
        bye = [one for one in messages if one.text.startswith("BYE ")]
        refused = [one for one in messages if re.match(r"SIP/2.0 [3-6]", one.text)]
        ends = bye or refused
        return Leg(
            number=self._extension,
            called=not self._dials,
            created=asked[0].at,
            up=taken[0].at if taken else None,
            ended=ends[0].at if ends and self.over() else None,
        )

    def dialog(self) -> str:
        """The call's name in a Replaces header, once it is up; else ""."""
        for one in self._messages():
            if one.text.startswith("SIP/2.0 200") and "INVITE" in one.header("CSeq"):
                to, own = (one.header(side).partition("tag=")[2] for side in ("To", "From"))
                return quote(f"{one.header('Call-ID')};to-tag={to};from-tag={own}", safe="")
        return ""

    def tell(self, header: str, value: str) -> None:
        """A MESSAGE within the telephone's own call, as its user's finger on a button."""
        invite = next(one for one in self._messages() if one.text.startswith("INVITE "))
        lines = [
            f"MESSAGE sip:{self._extension}@{self._address[0]}:{self._address[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{secrets.token_hex(8)}",
            f"From: {invite.header('From')}",
            f"To: {invite.header('To')}",
            f"Call-ID: {invite.header('Call-ID')}",
            "CSeq: 9000 MESSAGE",
            f"{header}: {value}",
            "Content-Length: 0",
        ]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packet:
            packet.sendto("\r\n".join([*lines, "", ""]).encode(), self._address)

    def _messages(self) -> Iterator[Message]:
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        for found in _MESSAGE.finditer(text):
            moment = datetime.fromisoformat(found["moment"].replace("\t", " ")).replace(tzinfo=UTC)
            at = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
            yield Message(at, found["way"] == "sent", found["text"])


class Telephone:
    """A telephone that sipp plays; one that transfers has a second line, and a user who presses the button."""

    _TALK = 1_500_000
    _CONSULT = 2_000_000

    def __init__(self, place: Place, extension: str, scenario: str, other: str) -> None:
        """Wait for a call; `other` is the extension that it may send the call to."""
        self._place, self._extension, self._other = place, extension, other
        self._line = Line(place, extension, scenario, other)
        self._second: Line | None = None
        self._consults = scenario == "attended"

    def over(self) -> bool:
        """Whether its calls are. To be asked again and again: it is then that its user does something."""
        if self._consults and not self._line.over():
            self._consult()
        return self._line.over() and (self._second is None or self._second.over())

    def legs(self) -> list[Leg]:
        """Its calls so far."""
        lines = [self._line, *([self._second] if self._second else [])]
        return [leg for line in lines if (leg := line.leg()) is not None]

    def stop(self) -> None:
        """End what has not ended."""
        self._line.stop()
        if self._second is not None:
            self._second.stop()

    def _consult(self) -> None:
        now, first = _CLOCK.now(), self._line.leg()
        if self._second is None:
            if first is not None and first.up and now > first.up + self._TALK:
                self._second = Line(self._place, self._extension, "consult", self._other, dials=True)
            return
        asked = self._second.leg()
        if asked is not None and asked.up and now > asked.up + self._CONSULT:
            self._line.tell("X-Replaces", self._second.dialog())
            self._consults = False
