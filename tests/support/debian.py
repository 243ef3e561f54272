"""A Debian in a folder: built once with debootstrap from the machine's own mirror, then kept in the cache.

Everything that mounts runs in a mount namespace of its own (`unshare --mount`), so that the mounts end with the process,
however it ends: nothing has to be unmounted, and no `rm` can reach through a mount.
"""

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from streams.embedded.jars import default_cache

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# The child dies when its parent does, and with the first process of its pid namespace everything below it.
ISOLATED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
BASE = """
set -eu
folder=$1; mirror=$2; keyring=$3; suite=$4
say() { echo "== $*"; }
say "1 of 3: the base of Debian $suite (about a minute)"
debootstrap --variant=minbase --keyring="$keyring" --include=ca-certificates,tzdata "$suite" "$folder" "$mirror"
cp /etc/resolv.conf "$folder/etc/resolv.conf"
printf '#!/bin/sh\\nexit 101\\n' >"$folder/usr/sbin/policy-rc.d"   # packages start no daemon
chmod +x "$folder/usr/sbin/policy-rc.d"
echo force-unsafe-io >"$folder/etc/dpkg/dpkg.cfg.d/unsafe-io"      # a half-built folder is thrown away anyway
mount -t proc proc "$folder/proc"
mount --bind /dev "$folder/dev"
export DEBIAN_FRONTEND=noninteractive
install() {
  # A mirror that was frozen some weeks ago is as good: the signature is checked all the same.
  chroot "$folder" apt-get -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false update
  chroot "$folder" apt-get -o Acquire::Retries=3 install -y --no-install-recommends "$@"
  chroot "$folder" apt-get clean
}
"""
"""How a script for `build` begins; its own further arguments are $5 and on."""

Say = Callable[[str], None]


class UnavailableError(Exception):
    """This machine cannot hold the folder; the text says why."""


def kept(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of that name in the cache, made anew where it is not there or of another recipe.

    `make` builds into the path that it is given. Raises `UnavailableError` where this machine cannot.
    """
    _require_machine()
    cache = default_cache()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # somebody else may be building it
        mark = folder / "recipe"
        if not mark.exists() or mark.read_text(encoding="ascii") != recipe:
            half = folder.with_name(f"{name}.half")
            for old in (half, folder):  # a killed build, or one of another recipe
                subprocess.run(["rm", "-rf", "--one-file-system", old], check=True, timeout=300)
            make(half)
            (half / "recipe").write_text(recipe, encoding="ascii")
            half.rename(folder)
    return folder


def build(folder: Path, script: str, suite: str, arguments: Sequence[str], say: Say) -> tuple[int, Path]:
    """Run a script that begins with `BASE`; returns how it ended and its log. `say` is told its lines of progress."""
    _install_debootstrap()
    log = folder.with_suffix(".log")
    command = [*ISOLATED, "sh", "-c", script, "build", str(folder), _mirror(), str(_KEYRING), suite, *arguments]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child,
    ):
        try:
            for line in child.stdout or ():
                output.write(line)
                if line.startswith(b"== "):
                    say(line[3:].decode().strip())
        except BaseException:
            child.kill()  # interrupted: nobody goes on building behind the lock's back
            raise
    return child.returncode, log


def _require_machine() -> None:
    if os.geteuid() != 0:
        raise UnavailableError("not root, as debootstrap, mount and chroot need")
    if platform.freedesktop_os_release().get("ID") != "debian" or not _KEYRING.exists():
        raise UnavailableError("not Debian: the folder is built with debootstrap from the machine's own mirror")
    trial = subprocess.run([*ISOLATED, "mount", "-t", "tmpfs", "trial", "/mnt"], capture_output=True, check=False)
    if trial.returncode != 0:
        raise UnavailableError(f"mounts are refused here: {trial.stderr.decode(errors='replace').strip()}")


def _install_debootstrap() -> None:
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
