"""`trunkline simulate asterisk`: a seeded call centre behind an AMI port."""

import asyncio
import os
import random
import signal
import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from producers.simulator.breaks import Breaks
from producers.simulator.directory import directory, to_jsonl
from producers.simulator.exchange import Exchange
from producers.simulator.faults import Faults, Loss
from producers.simulator.frames import Wire
from producers.simulator.plan import Centre, Settings
from producers.simulator.player import Player
from producers.simulator.roster import staff
from producers.simulator.script import MICRO
from producers.simulator.server import Server
from producers.simulator.session import CLASSES, USUAL, Gate
from streams.runtime.clock import SystemClock

app = typer.Typer(help="Telephone systems that are only played: for trying out, load and tests.", no_args_is_help=True)
SECRET = "TRUNKLINE_AMI_SECRET"  # noqa: S105 - the name of a variable
FRAMES_A_CALL = 25
"""Fewer than any mix of calls has: what tells how far back a flood begins."""


@app.callback()
def main() -> None:
    """Telephone systems that are only played: for trying out, load and tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What the server does from its start to its end; times are seconds after the opening."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    ready_file: Path | None
    leave: bool
    wait: bool
    flood: int
    crash_after: float | None
    restart_after: float | None
    shutdown_after: float | None


@app.command()
def asterisk(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 lets the machine choose.")] = 5038,
    user: Annotated[str, typer.Option(help="AMI user.")] = "trunkline",
    secret_file: Annotated[Path | None, typer.Option(help=f"File with the AMI secret; else ${SECRET}.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate: speak TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Write the port there once clients can connect.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed plays the same calls.")] = 1,
    calls: Annotated[int | None, typer.Option(help="Stop making calls after that many; without it, never.")] = None,
    leave: Annotated[bool, typer.Option("--exit", help="Leave when the last call is over.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Make the first call once a client has logged in.")] = False,
    rate: Annotated[float, typer.Option(help="Calls a second that arrive, on average.")] = 0.5,
    speed: Annotated[float, typer.Option(help="Everything within a call goes that many times faster.")] = 1.0,
    talk_mean: Annotated[float, typer.Option(help="Mean talk in seconds, before --speed.")] = 30.0,
    mix: Annotated[
        str, typer.Option(help="Kinds of calls and their parts, as kind=part,…; without it, a bit of all.")
    ] = "",
    agents: Annotated[int, typer.Option(help="Agents, with extensions from 1001 on.")] = 30,
    queues: Annotated[int, typer.Option(help="Queues.")] = 3,
    trunks: Annotated[int, typer.Option(help="Carrier lines; every second one writes national numbers.")] = 2,
    dids: Annotated[int, typer.Option(help="Service numbers, at least one a queue.")] = 6,
    contacts: Annotated[int, typer.Option(help="Customers in the directory.")] = 500,
    contacts_out: Annotated[Path | None, typer.Option(help="Write the directory there as JSON lines.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Append what really happened there, a JSON line a call.")] = None,
    breaks: Annotated[
        float, typer.Option(help="Seconds between two breaks of an agent, on average: pauses and log-outs; 0: none.")
    ] = 0.0,
    agent_truth: Annotated[
        Path | None, typer.Option(help="Append every break there, a JSON line for its begin and one for its end.")
    ] = None,
    cdr_file: Annotated[Path | None, typer.Option(help="Append Master.csv lines there.")] = None,
    zone: Annotated[str, typer.Option(help="The PBX's zone: call detail records are in local time.")] = "UTC",
    system_name: Annotated[str, typer.Option(help="Asterisk's systemname: prefix of every uniqueid.")] = "",
    dialplan: Annotated[bool, typer.Option(help="Clients may read the dialplan class (VarSet) too.")] = False,
    timestamps: Annotated[bool, typer.Option(help="timestampevents in manager.conf.")] = True,
    lose: Annotated[
        float, typer.Option(help="Chance that an event is never sent; the truth names them for each call.")
    ] = 0.0,
    duplicate: Annotated[float, typer.Option(help="Chance that an event is sent twice, at once or late.")] = 0.0,
    reorder: Annotated[float, typer.Option(help="Chance that an event comes late, behind younger ones.")] = 0.0,
    reorder_max: Annotated[float, typer.Option(help="How late at most, in seconds.")] = 2.0,
    unread_mb: Annotated[int, typer.Option(help="A client with more than this unread (MiB) is cut off.")] = 8,
    flood: Annotated[int, typer.Option(help="Send that many events as fast as clients take them, then end.")] = 0,
    crash_after: Annotated[float | None, typer.Option(help="Die after that many seconds, in mid-call.")] = None,
    restart_after: Annotated[float | None, typer.Option(help="And come back after that many more.")] = None,
    shutdown_after: Annotated[float | None, typer.Option(help="Stop cleanly after that many seconds.")] = None,
) -> None:
    """Play a call centre on an Asterisk that is not there: AMI for clients, the truth of every call in a file.

    The line `listening HOST PORT` is printed when clients can connect. SIGTERM is `core stop now`.
    """
    clock = SystemClock()
    read = CLASSES if dialplan else USUAL
    gate = Gate(user=user, secret=_secret(secret_file), read=read, buffer_bytes=unread_mb << 20)
    try:
        customers = directory(seed, contacts)
        settings = Settings(seed=seed, rate=rate, speed=speed, talk_mean=talk_mean, **_mix(mix))
        centre = Centre(settings, staff(agents=agents, queues=queues, trunks=trunks, dids=dids), customers)
        local = ZoneInfo(zone)
    except (ValueError, ZoneInfoNotFoundError) as e:
        raise typer.BadParameter(str(e)) from e
    if rate * talk_mean / speed > agents / 2:
        typer.echo("more calls than so many agents can take: many will be busy or abandoned", err=True)
    if contacts_out is not None:
        contacts_out.write_bytes(to_jsonl(customers))
    lost, late = (random.Random(f"{fault} {seed}") for fault in ("lost", "late"))  # noqa: S311 - play, not secrecy
    loss = Loss(rng=lost, chance=lose)
    faults = Faults(rng=late, duplicate=duplicate, reorder=reorder, reorder_max=reorder_max)
    span = round(flood / FRAMES_A_CALL / rate + 10 * talk_mean / speed) if flood else 0
    with ExitStack() as files:
        exchange = Exchange(
            centre.staff,
            opening=(clock.now() // MICRO + 1 - span) * MICRO,
            seed=seed,
            wire=Wire(system_name=system_name, timestamps=timestamps),
            zone=local,
            record=_append(files, cdr_file),
        )
        away = Breaks(exchange, centre, seed=seed, every_s=breaks, witness=_append(files, agent_truth), speed=speed)
        player = Player(centre, exchange, _append(files, truth), calls, loss, breaks=away)
        server = Server(player, gate, clock, faults=faults, seed=seed)
        end = {"crash_after": crash_after, "restart_after": restart_after, "shutdown_after": shutdown_after}
        tls = _tls(tls_cert, tls_key)
        course = Course(
            host=host, port=port, tls=tls, ready_file=ready_file, wait=wait, leave=leave, flood=flood, **end
        )
        asyncio.run(_serve(server, course))
    mishaps = f"lost {loss.count}, doubled {faults.doubled}, delayed {faults.delayed}"
    typer.echo(f"played {player.finished} calls, sent {server.sent} events, at most {server.latest // 1000} ms late")
    typer.echo(f"events {mishaps}")


async def _serve(server: Server, course: Course) -> None:
    chunks = server.render(course.flood) if course.flood else []
    port = await server.listen(course.host, course.port, course.tls)
    typer.echo(f"listening {course.host} {port}")
    if course.ready_file is not None:
        _write_whole(course.ready_file, f"{port}\n")
    task = asyncio.create_task(_play(server, course, chunks, port))
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
    server.shut_down()
    await server.close()


async def _play(server: Server, course: Course, chunks: list[bytes], port: int) -> None:
    if chunks:
        await server.flood(chunks)
    if course.wait:
        await server.hold()
    if course.crash_after is not None:
        await server.play(until=course.crash_after)
        await server.crash()
        if course.restart_after is None:
            return
        await asyncio.sleep(course.restart_after)
        server.player.boot(server.now)
        await server.listen(course.host, port, course.tls)
    await server.play(until=course.shutdown_after, to_the_end=course.leave)


def _secret(file: Path | None) -> str:
    secret = file.read_text().strip() if file else os.environ.get(SECRET, "")
    if not secret:
        raise typer.BadParameter(f"no AMI secret: name a file with --secret-file or set {SECRET}")
    return secret


def _mix(text: str) -> dict[str, dict[str, float]]:
    """`kind=part,…` as the settings want it; nothing for nothing."""
    if not text:
        return {}
    parts = [pair.partition("=") for pair in text.split(",")]
    return {"mix": {kind.strip(): float(part or 1) for kind, _, part in parts}}


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


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
