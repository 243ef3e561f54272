"""A transaction that nobody can end: on the real Kafka, one that stays open for longer than it is waited for."""

import pytest
from confluent_kafka import Producer, TopicPartition
from structlog.testing import capture_logs

from streams.runtime import kafka_session
from streams.runtime.session import Place
from tests.streams.runtime.keeper import Place1

pytestmark = pytest.mark.integration


def test_a_transaction_that_nobody_can_end_is_passed(here: Place1, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed below it counts, work goes on, and a person is told."""
    monkeypatch.setattr(kafka_session, "DECIDED", 1.0)
    here.bench.produce([b"x"] * 9)
    former, _ = here.joined()
    former.begin()
    former.commit([Place(partition=0, offset=5, low_water=3, owner=former.owner)])
    hanging = Producer(
        {"bootstrap.servers": here.bench.settings.kafka.bootstrap, "transactional.id": here.bench.prefix + "hanging"}
    )
    hanging.init_transactions(20)
    hanging.begin_transaction()
    hanging.send_offsets_to_transaction([TopicPartition(here.stage.source, 0, 7)], former._group, 20)
    with capture_logs() as logged:
        new, places = here.joined()
    assert places == [Place(partition=0, offset=5, low_water=3, owner=former.owner)]
    assert [each["partitions"] for each in logged if each["event"] == "stream.hanging_transaction"] == [[0]]
    new.begin()
    new.write(here.stage.target, 0, [(None, b"goes on")])
    new.commit([Place(partition=0, offset=6, low_water=None, owner=new.owner)])
    last, places = here.joined()
    assert [place.offset for place in places] == [6]
    assert list(last.said(0)) == [b"goes on"]
    hanging.abort_transaction(20)
