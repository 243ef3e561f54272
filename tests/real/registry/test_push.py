"""Our schemas under our own numbers in a real registry, and a reader that knows nothing else."""

import json
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path

import httpx
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.codec import as_row, encode
from schemas.samples import samples
from schemas.topics import manifest
from streams.clients.registry import Registration, Registry
from streams.embedded.jars import default_cache
from streams.runtime.cli.schemas import registrations
from streams.runtime.errors import Fatal
from tests.real.registry.apicurio import apicurio, fetched

pytestmark = pytest.mark.real
NOW = 1_782_900_000_000_000


@pytest.fixture(scope="module")
def installed() -> Path:
    """The folder of the registry; skips with the reason when it cannot be had here."""
    try:
        return fetched(default_cache(), print)
    except (OSError, RuntimeError, ValueError) as e:
        pytest.skip(f"no Apicurio Registry can be had here: {e}")


@pytest.fixture(scope="module")
def registry(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a fresh registry."""
    child, url = apicurio(installed, tmp_path_factory.mktemp("registry") / "log")
    with child:
        yield url


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


def test_every_version_gets_its_own_number_and_again_changes_nothing(registry: str, http: httpx.Client) -> None:
    """The number that comes back is the one on the wire, for every subject; the second push finds all done."""
    wanted = registrations()
    pushed = Registry(registry, http).push(wanted, NOW)
    assert len(pushed) in (len(wanted), 0)  # 0: another test of this module came first
    with SchemaRegistryClient({"url": registry}) as client:
        for r in wanted:
            assert json.loads(client.get_schema(r.number).schema_str or "") == json.loads(r.text)
        for subject, number in _latest(wanted).items():
            assert client.get_latest_version(subject).schema_id == number
    assert Registry(registry, http).push(wanted, NOW) == []


def _latest(wanted: Iterable[Registration]) -> dict[str, int]:
    return {r.subject: r.number for r in sorted(wanted, key=attrgetter("version"))}


def test_a_registry_that_has_older_versions_gets_the_newer_ones(
    installed: Path, tmp_path: Path, http: httpx.Client
) -> None:
    """As after an upgrade: the newest is the latest one, and the older ones stay."""
    wanted = registrations()
    older = [r for r in wanted if r.version == 1]
    assert len(older) < len(wanted)
    child, url = apicurio(installed, tmp_path / "log")
    with child, SchemaRegistryClient({"url": url}) as client:
        assert len(Registry(url, http).push(older, NOW)) == len(older)
        assert len(Registry(url, http).push(wanted, NOW)) == len(wanted) - len(older)
        assert {subject: client.get_latest_version(subject).schema_id for subject in _latest(wanted)} == _latest(wanted)
        assert Registry(url, http).push(wanted, NOW) == []


@pytest.mark.parametrize("topic", list(manifest().topics))
def test_a_reader_that_only_knows_the_registry_reads_our_records(registry: str, http: httpx.Client, topic: str) -> None:
    """Confluent's own deserializer gets the schema from the registry by the number in the record."""
    Registry(registry, http).push(registrations(), NOW)
    with SchemaRegistryClient({"url": registry}) as client:
        read = AvroDeserializer(client)
        for record in samples(topic):
            row = read(encode(record), SerializationContext(topic, MessageField.VALUE))
            assert row is not None
            assert set(row) == set(as_row(record))


def test_a_number_that_is_taken_is_refused(registry: str, http: httpx.Client) -> None:
    """Somebody else's schema under our number would be read as ours."""
    Registry(registry, http).push(registrations(), NOW)
    number = manifest().schemas["Call"].current_id
    other = Registration(subject="other-value", version=1, number=number, text='{"type": "string"}')
    with pytest.raises(Fatal, match=f"number {number} is another schema"):
        Registry(registry, http).push([other], NOW)
