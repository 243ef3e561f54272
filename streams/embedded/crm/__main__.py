"""`python -m streams.embedded.crm`: the sandbox CRM on the loopback until SIGTERM or Ctrl-C."""

import random
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from streams.embedded.crm.process import TOKEN, TOKEN_FILE, own_token
from streams.embedded.crm.server import application
from streams.embedded.crm.store import connect
from streams.embedded.process import LOOPBACK, claim, die_with_parent, free_port, run
from streams.runtime.clock import SystemClock


def main(
    data_dir: Annotated[Path, typer.Option(help="Where contacts and journal are kept; made if missing.")],
    port: Annotated[int, typer.Option(help="Loopback port; 0 takes a free one and prints it.")] = 8069,
    detach: Annotated[bool, typer.Option("--detach", help="Outlive the process that started this one.")] = False,
) -> None:
    """Run the sandbox CRM: a small CRM for demos and tests, not a product.

    The API's token comes from TRUNKLINE_SANDBOX_TOKEN or the file that TRUNKLINE_SANDBOX_TOKEN_FILE names.
    """
    if not detach:
        die_with_parent()
    token = own_token()
    if not token:
        typer.echo(f"a token is needed: set {TOKEN}, or {TOKEN_FILE} to a file that holds it", err=True)
        raise typer.Exit(2)
    claim(data_dir)
    port = port or free_port()
    db = connect(data_dir / "crm.sqlite")
    typer.echo(f"Sandbox CRM on http://{LOOPBACK}:{port}, data in {data_dir}", err=True)
    app = application(db, token, SystemClock(), random.Random())  # noqa: S311 - shuffles webhooks, no secret
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again when it has stopped
    try:
        # No access log: an address can hold a telephone number. Open answers get five seconds at the end.
        uvicorn.run(app, host=LOOPBACK, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
    finally:
        db.close()


if __name__ == "__main__":
    run(main)
