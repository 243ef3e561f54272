"""The whole road beside the bench: `trunkline up` with the real adapter, and what its users would find at the end."""

import json
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from confluent_kafka import Consumer, TopicPartition

from schemas.topics import manifest
from streams.embedded.addresses import resolved
from streams.embedded.process import SUPERVISED, Child
from streams.runtime import config, warehouse
from streams.runtime.clock import SystemClock
from streams.runtime.demo import centre
from streams.runtime.errors import Fatal
from tests.real.asterisk.bench import Bench
from tests.real.asterisk.house import PLAN
from tests.real.asterisk.play import until
from tests.real.asterisk.stories import Truth

Row = Mapping[str, Any]

CONTACTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "C1": ("Julie Maes", ("0470 12 34 01", "02/555.99.00")),  # inbound_answered
    "C2": ("Zoë Šťastná", ("+32 470 12 34 12",)),  # utf8_name
    "C3": ("Marc Dubois", ("0470/12.34.16",)),  # outbound_answered
    "C4": ("Mia Jacobs", ("0470123404",)),  # queue_answered_by_second_agent, with her brother
    "C5": ("Tom Jacobs", ("0032470123404", "0470999999")),
    "C6": ("Nobody Knows", ("+32470123420",)),  # caller_id_hidden: nobody may find her
    "C7": ("Anna at home", ("201",)),  # the number of a telephone of the house is nobody's
}
"""Name and numbers by id, written as people write them."""

_TOML = r"""
tenant = "real"
data_dir = "{data}"

[kafka]
port = 0
heap_mb = 400

[clickhouse]
port = 0

[streams.fold]
short_abandon_seconds = 0
records_grace_seconds = {records_grace}

[crm.crm]
connector = "sandbox"
port = 0
country = "BE"

[pbx.main]
adapter = "asterisk_ami"
host = "{host}"
port = {port}
username = "{username}"
secret_file = "ami-secret"
exclude = ["RTCPSent", "RTCPReceived", "TestEvent"]

[pbx.main.numbers]
country = "{plan.country}"
extensions = '{plan.extensions}'
dids = {dids}
trunk_contexts = ["from-trunk"]
closed_contexts = ["closed"]
outside_prefix = "{plan.outside_prefix}"
"""
_CALLS = [TopicPartition("calls", partition) for partition in range(manifest().topics["calls"].partitions)]
_BOOT = 120.0
_ARRIVAL = 45.0
_FINAL = "SELECT call_id, _partition, _offset FROM calls_latest WHERE state = 'final'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What stood at the end of the road."""

    calls: Sequence[Row]
    """Every call, as BI reads it."""
    journal: Sequence[Row]
    """Every entry of the CRM's journal."""
    dead_letters: str
    """What `trunkline dead list` has to say."""


