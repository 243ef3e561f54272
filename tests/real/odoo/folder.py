"""A folder with a Debian, its Odoo 14 and a PostgreSQL with a fresh database in it: built once, then kept in the cache.

As `tests.real.asterisk.folder`: everything that mounts does so in a mount namespace of its own. Nothing is written into
the folder once it is built; a running Odoo works on a copy of the database's directory.
"""

import fcntl
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from streams.embedded.jars import default_cache
from tests.real.asterisk.folder import _KEYRING, ISOLATED, _debootstrap, _mirror, _recipe_of, _require_machine

_SUITE = "bullseye"
_BUILD = """
set -eu
folder=$1; mirror=$2; keyring=$3; suite=$4
say() { echo "== $*"; }
as() { user=$1; shift; chroot --userspec="$user" "$folder" env HOME=/tmp "$@"; }
say "1 of 3: the base of Debian $suite (about a minute)"
debootstrap --variant=minbase --keyring="$keyring" --include=ca-certificates,tzdata "$suite" "$folder" "$mirror"
cp /etc/resolv.conf "$folder/etc/resolv.conf"
printf '#!/bin/sh\\nexit 101\\n' >"$folder/usr/sbin/policy-rc.d"   # packages start no daemon
chmod +x "$folder/usr/sbin/policy-rc.d"
echo force-unsafe-io >"$folder/etc/dpkg/dpkg.cfg.d/unsafe-io"      # a half-built folder is thrown away anyway
mount -t proc proc "$folder/proc"
mount --bind /dev "$folder/dev"
say "2 of 3: Odoo, PostgreSQL and the libraries they need (two minutes)"
export DEBIAN_FRONTEND=noninteractive
# A mirror that was frozen some weeks ago is as good: the signature is checked all the same.
chroot "$folder" apt-get -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false update
chroot "$folder" apt-get -o Acquire::Retries=3 install -y --no-install-recommends postgresql odoo-14 python3-phonenumbers
chroot "$folder" apt-get clean
say "3 of 3: a database with the modules crm and contacts (a minute)"
mkdir -m 700 "$folder/srv/pg" && chroot "$folder" chown postgres:postgres /srv/pg
bin=/usr/lib/postgresql/13/bin
as postgres:postgres $bin/initdb -D /srv/pg -E UTF8 --locale=C.UTF-8 --auth=trust
as postgres:postgres $bin/pg_ctl -D /srv/pg -w -l /srv/pg/log -o "-k /tmp -h '' -F -c full_page_writes=off" start
as postgres:postgres $bin/psql -h /tmp -c "create role odoo login createdb"
as odoo:odoo odoo --data-dir=/tmp/odoo --db_host=/tmp -d crm -i crm,contacts --without-demo=all --stop-after-init \
    --max-cron-threads=0 --log-level=warn --no-http
as postgres:postgres $bin/pg_ctl -D /srv/pg -w -m fast stop
rm -rf "$folder/tmp/odoo"
echo built
"""
_RECIPE = hashlib.sha256(f"{_BUILD}\0{_SUITE}".encode()).hexdigest()
_TAIL = 2000

Say = Callable[[str], None]


def odoo_folder(say: Say) -> Path:
    """Return the folder, building it the first time (four minutes, 1.9 GB); `say` is told how far it is.

    Raises `UnavailableError` where it cannot be built, RuntimeError with the end of the log when building fails.
    """
    _require_machine()
    cache = default_cache()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / "odoo-14"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # somebody else may be building it
        if _recipe_of(folder) != _RECIPE:
            _build(folder, say)
    return folder


def _build(folder: Path, say: Say) -> None:
    _debootstrap()
    half = folder.with_name(f"{folder.name}.half")
    for old in (half, folder):  # a killed build, or one of another recipe
        subprocess.run(["rm", "-rf", "--one-file-system", old], check=True, timeout=300)
    log = folder.with_suffix(".log")
    say(f"Odoo: building {folder} (once, about four minutes; log in {log})")
    command = [*ISOLATED, "sh", "-c", _BUILD, "build", str(half), _mirror(), str(_KEYRING), _SUITE]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as build,
    ):
        try:
            for line in build.stdout or ():
                output.write(line)
                if line.startswith(b"== "):
                    say(f"Odoo: {line[3:].decode().strip()}")
        except BaseException:
            build.kill()  # interrupted: nobody goes on building behind the lock's back
            raise
    if build.returncode != 0:
        raise RuntimeError(f"building Odoo failed; the end of {log}:\n{log.read_text(errors='replace')[-_TAIL:]}")
    (half / "recipe").write_text(_RECIPE, encoding="ascii")
    half.rename(folder)
    say("Odoo: ready")
