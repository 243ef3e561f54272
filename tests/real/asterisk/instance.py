"""One running Asterisk: its settings written from the templates, its process, its manager sessions."""

import re
from collections.abc import Mapping
from pathlib import Path

from streams.embedded.process import Child
from tests.support.ami import Ami, RefusedError

_TEMPLATES = Path(__file__).with_name("config")
_FOLDERS = ("etc", "lib", "run", "spool", "log/cdr-csv", "log/cel-custom")
_PLACE = re.compile(r"@([A-Z][A-Z_]+)@")

# No pid namespace: the last exec is Asterisk itself, so the child's pid is the pid to stop or to kill.
_START = (
    'mount --bind "$2" "$1/mnt" && mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" '
    '&& exec chroot "$1" /usr/sbin/asterisk -f -q -C /mnt/etc/asterisk.conf'
)


class Instance:
    """An Asterisk of the shared folder with a home of its own, which it sees as /mnt."""

    def __init__(self, *, name: str, folder: Path, home: Path, values: Mapping[str, str]) -> None:
        """Write the home of instance `name`; `values` fill the @NAMES@ in the templates."""
        self.home = home
        self.ami_port = int(values["AMI_PORT"])
        self._secrets = {"trunkline": values["TRUNKLINE_SECRET"], "driver": values["DRIVER_SECRET"]}
        for part in _FOLDERS:
            (home / part).mkdir(parents=True)
        for template in (*(_TEMPLATES / "both").iterdir(), *(_TEMPLATES / name).iterdir()):
            text = _PLACE.sub(lambda place: values[place[1]], template.read_text(encoding="utf-8"))
            (home / "etc" / template.name).write_text(text, encoding="utf-8")
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "sh",
            "-c",
            _START,
            name,
            str(folder),
            str(home),
        ]
        self._child = Child(command, log=home / "log" / "output", answers=self._booted)

    def start(self) -> None:
        """Start, and return when all modules are loaded; `Fatal` with the end of its output when it does not boot."""
        self._child.start(wait=60)

    def stop(self) -> None:
        """End it as `core stop now` does: every channel is hung up first."""
        self._child.stop()

    def kill(self) -> None:
        """End it with SIGKILL: no event, no record, like a power cut."""
        self._child.kill()

    def session(self, username: str) -> Ami:
        """Log in as one of the users of manager.conf."""
        return Ami(host="127.0.0.1", port=self.ami_port, username=username, secret=self._secrets[username])

    def _booted(self) -> bool:
        try:
            with self.session("driver") as ami:
                ami.wait(lambda frame: frame.get("Event") == "FullyBooted", timeout=30)
        except (OSError, RefusedError, TimeoutError):
            return False
        return True
