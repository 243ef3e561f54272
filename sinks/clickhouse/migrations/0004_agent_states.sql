CREATE TABLE IF NOT EXISTS agent_states
(
    tenant String COMMENT 'Tenant that owns the record.',
    pbx String COMMENT 'Name of the PBX instance, as configured.',
    agent_id String COMMENT 'The agent.',
    interface String COMMENT 'The PBX\'s interface of the agent.',
    state LowCardinality(String) COMMENT 'logged_out, available, ringing, on_call, hold, wrapup, paused, unavailable or unknown.',
    reason String COMMENT 'Reason of a pause, as the PBX gave it.',
    queue String COMMENT 'The queue that the state is about, or empty for all.',
    since DateTime64(6, 'UTC') COMMENT 'When the state began.',
    received_at DateTime64(6, 'UTC') COMMENT 'When the adapter received it, by the adapter\'s clock.',
    estimated Bool COMMENT 'True when the moment is estimated.',
    _topic String COMMENT 'The topic that the record was read from.',
    _partition Int32 COMMENT 'Partition of the record.',
    _offset Int64 COMMENT 'Offset of the record: with the partition, its place in the log.',
    INDEX place (_partition, _offset) TYPE minmax,
    CONSTRAINT record_is_whole CHECK _topic = 'agent-states'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(since)
ORDER BY (tenant, pbx, agent_id, since, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000,
         replicated_deduplication_window_seconds = 604800
COMMENT 'The states of every agent, one after the other.';
