CREATE TABLE IF NOT EXISTS crm_writes
(
    tenant String COMMENT 'Tenant that owns the record.',
    crm String COMMENT 'Name of the CRM instance, as configured.',
    call_id String COMMENT 'Id of the call, namespaced by its PBX.',
    state LowCardinality(String) COMMENT 'INTENT, SENT, UNKNOWN, CONFIRMED or REFUSED.',
    rev Int32 COMMENT 'The revision of the call that this entry is about.',
    external_id String COMMENT 'Id of the journal entry in the CRM, once known.',
    contact_id String COMMENT 'The contact whose history the entry is in.',
    attempt Int32 COMMENT 'How often the write was tried.',
    reason String COMMENT 'Why it was refused or is unknown.',
    written Map(String, String) COMMENT 'The fields as last confirmed by the CRM.',
    call_ended_at Nullable(DateTime64(6, 'UTC')) COMMENT 'When the call ended, for the delay from hang-up to journal.',
    at DateTime64(6, 'UTC') COMMENT 'When this entry was written.',
    pending Map(String, String) COMMENT 'The fields that an unfinished write would set; empty once the entry is settled.',
    _topic String COMMENT 'The topic that the record was read from.',
    _partition Int32 COMMENT 'Partition of the record.',
    _offset Int64 COMMENT 'Offset of the record: with the partition, its place in the log.',
    INDEX place (_partition, _offset) TYPE minmax,
    CONSTRAINT record_is_whole CHECK _topic = 'crm-writes'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, crm, call_id, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000,
         replicated_deduplication_window_seconds = 604800
COMMENT 'The ledger of what was written to a CRM, entry by entry; read crm_writes_latest.';

-- Entries of one call are in one partition; offsets order those of the same microsecond.
CREATE OR REPLACE VIEW crm_writes_latest AS
SELECT * FROM crm_writes ORDER BY at DESC, _offset DESC LIMIT 1 BY tenant, crm, call_id
COMMENT 'The last word on each call in each CRM.';
