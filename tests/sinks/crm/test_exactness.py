"""One call, one entry, on the real Kafka and a real CRM process, whatever dies or fails."""

import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.cimpl import NewTopic

from schemas.events import Call, CrmWrite, DeadLetter
from streams.embedded.crm.process import EmbeddedCrm
from streams.runtime import kafka as clients
from streams.runtime.config import Kafka
from tests.sinks.crm.calls import absorbed, call, recorded
from tests.support.crm import CLOCK, PARTITIONS, Crm, Role, publish, read

JOURNAL = "tests.sinks.crm.journal_process"
EVERYTHING = {
    "throttled": 0.06,
    "unavailable": 0.03,
    "lost_answer": 0.06,
    "dropped": 0.04,
    "error_in_200": 0.03,
    "slow": 0.05,
    "slow_s": 0.2,
    "retry_after_s": 0.1,
}


def lives(numbers: Sequence[int]) -> list[Call]:
    """The revisions of many calls, with duplicates and old ones among them, each call's in order."""
    calls = [call(n) for n in numbers]
    return [one for c in calls for one in (replace(c, rev=2, state="connected"), c, c, recorded(c), c)]


def wait_for(what: Callable[[], bool], *, within: float = 90.0) -> None:
    """Look until it is so; fails after `within` seconds."""
    deadline = CLOCK.monotonic() + within
    while not what():
        assert CLOCK.monotonic() < deadline, "it did not come about in time"
        CLOCK.sleep(0.1)


def whole(crm: Crm, numbers: Sequence[int]) -> Callable[[], bool]:
    """Whether every call is in the journal with its recording."""
    wanted = {f"main:{n}" for n in numbers}
    return lambda: {a["call_id"] for a in crm.journal() if a["recording"]} == wanted


def states(cluster: Kafka) -> set[str]:
    """How far the ledger is with its calls."""
    return {w.state for w in {w.call_id: w for w in read(cluster, "crm-writes", CrmWrite)}.values()}


def assert_exact(crm: Crm, cluster: Kafka, numbers: Sequence[int]) -> None:
    """Each call has exactly one entry, at its last revision, and the ledger agrees."""
    crm.faults()
    journal = crm.journal()
    assert Counter(a["call_id"] for a in journal) == Counter(f"main:{n}" for n in numbers)
    assert all(a["recording"] == f"{a['call_id'][5:]}.wav" and a["contact_id"] == "C1" for a in journal)
    last = {w.call_id: w for w in read(cluster, "crm-writes", CrmWrite)}
    assert states(cluster) == {"CONFIRMED"}
    assert {w.call_id: w.external_id for w in last.values()} == {a["call_id"]: str(a["id"]) for a in journal}


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_ten_kills_among_all_faults_leave_one_entry_per_call(
    cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path
) -> None:
    """SIGKILL of the journal at any moment, of the CRM once, throttling and lost answers neither lose nor double a call."""
    numbers = range(150)
    crm.faults(**EVERYTHING)
    publish(cluster, lives(numbers))
    with Role(JOURNAL, cluster, sandbox, tmp_path / "log", settle_s=1, rate_per_s=120, timeout_s=3) as journal:
        for kill in range(10):
            before = len(crm.journal())
            wait_for(lambda: len(crm.journal()) > before or whole(crm, numbers)())  # noqa: B023 - called at once
            CLOCK.sleep(0.03 * kill)
            journal.kill()
            if kill == 4:
                sandbox.kill()
                sandbox.start()
        wait_for(whole(crm, numbers))
        assert journal.stop() == 0
    assert_exact(crm, cluster, numbers)


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_partitions_that_move_between_two_journals_make_no_double(
    cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path
) -> None:
    """A second worker joins in the middle, the first one leaves: every call still has one entry."""
    numbers = range(150)
    publish(cluster, lives(numbers))
    keys: dict[str, Any] = {"settle_s": 1, "rate_per_s": 60, "burst": 5}
    with Role(JOURNAL, cluster, sandbox, tmp_path / "a", **keys) as first:
        wait_for(lambda: len(crm.journal()) > 10)
        with Role(JOURNAL, cluster, sandbox, tmp_path / "b", **keys) as second:
            wait_for(lambda: "crm.partitions" in (tmp_path / "b").read_text())
            assert first.stop() == 0
            wait_for(whole(crm, numbers))
            # An update that the first one was cut off behind is in the CRM before the second one has confirmed it.
            wait_for(lambda: states(cluster) == {"CONFIRMED"})
            assert second.stop() == 0
    assert_exact(crm, cluster, numbers)


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_a_worker_that_was_frozen_does_not_finish_what_others_have_done(
    cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path
) -> None:
    """SIGSTOP beyond the session, another worker takes over, SIGCONT: one entry per call."""
    numbers = range(200)
    publish(cluster, lives(numbers))
    keys: dict[str, Any] = {"settle_s": 2, "rate_per_s": 40, "burst": 5}
    with Role(JOURNAL, cluster, sandbox, tmp_path / "a", **keys) as first:
        wait_for(lambda: len(crm.journal()) > 10)
        first.process.send_signal(signal.SIGSTOP)
        with Role(JOURNAL, cluster, sandbox, tmp_path / "b", **keys) as second:
            wait_for(lambda: len(crm.journal()) > 80)
            first.process.send_signal(signal.SIGCONT)
            wait_for(whole(crm, numbers))
            assert second.stop() == 0
    assert_exact(crm, cluster, numbers)


