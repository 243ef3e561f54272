"""One running Odoo with its PostgreSQL, on a copy of the folder's database, and an administrator's way in."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx

from streams.embedded.process import Child, free_port
from streams.runtime.clock import SystemClock
from tests.support.debian import ISOLATED

_SETUP = 'mount --bind "$2" "$1/mnt" && mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && exec chroot '
_POSTGRES = (
    '--userspec=postgres:postgres "$1" setpriv --pdeathsig KILL /usr/lib/postgresql/13/bin/postgres -D /mnt/pg -k /mnt/pg -p "$3"'
    " -c listen_addresses=127.0.0.1"
)
_ODOO = (
    '--userspec=odoo:odoo "$1" env HOME=/mnt/odoo setpriv --pdeathsig KILL odoo --data-dir=/mnt/odoo --db_host=127.0.0.1 --db_port="$3"'
    ' --db_user=odoo -d crm --no-database-list --http-interface=127.0.0.1 --http-port="$4" --max-cron-threads=0'
    " --workers=0 --log-level=warn"
)
CLOCK = SystemClock()
LOGIN, PASSWORD = "trunkline", "hunter2-token"
_RIGHTS = ("base.group_user", "base.group_partner_manager", "sales_team.group_sale_salesman_all_leads")


class Instance:
    """Odoo and PostgreSQL of the shared folder with a home of their own, which they see as /mnt."""

    def __init__(self, *, folder: Path, home: Path) -> None:
        self.folder, self.database_port, self._port = folder, free_port(), free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        home.chmod(0o755)
        subprocess.run(["cp", "-a", folder / "srv/pg", home / "pg"], check=True, timeout=120)
        (home / "odoo").mkdir(mode=0o777)
        (home / "odoo").chmod(0o777)
        (home / "log").mkdir()
        places = [str(folder), str(home), str(self.database_port), str(self._port)]
        # What is killed is the namespace, and with it every process of the server: its first one dies with `unshare`,
        # which it has to ask for again after it has become another user.
        run = [*ISOLATED, "sh", "-c"]
        self.database = Child(
            [*run, _SETUP + _POSTGRES, "postgres", *places], log=home / "log/postgres", answers=self._accepts
        )
        self.server = Child([*run, _SETUP + _ODOO, "odoo", *places], log=home / "log/odoo", answers=self._serves)

    def start(self) -> None:
        """Start both, and make the user that calls are written as: a plain one, with the rights of a seller."""
        self.database.start(wait=30)
        self.server.start(wait=60)
        rights = [self.ref(name) for name in _RIGHTS]
        values = {"name": "Trunkline", "login": LOGIN, "password": PASSWORD, "groups_id": [[6, 0, rights]]}
        self.admin("res.users", "create", values)

    def stop(self) -> None:
        """End both."""
        self.server.kill()
        self.database.kill()

    def restart_database(self) -> None:
        """As `pg_ctl restart -m fast`: open transactions are rolled back, sessions are ended."""
        (inner,) = Path(f"/proc/{self.database.pid}/task/{self.database.pid}/children").read_text().split()
        os.kill(int(inner), signal.SIGINT)
        deadline = CLOCK.monotonic() + 30
        while self.database.pid:
            assert CLOCK.monotonic() < deadline, "PostgreSQL did not stop"
            CLOCK.sleep(0.05)
        self.database.start(wait=30)

    def ref(self, name: str) -> int:
        """The id behind an external id."""
        module, _, rest = name.partition(".")
        domain = [["module", "=", module], ["name", "=", rest]]
        found: int = self.admin("ir.model.data", "search_read", domain, ["res_id"])[0]["res_id"]
        return found

    def admin(self, model: str, method: str, *args: Any, **named: Any) -> Any:
        """What a person does, as the administrator (uid 2)."""
        return self._rpc("object", "execute_kw", ["crm", 2, "admin", model, method, list(args), named])

    def _rpc(self, service: str, method: str, args: list[Any]) -> Any:
        params = {"service": service, "method": method, "args": args}
        body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
        told = httpx.post(f"{self.url}/jsonrpc", json=body, timeout=120, trust_env=False).json()
        assert "error" not in told, told["error"]["data"]["debug"]
        return told.get("result")

    def _accepts(self) -> bool:
        ready = ["chroot", str(self.folder), "/usr/lib/postgresql/13/bin/pg_isready", "-h", "127.0.0.1"]
        done = subprocess.run([*ready, "-p", str(self.database_port)], capture_output=True, check=False, timeout=10)
        return done.returncode == 0

    def _serves(self) -> bool:
        try:
            return bool(self._rpc("common", "login", ["crm", "admin", "admin"]))
        except (httpx.HTTPError, ValueError, AssertionError):
            return False
