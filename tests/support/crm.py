"""A sandbox CRM process, the topics of the CRM plane on the session's broker, and a client to look at both."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.codec import decode, encode
from schemas.events import Call
from schemas.topics import manifest
from streams.embedded.crm.process import EmbeddedCrm
from streams.runtime import kafka as clients
from streams.runtime.clock import SystemClock
from streams.runtime.config import Kafka

CLOCK = SystemClock()
PARTITIONS = 2


@pytest.fixture
def cluster(kafka: str) -> Kafka:
    """The session's broker with fresh topics of the CRM plane under a prefix of their own."""
    known = Kafka(bootstrap=kafka, topic_prefix=f"test-{uuid.uuid4().hex[:8]}.")
    topics = [manifest().topics[name] for name in ("calls", "calls.dead", "crm-writes", "contacts")]
    wanted = [NewTopic(known.name(t.name), num_partitions=PARTITIONS, config=t.settings) for t in topics]
    admin = AdminClient({"bootstrap.servers": kafka})
    for created in admin.create_topics(wanted).values():
        created.result(timeout=30)
    return known


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[EmbeddedCrm]:
    """A sandbox CRM process."""
    with EmbeddedCrm(tmp_path / "crm") as process:
        yield process


@pytest.fixture
def crm(sandbox: EmbeddedCrm) -> Iterator["Crm"]:
    """The sandbox, holding one contact, C1."""
    with closing(Crm(sandbox)) as known:
        known.post("/api/contacts", {"id": "C1", "name": "Zoë Čapková", "numbers": ["01 23 45 67 89"]})
        yield known


class Crm:
    """The sandbox as a test sees it. Asks again while faults are on; never used for what may not be done twice."""

    def __init__(self, crm: EmbeddedCrm) -> None:
        self._http = httpx.Client(base_url=crm.url, headers={"authorization": f"Bearer {crm.token}"}, timeout=30)

    def close(self) -> None:
        self._http.close()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._http.patch(path, json=body).raise_for_status().json()

    def delete(self, path: str) -> None:
        self._http.delete(path).raise_for_status()

    def faults(self, **settings: Any) -> None:
        """Switch on these faults and no others."""
        self._http.put("/admin/faults", json=settings).raise_for_status()

    def journal(self) -> list[dict[str, Any]]:
        """Every activity, oldest first."""
        entries: list[dict[str, Any]] = []
        cursor = "0"
        while cursor:
            page = self._get("/api/activities", cursor=cursor, limit="500")
            entries += page["items"]
            cursor = page["next"]
        return entries

    def _get(self, path: str, **query: str) -> Any:
        for _ in range(200):
            with suppress(httpx.HTTPError):
                answer = self._http.get(path, params=query)
                if answer.status_code == httpx.codes.OK and "error" not in answer.json():
                    return answer.json()
            CLOCK.sleep(0.05)
        raise TimeoutError(path)


def publish(cluster: Kafka, calls: Iterable[Call]) -> None:
    """Calls as the fold publishes them: by call id, a call always on the same partition."""
    producer = clients.producer(cluster)
    for one in calls:
        partition = int(one.call_id.rpartition(":")[2]) % PARTITIONS
        producer.produce(cluster.name("calls"), key=one.call_id.encode(), value=encode(one), partition=partition)
    assert producer.flush(30) == 0


def read(cluster: Kafka, topic: str, kind: type) -> list[Any]:
    """All records of a topic, partition by partition; None for a tombstone."""
    return [record for _, record in _read(cluster, topic, kind)]


def latest(cluster: Kafka, topic: str, kind: type) -> dict[str, Any]:
    """The last record of each key that has no tombstone."""
    last = dict(_read(cluster, topic, kind))
    return {key: record for key, record in last.items() if record is not None}


def _read(cluster: Kafka, topic: str, kind: type) -> list[tuple[str, Any]]:
    reader = clients.reader(cluster, topic)
    records: list[tuple[str, Any]] = []
    unread = set(range(PARTITIONS))
    while unread:
        for message in reader.consume(1000, 0.1):
            if message.error() is not None:
                unread.discard(message.partition())
            else:
                value = message.value()
                records.append(((message.key() or b"").decode(), None if value is None else decode(kind, value)))
    reader.close()
    return records


class Role:
    """A journal or contact feed of [crm.crm] as a process of its own."""

    def __init__(self, module: str, cluster: Kafka, crm: EmbeddedCrm, log: Path, **keys: Any) -> None:
        settings = {"connector": "sandbox", "url": crm.url, "token": crm.token, "country": "FR", **keys}
        self._environ = {
            **os.environ,
            "TRUNKLINE_KAFKA__BOOTSTRAP": cluster.bootstrap,
            "TRUNKLINE_KAFKA__TOPIC_PREFIX": cluster.topic_prefix,
            "TRUNKLINE_DATA_DIR": str(log.parent),
            **{f"TRUNKLINE_CRM__CRM__{key.upper()}": str(value) for key, value in settings.items()},
        }
        self._module, self._log, self.process = module, log, self._start(module, log)

    def _start(self, module: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen([sys.executable, "-m", module], env=self._environ, stdout=out, stderr=out)

    def kill(self) -> None:
        """SIGKILL, and start anew."""
        self.process.kill()
        self.process.wait()
        self.process = self._start(self._module, self._log)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
