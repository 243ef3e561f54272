"""The manifest on a real cluster: made where missing, settings mended, never shrunk."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from schemas.topics import manifest
from streams.runtime import kafka as clients
from streams.runtime import topics
from streams.runtime.clock import SystemClock
from streams.runtime.config import Kafka
from streams.runtime.errors import Fatal

pytestmark = pytest.mark.integration


@pytest.fixture
def cluster(kafka: str) -> Kafka:
    """The session's broker, seen by a set-up that is alone under its prefix."""
    return Kafka(bootstrap=kafka, topic_prefix=f"topics-{uuid.uuid4().hex}-")


def apply(cluster: Kafka) -> list[str]:
    return [line.removeprefix(cluster.topic_prefix) for line in topics.apply(clients.admin(cluster), cluster)]


def settings_of(admin: AdminClient, name: str) -> dict[str, str]:
    (future,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]).values()
    return {key: entry.value for key, entry in future.result(10).items()}


def made(admin: AdminClient, name: str, partitions: int) -> None:
    admin.create_topics([NewTopic(name, num_partitions=partitions)])[name].result(10)
    until_seen(admin, name, partitions)


def until_seen(admin: AdminClient, name: str, partitions: int) -> None:
    until(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == partitions)


def until(seen: Callable[[], bool]) -> None:
    """The broker's answer comes before every client sees the change."""
    for _ in range(200):
        if seen():
            return
        SystemClock().sleep(0.05)
    raise TimeoutError


def test_everything_is_made_as_the_manifest_says_and_a_second_time_changes_nothing(cluster: Kafka) -> None:
    """Partitions, compaction and retention, also of the dead letters."""
    assert len(apply(cluster)) == len(manifest().topics)
    admin = clients.admin(cluster)
    for topic in manifest().topics.values():
        name = cluster.name(topic.name)
        until_seen(admin, name, topic.partitions)
        assert topic.settings.items() <= settings_of(admin, name).items()
    assert apply(cluster) == []


def test_settings_that_are_off_are_mended_and_others_left_alone(cluster: Kafka) -> None:
    """An operator may tune what the manifest does not speak of."""
    apply(cluster)
    admin = clients.admin(cluster)
    name = cluster.name("contacts")
    until_seen(admin, name, manifest().topics["contacts"].partitions)
    wrong = {"cleanup.policy": "delete", "min.cleanable.dirty.ratio": "0.1"}
    entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in wrong.items()]
    changed = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
    admin.incremental_alter_configs([changed])[changed].result(10)
    until(lambda: settings_of(admin, name)["cleanup.policy"] == "delete")
    assert apply(cluster) == ["contacts: cleanup.policy=compact"]
    until(lambda: settings_of(admin, name)["cleanup.policy"] == "compact")
    assert settings_of(admin, name)["min.cleanable.dirty.ratio"] == "0.1"


def test_a_narrow_topic_is_widened(cluster: Kafka) -> None:
    """The manifest asks for more."""
    admin = clients.admin(cluster)
    made(admin, cluster.name("calls"), 1)
    wanted = manifest().topics["calls"].partitions
    assert f"calls: 1 -> {wanted} partitions" in apply(cluster)
    until_seen(admin, cluster.name("calls"), wanted)


def test_a_wide_topic_is_a_persons_decision_and_nothing_is_done(cluster: Kafka) -> None:
    """Keys would move; half a change would be worse than none."""
    admin = clients.admin(cluster)
    wanted = manifest().topics["calls"].partitions
    made(admin, cluster.name("calls"), wanted + 1)
    with pytest.raises(Fatal, match=f"calls has {wanted + 1}, not {wanted}"):
        apply(cluster)
    ours = [name for name in admin.list_topics(timeout=10).topics if name.startswith(cluster.topic_prefix)]
    assert ours == [cluster.name("calls")]


def test_two_at_the_same_time_both_end_well(cluster: Kafka) -> None:
    """Every machine may run it at its start."""
    with ThreadPoolExecutor(2) as pool:
        lines = list(pool.map(lambda _: apply(cluster), range(2)))
    created = [line.split(":")[0] for line in [*lines[0], *lines[1]] if ": created" in line]
    assert sorted(created) == sorted(manifest().topics)
