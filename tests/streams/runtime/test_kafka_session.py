"""A worker's session on the real Kafka: who waits for whom, what is committed, what a new owner is given."""

import threading
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic
from structlog.testing import capture_logs

from schemas.codec import encode
from schemas.events import Contact
from streams.processors.contacts import NONE, Contacts, Follower
from streams.runtime import kafka as clients
from streams.runtime.errors import Fatal, Retry
from streams.runtime.kafka_session import KafkaSession
from streams.runtime.pipeline import Stage
from streams.runtime.session import Place
from tests.streams.runtime.keeper import Place1, taken_over
from tests.streams.runtime.workers import CLOCK, until

pytestmark = pytest.mark.integration


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """The call in a thread of its own, and where its answer will be."""
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    return thread, answers


def open_transaction(here: Place1, value: bytes, identity: str = "other") -> Producer:
    """A transaction with one record in the output, and nobody to end it."""
    producer = clients.transactional(here.bench.settings.kafka, here.bench.prefix + identity)
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(here.stage.target, value, partition=0)
    assert producer.flush(20) == 0
    return producer


def test_a_fresh_group_begins_at_the_beginning(here: Place1) -> None:
    """No offset, no owner, nothing to replay."""
    here.bench.produce([b"a", b"b"])
    session, places = here.joined()
    assert places == [Place(partition=0, offset=0, low_water=None, owner="")]
    session.start({0: 0})
    read: list[bytes | None] = []
    while len(read) < 2:
        read += [message.value() for message in session.read(10)]
    assert read == [b"a", b"b"]


def test_what_was_deleted_unread_is_told(here: Place1) -> None:
    """A stage that was away for longer than the topic keeps its records goes on with the oldest, and somebody is told."""
    here.bench.produce([b"a", b"b", b"c"])
    session, _ = here.joined()
    session.begin()
    session.commit([Place(partition=0, offset=1, low_water=0, owner=session.owner)])
    admin = clients.admin(here.bench.settings.kafka)
    (deleted,) = admin.delete_records([TopicPartition(here.stage.source, 0, 2)]).values()
    deleted.result(20)
    with capture_logs() as logged:
        _, places = here.joined()
    assert places == [Place(partition=0, offset=2, low_water=None, owner="")]
    assert [entry["event"] for entry in logged if entry["log_level"] == "error"] == ["stream.offset_out_of_range"]


def test_offset_owner_and_low_water_come_back_as_committed(here: Place1) -> None:
    """The next owner is told where to go on, from where to replay, and who was here before."""
    here.bench.produce([b"a", b"b", b"c"])
    session, _ = here.joined()
    session.begin()
    session.commit([Place(partition=0, offset=3, low_water=1, owner=session.owner)])
    _, places = here.joined()
    assert places == [Place(partition=0, offset=3, low_water=1, owner=session.owner)]


def test_a_new_owner_replays_from_the_low_water_silently(here: Place1) -> None:
    """Recall what was said, replay what is still open, then go on: the output has each answer once."""
    here.bench.produce([b"a", b"open", b"b"])
    here.work("b")
    here.bench.produce([b"c"])
    here.work("c")
    assert here.tasks[-1].told == ["recall a", "recall open", "recall b", "replay open", "replay b", "process c"]
    assert here.bench.output()[0] == [b"a", b"open", b"b", b"c"]


def test_nothing_is_replayed_when_nothing_is_open(here: Place1) -> None:
    """A closed state needs no input again."""
    here.bench.produce([b"open", b"close"])
    here.work("close")
    here.bench.produce([b"c"])
    here.work("c")
    assert here.tasks[-1].told == ["recall open", "recall close", "process c"]


def test_a_batch_is_invisible_until_it_is_committed(here: Place1) -> None:
    """And gone when it is aborted."""
    session, _ = here.joined()
    session.begin()
    session.write(here.stage.target, 0, [(None, b"never")])
    session.abort()
    session.begin()
    session.write(here.stage.target, 0, [(None, b"a")])
    assert here.bench.output()[0] == []
    session.commit([Place(partition=0, offset=0, low_water=None, owner=session.owner)])
    assert here.bench.output()[0] == [b"a"]


def test_a_place_is_part_of_its_transaction(here: Place1) -> None:
    """When the batch does not become durable, neither does the offset: the input is read again."""

    class CutShort:
        """The producer of a worker that dies when all is sent but the commit."""

        def __init__(self, producer: Producer) -> None:
            self.send_offsets_to_transaction = producer.send_offsets_to_transaction
            self.abort_transaction = producer.abort_transaction

        def commit_transaction(self, _: float) -> None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    session, _ = here.joined()
    session.begin()
    session._producer = CutShort(session._producer)  # type: ignore[assignment]
    with pytest.raises(Retry, match="committing a batch"):
        session.commit([Place(partition=0, offset=5, low_water=None, owner=session.owner)])
    _, places = here.joined()
    assert [place.offset for place in places] == [0]


def test_a_new_owner_waits_until_the_former_ones_commit_is_decided(here: Place1) -> None:
    """Rebuilding before that would miss the former owner's last batch."""
    here.bench.produce([b"x"] * 7)
    former, _ = here.joined("a")
    former.begin()
    former.write(here.stage.target, 0, [(None, b"last")])
    offsets = [TopicPartition(here.stage.source, 0, 7, f"{former.owner} 3")]
    former._producer.flush(20)
    former._producer.send_offsets_to_transaction(offsets, former._group, 20)
    former._consumer.close()
    new = here.session("b")
    thread, answers = in_thread(lambda: taken_over(new))
    until(lambda: new._group is not None, "the partition, once the former member's time is over")
    CLOCK.sleep(0.5)
    assert not answers
    former._producer.commit_transaction(20)
    former._in_transaction = False
    thread.join(30)
    assert answers == [[Place(partition=0, offset=7, low_water=3, owner=former.owner)]]
    assert list(new.said(0)) == [b"last"]


