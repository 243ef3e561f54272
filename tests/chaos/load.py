"""A set-up under load: simulated PBXs with mishaps, the way to the warehouse, and what there is to know at the end."""

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from clickhouse_connect.driver.client import Client

from schemas import codec
from schemas.events import Call
from streams.embedded.process import SUPERVISED, Child, free_port, listens
from streams.embedded.supervisor import Supervisor
from streams.runtime import kafka, warehouse
from streams.runtime.clock import Clock
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal

_TOML = """
tenant = "load"
data_dir = {data}

[kafka]
port = 0

[clickhouse]
port = 0

[streams.fold]
grace_seconds = 3
short_abandon_seconds = 0
"""
_PBX = """
[pbx.{name}]
adapter = "asterisk_ami"
host = "127.0.0.1"
port = {port}
username = "trunkline"
secret_file = "ami-secret"
audit_seconds = 10

[pbx.{name}.numbers]
country = "FR"
extensions = '[1-9]\\d{{3}}'
"""
_ARRIVED = """
SELECT countIf(state = 'final') AS final, countIf(state NOT IN ('final', 'merged')) AS open FROM calls_latest
"""
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """On each PBX so many calls at that rate; `mishaps` are the simulator's options, by PBX."""

    calls: int
    rate: float
    seed: int
    mishaps: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Centre:
    folder: Path
    plan: Plan
    ports: Mapping[str, int]

    @property
    def config(self) -> Path:
        return self.folder / "trunkline.toml"

    def truth(self, pbx: str) -> dict[str, dict[str, Any]]:
        """The closed truth line of each call by its id, as far as it is written."""
        path = self.folder / f"truth-{pbx}.jsonl"
        text = path.read_bytes() if path.exists() else b""
        lines = map(orjson.loads, text[: text.rfind(b"\n") + 1].splitlines())
        return {f"{pbx}:{line['uniqueid']}": line for line in lines if not line["open"]}


def prepare(folder: Path, plan: Plan) -> Centre:
    """The folder, with its configuration."""
    folder.mkdir(parents=True)
    centre = Centre(folder, plan, {name: free_port() for name in plan.mishaps})
    secret = folder / "ami-secret"
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_hex(16), encoding="ascii")
    head = _TOML.format(data=orjson.dumps(str(folder / "data")).decode())
    sections = [_PBX.format(name=name, port=port) for name, port in centre.ports.items()]
    centre.config.write_text("".join([head, *sections]), encoding="utf-8")
    return centre


@contextmanager
def simulated(centre: Centre) -> Iterator[None]:
    """The PBXs, each waiting for its first reader. Calls are short, so that as many are open as a large centre has."""
    plan = centre.plan
    with ExitStack() as running:
        for pbx, port in centre.ports.items():
            options: dict[str, object] = {"port": port, "calls": plan.calls, "rate": plan.rate, "seed": plan.seed}
            options |= {"speed": 4, "talk-mean": 20, "agents": min(3000, round(plan.rate * 24)), "queues": 6}
            # A machine that is busy with other things reads late: that is not what is tried here, so nobody is cut off.
            options |= {"unread-mb": 1024}
            options |= {"truth": centre.folder / f"truth-{pbx}.jsonl", "secret-file": centre.folder / "ami-secret"}
            command = [sys.executable, "-m", "streams.runtime.cli", "simulate", "asterisk", "--wait"]
            command += [f"--{name}={value}" for name, value in {**options, **plan.mishaps[pbx]}.items()]
            log = centre.folder / "data" / "logs" / f"simulator.{pbx}.log"
            child = Child(command, log=log, answers=partial(listens, port), environ={SUPERVISED: "1"})
            running.enter_context(child)
        yield


@dataclass(slots=True, kw_only=True)
class Watch:
    """What was seen of the set-up while it worked."""

    most_open: int = 0
    least_bytes: int = 1 << 62
    """Memory of the fold's process before and at its fullest."""
    most_bytes: int = 0
    drained_s: float | None = None
    """From the last call's end to its final record in the warehouse, and everybody else's."""


def follow(centre: Centre, settings: Settings, supervisor: Supervisor, clock: Clock, patience_s: float) -> Watch:
    """Until every call is over and final in the warehouse, or for so long after the last one's end."""
    seen, client = Watch(), warehouse.connect(settings.clickhouse)
    happens = centre.plan.calls * len(centre.ports)
    longest = happens / len(centre.ports) / centre.plan.rate + 120.0
    ended: float | None = None
    start = clock.monotonic()
    while clock.monotonic() < (start + longest if ended is None else ended + patience_s):
        supervisor.tend()
        clock.sleep(1.0)
        size = _resident(supervisor.pid("stream.fold"))
        seen.least_bytes, seen.most_bytes = min(seen.least_bytes, size or 1 << 62), max(seen.most_bytes, size)
        arrived = _arrived(client)
        seen.most_open = max(seen.most_open, arrived["open"])
        if ended is None and sum(len(centre.truth(pbx)) for pbx in centre.ports) == happens:
            ended = clock.monotonic()
        if ended is not None and arrived["final"] >= happens and not arrived["open"]:
            seen.drained_s = clock.monotonic() - ended
            return seen
    return seen


def _arrived(client: Client) -> dict[str, int]:
    try:
        return next(warehouse.rows(client, _ARRIVED))
    except Fatal:  # the sink has not made its tables yet
        return {"final": 0, "open": 0}


def _resident(pid: int | None) -> int:
    """Bytes of memory that a process has; 0 when it is not there."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        return 0


def told(settings: Settings) -> dict[str, Call]:
    """The last revision of each call on the log, those that were merged into another left out."""
    reader, calls = kafka.reader(settings.kafka, "calls"), dict[str, Call]()
    left = len(reader.assignment())
    try:
        while left:
            message = reader.poll(10.0)
            if message is None:
                raise TimeoutError("the end of the calls was not told")
            if message.error() is not None:
                left -= 1  # the end of a partition
                continue
            call = codec.decode(Call, message.value() or b"")
            calls[call.call_id] = call
    finally:
        reader.close()
    return {name: call for name, call in calls.items() if call.state != "merged"}


def stored(settings: Settings) -> dict[str, tuple[object, ...]]:
    """What the warehouse says of each call that is a call."""
    client = warehouse.connect(settings.clickhouse)
    sql = "SELECT call_id, rev, state, outcome, talk_s, quality FROM calls_latest WHERE state != 'merged'"
    return {row["call_id"]: _row(**row) for row in warehouse.rows(client, sql)}


def _row(
    *, rev: int, state: str, outcome: str, talk_s: float | None, quality: list[str], **_: object
) -> tuple[object, ...]:
    return rev, state, outcome, talk_s, tuple(quality)
