"""The sandbox as a child process of a test or a demo."""

import os
import secrets
import sys
from pathlib import Path

from streams.embedded.process import LOOPBACK, SYSTEM_CLOCK, Child, free_port, listens
from streams.runtime.clock import Clock

TOKEN = "TRUNKLINE_SANDBOX_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE = "TRUNKLINE_SANDBOX_TOKEN_FILE"  # noqa: S105


class EmbeddedCrm(Child):
    """One sandbox CRM on `data_dir`; a second `start()` of the same object keeps port, token and data."""

    def __init__(self, data_dir: Path, *, port: int = 0, token: str = "", clock: Clock = SYSTEM_CLOCK) -> None:
        self.port = port = port or free_port()
        self.token = token or secrets.token_urlsafe(24)
        command = [sys.executable, "-m", "streams.embedded.crm", f"--data-dir={data_dir}", f"--port={port}"]
        log, environ = data_dir / "crm.log", {TOKEN: self.token}
        super().__init__(command, log=log, answers=lambda: listens(port), port=port, environ=environ, clock=clock)

    @property
    def url(self) -> str:
        """The address that clients are given."""
        return f"http://{LOOPBACK}:{self.port}"


def own_token() -> str:
    """The token this process was given, by environment or file; "" when none was."""
    if token := os.environ.get(TOKEN, ""):
        return token
    file = os.environ.get(TOKEN_FILE, "")
    return Path(file).read_text(encoding="utf-8").strip() if file else ""
