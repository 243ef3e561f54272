"""Folders with a Debian and its Asterisk in it, one a version."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.debian import BASE, Say, UnavailableError, build, kept

_BUILD = (
    BASE
    + """
say "2 of 3: Asterisk and the libraries it needs (about 15 s)"
install $5
ln -sf /usr/share/zoneinfo/Europe/Brussels "$folder/etc/localtime"  # the zone of Master.csv: not UTC, on purpose
say "3 of 3: a trial"
chroot "$folder" /usr/sbin/asterisk -V
"""
)
_PACKAGES = "asterisk asterisk-config asterisk-modules asterisk-core-sounds-en-gsm sip-tester"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An Asterisk as one release of Debian has it."""

    number: str
    suite: str
    packages: str
    moving: bool = False
    """The release changes from day to day: what cannot be installed from it today is not to be had."""

    @property
    def recipe(self) -> str:
        return hashlib.sha256(f"{_BUILD}\0{self.suite}\0{self.packages}".encode()).hexdigest()


VERSIONS: Mapping[str, Version] = {
    "16": Version(number="16", suite="bullseye", packages=f"{_PACKAGES} asterisk-voicemail"),
    "22": Version(number="22", suite="sid", packages=_PACKAGES, moving=True),
}
"""By the number that Asterisk gives them."""
ZONE = "Europe/Brussels"
_TAIL = 2000
_REASON = 300


def asterisk_folder(say: Say, number: str = "16") -> Path:
    """Return the folder of that version, building it the first time (a minute); `say` is told how far it is.

    Raises `UnavailableError` where it cannot be built, RuntimeError with the end of the log when building fails.
    """
    version = VERSIONS[number]
    return kept(f"asterisk-{version.suite}", version.recipe, partial(_make, version, say))


def _make(version: Version, say: Say, folder: Path) -> None:
    say(f"Asterisk {version.number}: building {folder} (once, about a minute)")
    code, log = build(folder, _BUILD, version.suite, [version.packages], lambda line: say(f"Asterisk: {line}"))
    told = log.read_text(errors="replace")
    if code != 0 and not version.moving:
        raise RuntimeError(f"building Asterisk failed; the end of {log}:\n{told[-_TAIL:]}")
    if code != 0:
        raise UnavailableError(f"Debian {version.suite} gives none today; the end of {log}: {told[-_REASON:]}")
    if not told.splitlines()[-1].startswith(f"Asterisk {version.number}."):
        raise UnavailableError(f"Debian {version.suite} has {told.splitlines()[-1]} now")
    say("Asterisk: ready")
