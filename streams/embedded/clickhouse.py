"""The real ClickHouse engine as a child process that speaks ClickHouse's HTTP interface: no Docker, no server package."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from streams.embedded.process import LOOPBACK, SYSTEM_CLOCK, Child, claim, die_with_parent, free_port, listens, run
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal

_PASSWORD_FILE = "TRUNKLINE_CLICKHOUSE_PASSWORD_FILE"  # noqa: S105 - the name of a variable
_MAX_HEADERS = 1 << 20  # the address carries settings, parameters and short queries; ClickHouse takes as much
_KEEP_ALIVE = 30
_STOP_WAIT = 20


class EmbeddedClickHouse(Child):
    """One engine on `data_dir`, at `url`. Its tables outlive it; an insert that was acknowledged outlives SIGKILL.

    `password_file` holds the password of the user `default`; without one everybody on this machine may use it.
    """

    def __init__(
        self, data_dir: Path, *, port: int = 0, password_file: Path | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.port = port = port or free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        command = [sys.executable, "-m", __name__, f"--data-dir={data_dir}", f"--port={port}"]
        environ = {_PASSWORD_FILE: str(password_file)} if password_file else {}
        log = data_dir / "clickhouse.log"
        super().__init__(command, log=log, answers=lambda: listens(port), port=port, environ=environ, clock=clock)


def main(
    data_dir: Annotated[Path, typer.Option(help="Where tables are kept; made if missing.")],
    port: Annotated[int, typer.Option(help="Loopback port for clients; 0 takes a free one and prints it.")] = 8123,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the password of the user `default`.", envvar=_PASSWORD_FILE)
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Outlive the process that started this one.")] = False,
) -> None:
    """Serve ClickHouse's HTTP interface on the loopback until SIGTERM or Ctrl-C; running queries are finished first."""
    if not detach:
        die_with_parent()
    data_dir = data_dir.absolute()
    claim(data_dir)
    if password_file and not password_file.is_file():
        raise Fatal(f"{password_file} with the password does not exist: write it, or unset {_PASSWORD_FILE}")
    password = password_file.read_text(encoding="utf-8").strip() if password_file else ""
    if not password:
        typer.echo(f"No password: everybody on this machine may use it; name a file in {_PASSWORD_FILE}.", err=True)
    # Half a second and 555 MB of library that only the engine's own process shall load.
    from streams.embedded.engine import Engine  # noqa: PLC0415
    from streams.embedded.http_interface import application  # noqa: PLC0415
    from streams.embedded.login import Login  # noqa: PLC0415

    engine = Engine(data_dir)
    port = port or free_port()
    typer.echo(f"ClickHouse {engine.version} on http://{LOOPBACK}:{port}, data in {data_dir}", err=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again when it has stopped
    try:
        uvicorn.run(
            application(engine, Login(password=password)),
            host=LOOPBACK,
            port=port,
            http="h11",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_STOP_WAIT,
            h11_max_incomplete_event_size=_MAX_HEADERS,
        )
    finally:
        engine.close()


if __name__ == "__main__":
    run(main)
