"""The topics of the manifest on a cluster: made where missing, settings mended, never shrunk."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic

from schemas.topics import Topic, manifest
from streams.runtime.config import Kafka
from streams.runtime.errors import Fatal

_TIMEOUT = 15.0


def apply(admin: AdminClient, kafka: Kafka) -> Iterator[str]:
    """Make the cluster as the manifest says; yields a line for each thing that was done.

    Raises Fatal when a topic has more partitions than the manifest: a key would move, so a person decides.
    """
    there = admin.list_topics(timeout=_TIMEOUT).topics
    wanted = {kafka.name(topic.name): topic for topic in manifest().topics.values()}
    missing = {name: topic for name, topic in wanted.items() if name not in there}
    have = {name: len(there[name].partitions) for name in wanted if name not in missing}
    if wide := [
        f"{name} has {n}, not {wanted[name].partitions}" for name, n in have.items() if n > wanted[name].partitions
    ]:
        raise Fatal(f"too many partitions: {'; '.join(wide)}. Keys would move: make the topic anew when it is empty")
    yield from _create(admin, missing, kafka.replication)
    for name, count in have.items():
        if count < (more := wanted[name].partitions):
            _wait(admin.create_partitions([NewPartitions(name, more)]))
            yield f"{name}: {count} -> {more} partitions"
    yield from _mend(admin, {name: wanted[name] for name in have})


def _create(admin: AdminClient, topics: dict[str, Topic], replication: int) -> Iterator[str]:
    if not topics:
        return
    wanted = [
        NewTopic(name, num_partitions=t.partitions, replication_factor=replication, config=t.settings)
        for name, t in topics.items()
    ]
    for name, future in admin.create_topics(wanted).items():
        try:
            future.result(_TIMEOUT)
        except KafkaException as e:
            if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was faster, from the same manifest
                raise
        else:
            yield f"{name}: created, {topics[name].partitions} partitions, {topics[name].cleanup}"


def _mend(admin: AdminClient, topics: dict[str, Topic]) -> Iterator[str]:
    resources = {name: ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics}
    if not resources:
        return
    for resource, future in admin.describe_configs(list(resources.values())).items():
        have = {key: entry.value for key, entry in future.result(_TIMEOUT).items()}
        off = {k: v for k, v in topics[resource.name].settings.items() if have.get(k) != v}
        if off:
            changes = [
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in off.items()
            ]
            changed = ConfigResource(ConfigResource.Type.TOPIC, resource.name, incremental_configs=changes)
            _wait(admin.incremental_alter_configs([changed]))
            yield f"{resource.name}: {', '.join(f'{k}={v}' for k, v in off.items())}"


def _wait(futures: Mapping[Any, Future[Any]]) -> None:
    for future in futures.values():
        future.result(_TIMEOUT)
