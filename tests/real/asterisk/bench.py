"""The bench: a PBX under test, and the outside that plays the carrier, the customers and the telephones.

Two Asterisk processes from one folder, joined by SIP over the loopback: the PBX sees real trunk legs and real telephones,
and nothing of the driver.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path

from streams.embedded.process import free_port
from tests.real.asterisk.folder import ZONE
from tests.real.asterisk.house import devices, scripted
from tests.real.asterisk.instance import Instance
from tests.real.asterisk.play import CLOCK, Play, until
from tests.real.asterisk.sipp import Place
from tests.real.asterisk.stories import Truth
from tests.support.ami import Ami

_QUIET = 0.4
_MODULES = ("/usr/lib/asterisk/modules", "/usr/lib/x86_64-linux-gnu/asterisk/modules")
"""Where Debian has put them, release by release."""


class Bench:
    """A running PBX, the files it writes, and the plays that make calls on it."""

    host = "127.0.0.1"
    username = "trunkline"
    zone = ZONE
    """The PBX's own time zone: that of Master.csv."""

    def __init__(self, *, folder: Path, home: Path) -> None:
        """Write both instances' homes under `home`; nothing runs before `start`."""
        self.secret = secrets.token_hex(8)
        users = {"TRUNKLINE_SECRET": self.secret, "DRIVER_SECRET": secrets.token_hex(8)}
        users["MODULES"] = next(place for place in _MODULES if (folder / place.removeprefix("/")).is_dir())
        pbx, outside = str(free_port()), str(free_port())
        values = users | {"AMI_PORT": str(free_port()), "SIP_PORT": pbx, "OUTSIDE_SIP_PORT": outside}
        values["TELEPHONES"] = devices(outside)
        self._pbx = Instance(name="pbx", folder=folder, home=home / "pbx", values=values)
        values = users | {"AMI_PORT": str(free_port()), "SIP_PORT": outside, "PBX_SIP_PORT": pbx}
        values["TELEPHONES"] = scripted()
        self._outside = Instance(name="outside", folder=folder, home=home / "outside", values=values)
        self._place = Place(folder=folder, home=home / "sipp", port=outside, pbx=pbx)
        self.ami_port = self._pbx.ami_port
        log = home / "pbx" / "log"
        self.master_csv = log / "cdr-csv" / "Master.csv"
        self.cel_csv = log / "cel-custom" / "Master.csv"
        self.queue_log = log / "queue_log"
        self._plays = 0
        self._sessions: list[Ami] = []

    def start(self) -> None:
        """Start both and open the driver's sessions."""
        self._outside.start()
        self._caller = self._drive(self._outside)
        self._pbx.start()
        self._driver = self._drive(self._pbx)

    def stop(self) -> None:
        """Stop both; nothing is left running."""
        for session in self._sessions:
            session.close()
        self._pbx.stop()
        self._outside.stop()

    def restart(self) -> None:
        """Restart the PBX (running or killed): a clean end of its calls, a new process on the same port."""
        self._pbx.stop()
        self._pbx.start()
        self._driver = self._drive(self._pbx)

    def kill(self) -> None:
        """Kill the PBX like a power cut; `restart` brings it back."""
        self._pbx.kill()

    def session(self) -> Ami:
        """A session as the adapter's user: it receives what the adapter receives, and has said FullyBooted."""
        listener = self._pbx.session(self.username)
        listener.wait(lambda frame: frame.get("Event") == "FullyBooted")
        return listener

    def play(self, scenario: str) -> Truth:
        """Play one call to its end and return its truth; raises `NotPlayedError` when the parties did otherwise."""
        return self.play_together(scenario)[0]

    def play_together(self, *scenarios: str) -> list[Truth]:
        """Play calls at the same time (their telephones must differ) and return their truths in the order asked."""
        since = self._driver.position()
        calls = [self.begin(scenario) for scenario in scenarios]
        try:
            until(lambda: _all_over(calls), f"{', '.join(scenarios)} to end")
        finally:
            for call in calls:
                call.forget()
        self._settle(since)
        return [call.truth() for call in calls]

    def begin(self, scenario: str) -> Play:
        """Let the caller dial and return at once: for whoever does something to the PBX in mid-call."""
        self._plays += 1
        call = Play(scenario=scenario, outside=self._caller, pbx=self._driver, place=self._place, number=self._plays)
        call.start()
        return call

    def _drive(self, instance: Instance) -> Ami:
        session = instance.session("driver")
        self._sessions.append(session)
        return session

    def _settle(self, since: int) -> None:
        """Wait until the PBX has hung up what it opened and has said all: records come after the last hang-up."""

        def open_channels() -> set[str]:
            events = self._driver.events(since)
            opened = {event["Uniqueid"] for event in events if event["Event"] == "Newchannel"}
            return opened - {event["Uniqueid"] for event in events if event["Event"] == "Hangup"}

        until(lambda: not open_channels(), "the PBX to hang up")
        seen = -1
        while seen != (seen := self._driver.position()):
            CLOCK.sleep(_QUIET)


def _all_over(calls: Sequence[Play]) -> bool:
    """Every call is asked, for it is then that it does what its scripts tell."""
    over = [call.over() for call in calls]
    return all(over)
