"""Folders with a Debian and its Asterisk in it, one a version: built once with debootstrap, then kept in the cache.

Everything that mounts runs in a mount namespace of its own (`unshare --mount`), so that the mounts end with the process,
however it ends: nothing has to be unmounted, and no `rm` can reach through a mount.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.embedded.jars import default_cache

_BUILD = """
set -eu
folder=$1; mirror=$2; keyring=$3; suite=$4; packages=$5
say() { echo "== $*"; }
say "1 of 3: the base of Debian $suite (about 30 s)"
debootstrap --variant=minbase --keyring="$keyring" --include=ca-certificates,tzdata "$suite" "$folder" "$mirror"
cp /etc/resolv.conf "$folder/etc/resolv.conf"
printf '#!/bin/sh\\nexit 101\\n' >"$folder/usr/sbin/policy-rc.d"   # packages start no daemon
chmod +x "$folder/usr/sbin/policy-rc.d"
echo force-unsafe-io >"$folder/etc/dpkg/dpkg.cfg.d/unsafe-io"      # a half-built folder is thrown away anyway
mount -t proc proc "$folder/proc"
mount --bind /dev "$folder/dev"
say "2 of 3: Asterisk and the libraries it needs (about 15 s)"
export DEBIAN_FRONTEND=noninteractive
# A mirror that was frozen some weeks ago is as good: the signature is checked all the same.
chroot "$folder" apt-get -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false update
chroot "$folder" apt-get -o Acquire::Retries=3 install -y --no-install-recommends $packages
chroot "$folder" apt-get clean
ln -sf /usr/share/zoneinfo/Europe/Brussels "$folder/etc/localtime"  # the zone of Master.csv: not UTC, on purpose
say "3 of 3: a trial"
chroot "$folder" /usr/sbin/asterisk -V
"""
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
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TAIL = 2000
_REASON = 300

# The child dies when its parent does, and with the first process of its pid namespace everything below it.
ISOLATED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")

Say = Callable[[str], None]


class UnavailableError(Exception):
    """This machine cannot hold the folder; the text says why."""


def asterisk_folder(say: Say, number: str = "16") -> Path:
    """Return the folder of that version, building it the first time (a minute); `say` is told how far it is.

    Raises `UnavailableError` where it cannot be built, RuntimeError with the end of the log when building fails.
    """
    _require_machine()
    cache = default_cache()
    cache.mkdir(parents=True, exist_ok=True)
    version = VERSIONS[number]
    folder = cache / f"asterisk-{version.suite}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # somebody else may be building it
        if _recipe_of(folder) != version.recipe:
            _build(folder, version, say)
    return folder


def _recipe_of(folder: Path) -> str:
    mark = folder / "recipe"
    return mark.read_text(encoding="ascii") if mark.exists() else ""


def _require_machine() -> None:
    if os.geteuid() != 0:
        raise UnavailableError("not root, as debootstrap, mount and chroot need")
    if platform.freedesktop_os_release().get("ID") != "debian" or not _KEYRING.exists():
        raise UnavailableError("not Debian: the folder is built with debootstrap from the machine's own mirror")
    trial = subprocess.run([*ISOLATED, "mount", "-t", "tmpfs", "trial", "/mnt"], capture_output=True, check=False)
    if trial.returncode != 0:
        raise UnavailableError(f"mounts are refused here: {trial.stderr.decode(errors='replace').strip()}")


def _debootstrap() -> None:
    if shutil.which("debootstrap") is None:
        for command in (["update"], ["install", "-y", "--no-install-recommends", "debootstrap"]):
            done = subprocess.run(
                ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *command],
                capture_output=True,
                check=False,
                timeout=300,
            )
        if done.returncode != 0:
            raise UnavailableError(f"debootstrap cannot be installed: {done.stderr.decode(errors='replace')[-300:]}")


def _mirror() -> str:
    """The mirror of this machine's own Debian release, as apt reads it (one-line or deb822 sources alike)."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    form = ["--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    targets = subprocess.run(["apt-get", "indextargets", *form], capture_output=True, check=True, timeout=60)
    for target in targets.stdout.decode().splitlines():
        match target.split():
            case [uri, suite, "main"] if suite == release and uri.startswith("http"):
                return uri
    raise UnavailableError(f"apt has no http source for the main component of {release}: no mirror to build from")


def _build(folder: Path, version: Version, say: Say) -> None:
    _debootstrap()
    mirror = _mirror()
    half = folder.with_name(f"{folder.name}.half")
    for old in (half, folder):  # a killed build, or one of another recipe
        subprocess.run(["rm", "-rf", "--one-file-system", old], check=True, timeout=300)
    log = folder.with_suffix(".log")
    say(f"Asterisk: building {folder} (once, about a minute; log in {log})")
    command = [*ISOLATED, "sh", "-c", _BUILD, "build", str(half), mirror, str(_KEYRING)]
    command += [version.suite, version.packages]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as build,
    ):
        try:
            for line in build.stdout or ():
                output.write(line)
                if line.startswith(b"== "):
                    say(f"Asterisk: {line[3:].decode().strip()}")
        except BaseException:
            build.kill()  # interrupted: nobody goes on building behind the lock's back
            raise
    told = log.read_text(errors="replace")
    if build.returncode != 0 and not version.moving:
        raise RuntimeError(f"building Asterisk failed; the end of {log}:\n{told[-_TAIL:]}")
    if build.returncode != 0:
        raise UnavailableError(f"Debian {version.suite} gives none today; the end of {log}: {told[-_REASON:]}")
    if not told.splitlines()[-1].startswith(f"Asterisk {version.number}."):
        raise UnavailableError(f"Debian {version.suite} has {told.splitlines()[-1]} now")
    (half / "recipe").write_text(version.recipe, encoding="ascii")
    half.rename(folder)
    say("Asterisk: ready")
