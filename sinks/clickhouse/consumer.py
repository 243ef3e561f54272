"""The sink's consumer, and where it differs from a stream's."""

from confluent_kafka import Consumer

from streams.runtime import kafka
from streams.runtime.config import Kafka


def consumer(cluster: Kafka, group: str, slot: str) -> Consumer:
    """A static member of the group that commits by itself, keeps what a rebalance does not move, and hides no loss."""
    options = {
        "partition.assignment.strategy": "cooperative-sticky",
        "auto.offset.reset": "error",  # records that were deleted unread are said, not skipped
        "topic.metadata.refresh.interval.ms": 10_000,  # topics may be made after the sink was started
        "enable.partition.eof": True,  # a pending range ends, too, when its last record was compacted away
    }
    return kafka.member(cluster, cluster.name(group), cluster.name(slot), **options)