@pytest.mark.integration
def test_a_clean_stop_redelivers_nothing(cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path) -> None:
    """After SIGTERM the committed offsets are the ends of the partitions, and a new start writes nothing."""
    numbers = range(10)
    publish(cluster, lives(numbers))
    with Role(JOURNAL, cluster, sandbox, tmp_path / "log") as journal:
        wait_for(whole(crm, numbers))
        wait_for(lambda: len(read(cluster, "crm-writes", CrmWrite)) == 40)
        assert journal.stop() == 0
    group = clients.member(cluster, cluster.name("trunkline-crm-crm"), "test")
    partitions = [TopicPartition(cluster.name("calls"), p) for p in range(2)]
    ends = [group.get_watermark_offsets(p, timeout=10)[1] for p in partitions]
    assert [p.offset for p in group.committed(partitions, timeout=10)] == ends
    group.close()


@pytest.mark.integration
def test_what_cannot_be_journaled_is_dead_lettered_and_blocks_nobody(
    cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path
) -> None:
    """An unreadable record and a call that the CRM refuses are set aside with their bytes; the others go on."""
    producer = clients.producer(cluster)
    producer.produce(cluster.name("calls"), key=b"main:0", value=b"\x00garbage", partition=0)
    assert producer.flush(30) == 0
    publish(cluster, [call(1, outcome="x" * 600), call(2), call(3), absorbed(call(3)), call(4), recorded(call(4))])
    with Role(JOURNAL, cluster, sandbox, tmp_path / "log") as journal:
        wait_for(lambda: len(read(cluster, "calls.dead", DeadLetter)) == 2)
        wait_for(lambda: {a["call_id"] for a in crm.journal()} == {"main:2", "main:4"})
        assert journal.stop() == 0
    dead = {letter.key: letter for letter in read(cluster, "calls.dead", DeadLetter)}
    assert dead[b"main:0"].value == b"\x00garbage"
    assert dead[b"main:1"].reason == "the CRM refused it: 422 invalid"
    assert {letter.stage for letter in dead.values()} == {"crm crm"}


@pytest.mark.integration
def test_a_ledger_that_was_lost_makes_no_double(cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path) -> None:
    """Without its ledger and its offsets the journal asks the CRM for every old call, and writes none again."""
    numbers = range(10)
    publish(cluster, lives(numbers))
    with Role(JOURNAL, cluster, sandbox, tmp_path / "log") as journal:
        wait_for(whole(crm, numbers))
        assert journal.stop() == 0
    before = crm.journal()
    admin, group = clients.admin(cluster), cluster.name("trunkline-crm-crm")
    ledger = cluster.name("crm-writes")
    admin.delete_topics([ledger])[ledger].result()
    wait_for(lambda: ledger not in admin.list_topics(timeout=10).topics)
    admin.create_topics([NewTopic(ledger, num_partitions=PARTITIONS)])[ledger].result()
    wait_for(lambda: not admin.describe_consumer_groups([group])[group].result().members)
    admin.delete_consumer_groups([group])[group].result()
    with Role(JOURNAL, cluster, sandbox, tmp_path / "log") as journal:
        wait_for(lambda: len({w.call_id for w in read(cluster, "crm-writes", CrmWrite)}) == len(numbers))
        assert journal.stop() == 0
    assert crm.journal() == before


@pytest.mark.integration
def test_calls_that_were_deleted_unread_are_told(
    cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path
) -> None:
    """A journal that was away for too long says what it could not read, and goes on with what there is."""
    publish(cluster, lives([0, 2]))
    with Role(JOURNAL, cluster, sandbox, tmp_path / "log") as journal:
        wait_for(whole(crm, [0, 2]))
        assert journal.stop() == 0
    publish(cluster, lives([4]))
    admin, at = clients.admin(cluster), TopicPartition(cluster.name("calls"), 0)
    with closing(clients.reader(cluster)) as reader:
        _, end = reader.get_watermark_offsets(at, timeout=10)
        admin.delete_records([TopicPartition(at.topic, at.partition, end)])
        wait_for(lambda: reader.get_watermark_offsets(at, timeout=10)[0] == end)
    publish(cluster, lives([6]))
    with Role(JOURNAL, cluster, sandbox, tmp_path / "log") as journal:
        wait_for(whole(crm, [0, 2, 6]))
        assert journal.stop() == 0
    assert "crm.calls_unread" in (tmp_path / "log").read_text()
