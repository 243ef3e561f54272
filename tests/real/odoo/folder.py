"""A folder with a Debian, its Odoo 14 and a PostgreSQL with a fresh database in it.

Nothing is written into the folder once it is built; a running Odoo works on a copy of the database's directory.
"""

import hashlib
from functools import partial
from pathlib import Path

from tests.support.debian import BASE, Say, build, kept

_SUITE = "bullseye"
_BUILD = (
    BASE
    + """
as() { user=$1; shift; chroot --userspec="$user" "$folder" env HOME=/tmp "$@"; }
say "2 of 3: Odoo, PostgreSQL and the libraries they need (two minutes)"
install postgresql odoo-14 python3-phonenumbers
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
)
_RECIPE = hashlib.sha256(f"{_BUILD}\0{_SUITE}".encode()).hexdigest()
_TAIL = 2000


def odoo_folder(say: Say) -> Path:
    """Return the folder, building it the first time (four minutes, 1.9 GB); `say` is told how far it is.

    Raises `UnavailableError` where it cannot be built, RuntimeError with the end of the log when building fails.
    """
    return kept("odoo-14", _RECIPE, partial(_make, say))


def _make(say: Say, folder: Path) -> None:
    say(f"Odoo: building {folder} (once, about four minutes)")
    code, log = build(folder, _BUILD, _SUITE, [], lambda line: say(f"Odoo: {line}"))
    if code != 0:
        raise RuntimeError(f"building Odoo failed; the end of {log}:\n{log.read_text(errors='replace')[-_TAIL:]}")
    say("Odoo: ready")