class Road:
    """A set-up that runs, seen from where its users stand: the warehouse, the CRM, the command line."""

    def __init__(self, file: Path, up: Child) -> None:
        """Look at the set-up of configuration `file`, run by `up`."""
        self._file, self._up = file, up
        self._settings = resolved(config.load(file))
        self._client = warehouse.connect(self._settings.clickhouse)
        # It only asks what the sink has committed, which is the last thing that the sink does.
        connection = {"bootstrap.servers": self._settings.kafka.bootstrap, "group.id": "trunkline-crm-crm"}
        self._journal_group = Consumer(connection)

    def close(self) -> None:
        """Let go of the connections."""
        self._journal_group.close()
        self._client.close()

    def prepare(self, adapters: int = 1) -> None:
        """Put the contacts into the CRM, and return when enrichment can know them and the adapter reads the PBX."""
        own = self._settings.crm["crm"].model_extra or {}
        people = [{"id": key, "name": name, "numbers": numbers} for key, (name, numbers) in CONTACTS.items()]
        headers = {"Authorization": f"Bearer {own['token'].get_secret_value()}"}
        answer = httpx.post(f"{own['url']}/api/contacts/import", json={"contacts": people}, headers=headers, timeout=30)
        answer.raise_for_status()
        centre.await_contacts(self._settings, len(people), SystemClock(), lambda: None)
        until(lambda: self.resyncs() == adapters, "the adapter to read the PBX", timeout=_BOOT)

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        """The rows of a query; none while the sink has not made its tables yet."""
        try:
            return list(warehouse.rows(self._client, sql, parameters))
        except Fatal:
            return []

    def calls(self) -> list[Row]:
        """Every call, as BI reads it."""
        return self.rows("SELECT * FROM calls_latest")

    def journal(self) -> list[Row]:
        """Every entry of the CRM's journal."""
        return list(centre.journal(self._settings))

    def state(self, call_id: str) -> str:
        """The state of a call now, or "" when it has not arrived yet."""
        found = self.rows("SELECT state FROM calls_latest WHERE call_id = {id:String}", id=call_id)
        return found[0]["state"] if found else ""

    def resyncs(self) -> int:
        """How often the adapter has begun to read the PBX and taken stock."""
        return len(self.rows("SELECT 1 FROM call_events WHERE type = 'gap.resolved'"))

    def await_arrival(self, truths: Collection[Truth]) -> None:
        """Return when these calls are final and the CRM's sink is done with them; raises TimeoutError."""
        wanted = {call_id(truth) for truth in truths}
        until(lambda: wanted <= self._arrived(), "the calls to arrive", timeout=_ARRIVAL)

    def arrived(self, truths: Collection[Truth]) -> Arrived:
        """What has come of these calls, waiting for all; a call that is missing is missing in it."""
        with suppress(TimeoutError):
            self.await_arrival(truths)
        return Arrived(calls=self.calls(), journal=self.journal(), dead_letters=self.dead_letters())

    def _arrived(self) -> set[str]:
        done = {at.partition: at.offset for at in self._journal_group.committed(_CALLS, timeout=10)}
        return {row["call_id"] for row in self.rows(_FINAL) if row["_offset"] < done[row["_partition"]]}

    def adapter(self, name: str = "main") -> psutil.Process:
        """The process of an adapter; raises StopIteration while it has none."""
        role = ["run", "producer", name]
        children = psutil.Process(self._up.pid).children()
        return next(child for child in children if set(role) <= set(child.cmdline()))

    def dead_letters(self) -> str:
        """What `trunkline dead list` has to say."""
        command = [sys.executable, "-m", "streams.runtime.cli", "dead", "list", "--json", f"--config={self._file}"]
        return subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stdout


@contextmanager
def running(bench: Bench, folder: Path, *, twice: bool = False, records_grace: float = 15.0) -> Iterator[Road]:
    """`trunkline up` in that folder against the bench's PBX, ready for its first call; nothing is left running.

    `twice`: a second adapter, `second`, reads the same PBX. A call that a gap touched waits eight times `records_grace`
    seconds for records that would complete it.
    """
    file = folder / "trunkline.toml"
    where = {"data": folder / "data", "host": bench.host, "port": bench.ami_port, "username": bench.username}
    text = _TOML.format(**where, records_grace=records_grace, plan=PLAN, dids=json.dumps(PLAN.dids))
    if twice:
        text += text[text.index("[pbx.main]") :].replace("pbx.main", "pbx.second").replace("host", 'of = "main"\nhost')
    file.write_text(text, encoding="utf-8")
    secret = folder / "ami-secret"
    secret.touch(mode=0o600)
    secret.write_text(bench.secret, encoding="ascii")
    log = folder / "up.log"
    command = [sys.executable, "-m", "streams.runtime.cli", "up", f"--config={file}"]
    up = Child(
        command, log=log, answers=lambda: b"up: Kafka" in log.read_bytes(), environ={SUPERVISED: "1"}, cwd=folder
    )
    try:
        up.start(wait=_BOOT)
        with closing(Road(file, up)) as road:
            road.prepare(adapters=1 + twice)
            yield road
    finally:
        up.stop()


def call_id(truth: Truth) -> str:
    """The id under which the call arrives."""
    return f"main:{truth.linkedid}"


def micros(moment: datetime | None) -> int | None:
    """A time of the warehouse or of the CRM in µs; both tell UTC, the warehouse's client without saying so."""
    if moment is None:
        return None
    return (moment.replace(tzinfo=UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