def test_the_window_is_read_past_a_stalled_transaction(here: Place1) -> None:
    """What was committed behind a transaction that nobody ends is waited for, not overlooked."""
    stalled = open_transaction(here, b"never")
    session, _ = here.joined()
    session.begin()
    session.write(here.stage.target, 0, [(None, b"behind it")])
    session.commit([Place(partition=0, offset=0, low_water=None, owner=session.owner)])
    thread, answers = in_thread(lambda: list(session.said(0)))
    CLOCK.sleep(1)
    assert not answers
    stalled.abort_transaction(20)
    thread.join(30)
    assert answers == [[b"behind it"]]


def test_the_window_is_bounded_by_time_and_by_number(here: Place1) -> None:
    """Old records, and more than wanted, are not read."""
    producer = clients.producer(here.bench.settings.kafka)
    now = CLOCK.now() // 1000
    for i, age_s in enumerate((7200, 3700, 60, 50, 40)):
        producer.produce(here.stage.target, b"%d" % i, partition=0, timestamp=now - age_s * 1000)
    producer.flush(20)
    session = here.session()
    assert list(session.said(0)) == [b"2", b"3", b"4"]
    object.__setattr__(session._stage, "window_records", 2)
    assert list(session.said(0)) == [b"3", b"4"]


def test_a_rebuild_ends_when_the_worker_is_told_to_stop(here: Place1) -> None:
    """A stalled transaction does not keep a worker from a clean stop."""
    stalled = open_transaction(here, b"never")
    session = here.session()

    def rebuild() -> str:
        with pytest.raises(Retry) as given_up:
            list(session.said(0))
        return str(given_up.value)

    thread, answers = in_thread(rebuild)
    CLOCK.sleep(0.5)
    here.stop.set()
    thread.join(5)
    assert answers
    stalled.abort_transaction(20)


def test_a_successor_in_the_same_slot_ends_what_was_left_open(here: Place1) -> None:
    """A restarted worker aborts its former transaction at once and gets its partition back at once."""
    former, _ = here.joined("a")
    former.begin()
    former.write(here.stage.target, 0, [(None, b"never")])
    former._producer.flush(20)
    begin = CLOCK.monotonic()
    successor, _ = here.joined("a")
    assert list(successor.said(0)) == []
    assert CLOCK.monotonic() - begin < clients.SESSION_TIMEOUT
    with pytest.raises(Retry):
        former.commit([Place(partition=0, offset=5, low_water=None, owner=former.owner)])
    former._in_transaction = False
    assert here.bench.output()[0] == []


def test_a_former_owner_cannot_commit(here: Place1) -> None:
    """The group has moved on: its batch is refused, whatever it believes to hold."""
    former, _ = here.joined("a")
    former.begin()
    former.write(here.stage.target, 0, [(None, b"never")])
    former._consumer.close()
    new, _ = here.joined("b")
    with pytest.raises(Retry, match="committing a batch"):
        former.commit([Place(partition=0, offset=5, low_water=None, owner=former.owner)])
    former.abort()
    assert list(new.said(0)) == []


def test_a_session_closes_whatever_is_under_way(here: Place1) -> None:
    """Also while the group gives it partitions that it has not heard of yet."""
    for step in range(8):
        session = here.session(f"slot {step % 2}")
        CLOCK.sleep(step * 0.1)
        with session:
            session.read(1)
    _, places = here.joined()
    assert len(places) == 1


def test_partitions_must_match(here: Place1) -> None:
    """A record keeps its partition number, so both topics need the same."""
    admin = clients.admin(here.bench.settings.kafka)
    name = here.bench.prefix + "wide"
    admin.create_topics([NewTopic(name, 2)])[name].result(20)
    wide = Stage(name="keeper", source=here.stage.source, target=name, window_s=1, open=here.stage.open)
    with pytest.raises(Fatal, match=r"has 1 partitions and .*wide 2"):
        KafkaSession(wide, here.bench.settings.kafka, "a", CLOCK, here.stop)


def test_contacts_are_followed(here: Place1) -> None:
    """Read to the end first, then kept up to date: changes, tombstones, and a record that is none."""

    def put(key: bytes, value: bytes | None) -> None:
        producer.produce(here.bench.prefix + "contacts", value, key)
        producer.flush(20)

    def known(number: bytes) -> bool:
        follower.refresh()
        return contacts.tail(number) != NONE

    producer = clients.producer(here.bench.settings.kafka)
    person = Contact(tenant="acme", crm="crm", contact_id="7", numbers=("+1",), updated_at=1)
    put(b"crm:7", encode(person))
    put(b"crm:8", b"junk")
    contacts = Contacts()
    follower = Follower(here.bench.settings.kafka, contacts)
    until(follower.refresh, "the end of the contacts")
    assert known(b"+1")
    put(b"crm:7", None)
    until(lambda: not known(b"+1"), "the tombstone")
    put(b"crm:9", encode(person))
    until(lambda: known(b"+1"), "the new contact")
