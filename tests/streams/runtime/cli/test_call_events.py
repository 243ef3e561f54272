"""Where the events of a call are found: the same ones in the warehouse and in the log, and nothing of other calls."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer
from pydantic import SecretStr

from schemas.codec import encode
from schemas.events import Call, EnrichedCallEvent
from schemas.topics import manifest
from sinks.clickhouse.avro import container, extended, tails
from sinks.clickhouse.migrate import migrate, migrations
from streams.processors.explain import explain
from streams.runtime import config, topics, warehouse
from streams.runtime import kafka as clients
from streams.runtime.cli.call_events import Names, as_json, event_of, of_warehouse
from streams.runtime.cli.call_log import of_log
from streams.runtime.clock import SystemClock
from streams.runtime.config import ClickHouse, Kafka
from streams.runtime.errors import Fatal, Reject, Retry
from tests.streams.processors.folding.openings import attended
from tests.streams.processors.folding.script import Script, fold
from tests.support.services import ClickHouseServer

DAY_US = 86_400_000_000


def busy_hour() -> Script:
    """An attended transfer, another call at the same time, and what an adapter tells of itself."""
    call = attended()
    call.arrive("X", number="+32470123499")
    call.end("X")
    call.say("gap.detected", data={"from_us": str(call.now)})
    call.say("agent.completed", queue="support", agent="201", by="agent")
    return call


def wanted(call: Script) -> list[EnrichedCallEvent]:
    """All of them but the other call's."""
    return [event for event in call.events if event.leg_id != call.legs["X"]["leg_id"]]


@pytest.fixture
def warehoused(clickhouse: ClickHouseServer, database: str) -> Client:
    """A warehouse with every event and every revision of the busy hour."""
    settings = ClickHouse(
        url=clickhouse.url, database=database, user=clickhouse.user, password=SecretStr(clickhouse.password)
    )
    client = warehouse.connect(settings)
    list(migrate(client, migrations()))
    call = busy_hour()
    fill(client, "call_events", "call-events-enriched", call.events)
    fill(client, "calls", "calls", fold(call.events))
    return client


def fill(client: Client, table: str, topic: str, records: Sequence[EnrichedCallEvent | Call]) -> None:
    """Rows as the sink writes them."""
    schema = extended(manifest().schemas[type(records[0]).__name__].parsed())
    places = tails(topic, 3, range(len(records)))
    client.raw_insert(
        table, insert_block=container(schema, [encode(each) for each in records], places, bytes(16)), fmt="Avro"
    )


@pytest.mark.integration
@pytest.mark.parametrize("name", ["C", "A2", "B"])
def test_the_warehouse_gives_the_events_of_one_call(warehoused: Client, name: str) -> None:
    """Under its own id, that of a call that became part of it, or that of a leg, in the order of their arrival."""
    call = busy_hour()
    found = list(of_warehouse(warehoused, call.legs[name]["leg_id"], DAY_US))
    assert found == wanted(call)
    first = call.legs["C"]["leg_id"]
    assert explain(first, found, config.Fold()).record["state"] == "final"


@pytest.mark.integration
def test_a_call_that_the_warehouse_does_not_have(warehoused: Client) -> None:
    """What to do is in the sentence."""
    with pytest.raises(Reject, match="`trunkline calls list` shows the ids, `--log` looks into the topics"):
        list(of_warehouse(warehoused, "' OR 1=1 --", DAY_US))


@pytest.fixture(scope="module")
def cluster(kafka: str) -> Kafka:
    """A broker with every event and every revision of the busy hour."""
    cluster = Kafka(bootstrap=kafka, topic_prefix=f"explain-{uuid.uuid4().hex}-")
    list(topics.apply(clients.admin(cluster), cluster))
    reader = clients.reader(cluster)
    for name in map(cluster.name, manifest().topics):
        ready(reader, name)
    reader.close()
    call = busy_hour()
    producer = clients.producer(cluster)
    for event in call.events:
        producer.produce(cluster.name("call-events-enriched"), encode(event), b"t/main", partition=3)
    for record in fold(call.events):
        producer.produce(cluster.name("calls"), encode(record), record.call_id.encode(), partition=3)
    assert producer.flush(20) == 0
    return cluster


def ready(reader: Consumer, name: str) -> None:
    """The broker's answer comes before every client sees the topic and its leaders."""
    for _ in range(200):
        with suppress(Retry, Fatal):
            clients.end_of(reader, name)
            return
        SystemClock().sleep(0.05)
    raise TimeoutError(name)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["C", "A2", "B"])
def test_the_log_gives_the_events_of_one_call(cluster: Kafka, name: str) -> None:
    """The same as the warehouse, where there is none."""
    call = busy_hour()
    assert list(of_log(cluster, call.legs[name]["leg_id"], 100 * 365 * DAY_US)) == wanted(call)


@pytest.mark.integration
def test_a_call_that_the_log_does_not_have(cluster: Kafka) -> None:
    """It says what that can mean."""
    with pytest.raises(Reject, match=r"no call main:9 in the topic .*calls: it is older than the topic keeps"):
        list(of_log(cluster, "main:9", DAY_US))


def test_an_event_goes_through_json_unchanged() -> None:
    """What is printed is what is read."""
    for event in busy_hour().events:
        assert event_of(as_json(event)) == event


def test_a_row_of_the_warehouse_in_json_is_an_event() -> None:
    """Times as ClickHouse prints them, an id that no JSON can hold: the line itself then tells two events apart."""
    row = {"type": "leg.ended", "ts": "2026-01-31 08:00:00.000001", "leg_id": "main:1", "event_id": "\ufffd"}
    event = event_of(row, b"one")
    assert event.ts == 1_769_846_400_000_001
    assert (event.received_at, event.pbx, event.merge_key) == (event.ts, "main", "default/main")
    assert event.event_id == event_of(row, b"one").event_id != event_of(row, b"two").event_id


def test_a_supervisor_who_listens_is_no_part_of_the_call() -> None:
    """Nor is the rest of the PBX's life after the call."""
    call = busy_hour()
    names = Names({call.legs["C"]["call_id"]}, pbx="main", settled=call.now)
    assert all(names.take(event) for event in call.events if event.call_id == call.legs["C"]["call_id"])
    call.lift("S", "299", dials="555")
    call.say("leg.updated", "S", "C", data={"spy": "1"})
    assert not names.take(call.events[-1])
    assert not names.take(replace(call.events[-1], type="source.up"))
