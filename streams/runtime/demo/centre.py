"""The demo's set-up: its folder and configuration, the simulated call centre, and the CRM's contacts."""

import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from streams.embedded.process import SUPERVISED, Child, free_port, listens
from streams.runtime import kafka
from streams.runtime.clock import Clock
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal, Retry

_TOML = r"""# Made by `trunkline demo`; made anew each time.
tenant = "demo"
data_dir = {data}

[kafka]
port = 0

[clickhouse]
port = 0

[streams.enrich]
workers = {workers}

[streams.fold]
workers = {workers}

[crm.crm]
connector = "sandbox"
port = 0
country = "FR"
"""
_PBX = r"""
[pbx.{name}]
adapter = "asterisk_ami"
of = "{of}"
host = "127.0.0.1"
port = {port}
username = "trunkline"
secret_file = "ami-secret"

[pbx.{name}.numbers]
country = "FR"
extensions = '[1-9]\d{{3}}'
"""
_MARK = "made-by-trunkline-demo"
_IMPORT = 500
_CONTACTS_WAIT = 60
_BREAKS_S = 90
"""Seconds between two breaks of an agent, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be played, and by how many processes it is worked on."""

    calls: int
    """On each PBX."""
    rate: float
    """Calls a second that arrive on each PBX, on average."""
    seed: int
    talk_mean: float = 6.0
    pbxs: tuple[str, ...] = ("main",)
    twice: tuple[str, ...] = ()
    """Those of them that two adapters read."""
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Where the demo's things are."""

    folder: Path
    plan: Plan
    ports: Mapping[str, int]
    """AMI port of each PBX."""

    @property
    def config(self) -> Path:
        return self.folder / "trunkline.toml"

    @property
    def contacts(self) -> Path:
        return self.folder / "contacts.jsonl"

    def truth(self, pbx: str) -> Path:
        return self.folder / f"truth-{pbx}.jsonl"

    def breaks(self, pbx: str) -> Path:
        """What the agents did between calls, as the simulator tells it."""
        return self.folder / f"breaks-{pbx}.jsonl"


def prepare(folder: Path, plan: Plan) -> Centre:
    """A fresh folder with the demo's configuration; Fatal when the folder holds something else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise Fatal(f"{folder} is not empty and not a former demo's; name another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    centre = Centre(folder=folder.absolute(), plan=plan, ports={name: free_port() for name in plan.pbxs})
    secret = folder / "ami-secret"
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_hex(16), encoding="ascii")
    data = orjson.dumps(str(centre.folder / "data")).decode()
    adapters = [(name, "") for name in plan.pbxs] + [(f"{name}-second", name) for name in plan.twice]
    sections = [_PBX.format(name=name, of=of, port=centre.ports[of or name]) for name, of in adapters]
    centre.config.write_text("".join([_TOML.format(data=data, workers=plan.workers), *sections]), encoding="utf-8")
    return centre


@contextmanager
def simulated(centre: Centre) -> Iterator[None]:
    """The PBXs, waiting: each makes its first call once somebody has logged in."""
    with ExitStack() as running:
        for pbx in centre.ports:
            running.enter_context(_simulator(centre, pbx))
        yield


def _simulator(centre: Centre, pbx: str) -> Child:
    port, plan = centre.ports[pbx], centre.plan
    options = {
        "port": port,
        "calls": plan.calls,
        "rate": plan.rate,
        "seed": plan.seed,
        "talk-mean": plan.talk_mean,
        "agents": max(30, round(plan.rate * 20)),
        "truth": centre.truth(pbx),
        "breaks": _BREAKS_S,
        "agent-truth": centre.breaks(pbx),
        "contacts-out": centre.contacts,
        "secret-file": centre.folder / "ami-secret",
    }
    command = [sys.executable, "-m", "streams.runtime.cli", "simulate", "asterisk", "--wait"]
    command += [f"--{name}={value}" for name, value in options.items()]
    log = centre.folder / "data" / "logs" / f"simulator.{pbx}.log"
    return Child(command, log=log, answers=lambda: listens(port), environ={SUPERVISED: "1"})


def truth_lines(centre: Centre) -> Iterator[tuple[str, dict[str, Any]]]:
    """(PBX, line) of what the simulators have told so far of calls."""
    for pbx in centre.ports:
        for line in _told(centre.truth(pbx)):
            yield pbx, line


def break_lines(centre: Centre) -> Iterator[tuple[str, dict[str, Any]]]:
    """(PBX, line) of what the simulators have told so far of agents' breaks."""
    for pbx in centre.ports:
        for line in _told(centre.breaks(pbx)):
            yield pbx, line


def _told(file: Path) -> Iterator[dict[str, Any]]:
    """A half-written last line is left for later."""
    if file.exists():
        text = file.read_bytes()
        yield from map(orjson.loads, text[: text.rfind(b"\n") + 1].splitlines())


def load_contacts(centre: Centre, settings: Settings) -> int:
    """Put the directory of the simulated customers into the sandbox CRM; returns how many."""
    people = [orjson.loads(line) for line in centre.contacts.read_bytes().splitlines()]
    rows = [
        {
            "id": person["id"],
            "name": person["name"],
            "numbers": person["numbers"],
            "owner": person["owner"],
            "priority": 10 if person["vip"] else 0,
            "segment": "vip" if person["vip"] else "",
        }
        for person in people
    ]
    with _crm(settings) as http:
        for start in range(0, len(rows), _IMPORT):
            answer = http.post("/api/contacts/import", json={"contacts": rows[start : start + _IMPORT]})
            answer.raise_for_status()
    return len(rows)


def await_contacts(settings: Settings, known: int, clock: Clock, tend: Callable[[], None]) -> None:
    """Until the CRM's contacts are on the log, where enrichment reads them; Fatal after a minute."""
    reader = kafka.reader(settings.kafka)
    try:
        for _ in range(_CONTACTS_WAIT):
            with suppress(Retry):
                if kafka.end_of(reader, settings.kafka.name("contacts")) >= known:
                    return
            tend()
            clock.sleep(1.0)
    finally:
        reader.close()
    raise Fatal(f"the CRM's {known} contacts did not reach the log within {_CONTACTS_WAIT} s; see the logs of the feed")


def journal(settings: Settings) -> list[dict[str, Any]]:
    """Every entry of the CRM's call journal."""
    found: list[dict[str, Any]] = []
    cursor = ""
    with _crm(settings) as http:
        while True:
            answer = http.get("/api/activities", params={"limit": "500", **({"cursor": cursor} if cursor else {})})
            page = answer.raise_for_status().json()
            found += page["items"]
            if not page["next"]:
                return found
            cursor = page["next"]


@contextmanager
def _crm(settings: Settings) -> Iterator[httpx.Client]:
    own = settings.crm["crm"].model_extra or {}
    try:
        with httpx.Client(base_url=own["url"], headers=crm_headers(settings), timeout=30) as http:
            yield http
    except httpx.HTTPError as e:
        raise Fatal(f"the demo's CRM does not answer as it should ({type(e).__name__}); see its log") from e


def crm_headers(settings: Settings) -> dict[str, str]:
    token = (settings.crm["crm"].model_extra or {})["token"]
    return {"Authorization": f"Bearer {token.get_secret_value()}"}
