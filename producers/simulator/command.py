"""`trunkline simulate asterisk`: a seeded call centre behind an AMI port."""

import asyncio
import os
import random
import signal
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from producers.simulator.directory import directory, to_jsonl
from producers.simulator.exchange import Exchange
from producers.simulator.faults import Faults
from producers.simulator.frames import Wire
from producers.simulator.plan import Centre, Settings
from producers.simulator.player import Player
from producers.simulator.roster import staff
from producers.simulator.script import MICRO
from producers.simulator.server import Server
from producers.simulator.session import Gate
from streams.runtime.clock import SystemClock

app = typer.Typer(help="Telephone systems that are only played, for trying out, load and tests.", no_args_is_help=True)
SECRET = "TRUNKLINE_AMI_SECRET"  # noqa: S105 - the name of a variable


@app.callback()
def main() -> None:
    """Telephone systems that are only played, for trying out, load and tests."""


@app.command()
def asterisk(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 lets the machine choose.")] = 5038,
    calls: Annotated[int | None, typer.Option(help="Stop making calls after that many; without it, never.")] = None,
    leave: Annotated[bool, typer.Option("--exit", help="Leave when the last call is over.")] = False,
    rate: Annotated[float, typer.Option(help="Calls a second that arrive, on average.")] = 1.0,
    speed: Annotated[float, typer.Option(help="Everything within a call goes that many times faster.")] = 1.0,
    talk_mean: Annotated[float, typer.Option(help="Mean talk in seconds, before --speed.")] = 60.0,
    seed: Annotated[int, typer.Option(help="The same seed plays the same calls.")] = 1,
    agents: Annotated[int, typer.Option(help="Agents, with extensions from 1001 on.")] = 20,
    queues: Annotated[int, typer.Option(help="Queues.")] = 3,
    trunks: Annotated[int, typer.Option(help="Carrier lines; every second one writes national numbers.")] = 2,
    dids: Annotated[int, typer.Option(help="Service numbers, at least one a queue.")] = 6,
    contacts: Annotated[int, typer.Option(help="Customers in the directory.")] = 500,
    contacts_out: Annotated[Path | None, typer.Option(help="Write the directory there as JSON lines.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Append what really happened there, a JSON line a call.")] = None,
    user: Annotated[str, typer.Option(help="AMI user.")] = "trunkline",
    secret_file: Annotated[Path | None, typer.Option(help=f"File with the AMI secret; else ${SECRET}.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Write the port there once clients can connect.")] = None,
    system_name: Annotated[str, typer.Option(help="Asterisk's systemname: prefix of every uniqueid.")] = "",
    timestamps: Annotated[bool, typer.Option(help="timestampevents in manager.conf.")] = True,
    zone: Annotated[str, typer.Option(help="The PBX's zone: call detail records are in local time.")] = "UTC",
    cdr_file: Annotated[Path | None, typer.Option(help="Append Master.csv lines there.")] = None,
    lose: Annotated[float, typer.Option(help="Chance that a frame is never sent.")] = 0.0,
    duplicate: Annotated[float, typer.Option(help="Chance that a frame is sent twice.")] = 0.0,
    reorder: Annotated[float, typer.Option(help="Chance that a frame comes late.")] = 0.0,
    reorder_max: Annotated[float, typer.Option(help="How late at most, in seconds.")] = 2.0,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate: speak TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
) -> None:
    """Play a call centre on an Asterisk that is not there: AMI for clients, the truth of every call in a file.

    The line `listening HOST PORT` is printed when clients can connect.
    """
    secret = secret_file.read_text().strip() if secret_file else os.environ.get(SECRET, "")
    if not secret:
        raise typer.BadParameter(f"no AMI secret: name a file with --secret-file or set {SECRET}")
    clock = SystemClock()
    customers = directory(seed, contacts)
    if contacts_out is not None:
        contacts_out.write_bytes(to_jsonl(customers))
    with ExitStack() as files:
        centre = Centre(
            Settings(seed=seed, rate=rate, speed=speed, talk_mean=talk_mean),
            staff(agents=agents, queues=queues, trunks=trunks, dids=dids),
            customers,
        )
        exchange = Exchange(
            centre.staff,
            opening=clock.now() // MICRO * MICRO,
            seed=seed,
            wire=Wire(system_name=system_name, timestamps=timestamps),
            zone=ZoneInfo(zone),
            record=_append(files, cdr_file),
        )
        player = Player(centre, exchange, _append(files, truth), calls)
        chance = random.Random(f"faults {seed}")  # noqa: S311 - play, not secrecy
        faults = Faults(rng=chance, lose=lose, duplicate=duplicate, reorder=reorder, reorder_max=reorder_max)
        server = Server(player, Gate(user=user, secret=secret), clock, faults=faults, seed=seed)
        tls = None
        if tls_cert is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(tls_cert, tls_key)
        asyncio.run(_serve(server, host, port, tls, ready_file, leave=leave))


async def _serve(
    server: Server, host: str, port: int, tls: ssl.SSLContext | None, ready_file: Path | None, *, leave: bool
) -> None:
    chosen = await server.listen(host, port, tls)
    typer.echo(f"listening {host} {chosen}")
    if ready_file is not None:
        _write_whole(ready_file, f"{chosen}\n")
    task = asyncio.create_task(server.run(until_over=leave))
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass
    finally:
        await server.close()


def _append(files: ExitStack, path: Path | None) -> Callable[[bytes], object]:
    """Append lines to that file, each on disk's way at once; without a file they go nowhere."""
    if path is None:
        return len
    return files.enter_context(path.open("ab", buffering=0)).write


def _write_whole(path: Path, text: str) -> None:
    """A reader sees the file whole or not at all."""
    draft = path.with_suffix(path.suffix + ".new")
    draft.write_text(text)
    draft.replace(path)
