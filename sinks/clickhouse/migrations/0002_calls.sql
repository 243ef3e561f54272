CREATE TABLE IF NOT EXISTS calls
(
    call_id String COMMENT 'Id of the call, namespaced by its PBX.',
    rev Int32 COMMENT 'Revision of the call\'s record.',
    tenant String COMMENT 'Tenant that owns the record.',
    pbx String COMMENT 'Name of the PBX instance, as configured.',
    merge_key String COMMENT 'The unit inside which calls can merge; the key of the topic.',
    state LowCardinality(String) COMMENT 'ringing, queued, connected, ended, final or merged.',
    merged_into String COMMENT 'The call id that this record became part of, when state is merged.',
    direction LowCardinality(String) COMMENT 'inbound, outbound, internal, or empty when not known.',
    outcome LowCardinality(String) COMMENT 'How the call came out, one of the closed list; empty while it is open.',
    customer_number String COMMENT 'The customer\'s number in E.164, or empty when hidden, internal or unknown.',
    customer_raw String COMMENT 'The customer\'s number as the PBX gave it.',
    did String COMMENT 'The own number that was dialled from outside.',
    caller_number String COMMENT 'Calling number as the PBX gave it.',
    caller_e164 String COMMENT 'Calling number in E.164, or empty.',
    caller_name String COMMENT 'Calling name as the PBX gave it.',
    dialled_number String COMMENT 'The number that was dialled.',
    dialled_e164 String COMMENT 'The number that was dialled, in E.164, or empty.',
    reached_number String COMMENT 'The number of the party that answered.',
    reached_name String COMMENT 'The name of the party that answered.',
    queue LowCardinality(String) COMMENT 'The last queue.',
    agent LowCardinality(String) COMMENT 'The agent who talked last with the customer, or empty.',
    started_at DateTime64(6, 'UTC') COMMENT 'When it began.',
    ringing_at Nullable(DateTime64(6, 'UTC')) COMMENT 'When it first rang at a person\'s telephone.',
    queued_at Nullable(DateTime64(6, 'UTC')) COMMENT 'When it entered its first queue.',
    connected_at Nullable(DateTime64(6, 'UTC')) COMMENT 'When the parties first talked.',
    ended_at Nullable(DateTime64(6, 'UTC')) COMMENT 'When it ended.',
    updated_at DateTime64(6, 'UTC') COMMENT 'When this revision became true.',
    ring_s Nullable(Float64) COMMENT 'Seconds of ringing at the party that answered, or at the last one.',
    queue_wait_s Nullable(Float64) COMMENT 'Seconds waited in queues.',
    ivr_s Nullable(Float64) COMMENT 'Seconds in an IVR before queue or ringing.',
    wait_s Nullable(Float64) COMMENT 'Seconds from the start to the first talk, or to the end when nobody talked.',
    talk_s Nullable(Float64) COMMENT 'Seconds of talk without hold; null when it cannot be known.',
    hold_s Nullable(Float64) COMMENT 'Seconds on hold; null when the source does not say.',
    duration_s Nullable(Float64) COMMENT 'Seconds from start to end.',
    hangup_by LowCardinality(String) COMMENT 'Who hung up: caller, callee, agent, system, or empty.',
    hangup_cause Nullable(Int32) COMMENT 'Q.850 cause of the end, null when not given.',
    segments Array(Tuple(
        agent String,
        number String,
        name String,
        leg_id String,
        queue String,
        kind String,
        offered_at Nullable(DateTime64(6, 'UTC')),
        ringing_at Nullable(DateTime64(6, 'UTC')),
        connected_at Nullable(DateTime64(6, 'UTC')),
        ended_at Nullable(DateTime64(6, 'UTC')),
        ring_s Nullable(Float64),
        talk_s Nullable(Float64),
        hold_s Nullable(Float64),
        result String,
        by String
    )) COMMENT 'Every party that was offered the call, in order.',
    participants Array(Tuple(
        role String,
        number String,
        e164 String,
        name String,
        leg_id String,
        answered Bool
    )) COMMENT 'Everybody who took part, each once.',
    queue_visits Array(Tuple(
        queue String,
        entered_at DateTime64(6, 'UTC'),
        left_at Nullable(DateTime64(6, 'UTC')),
        position Nullable(Int32),
        wait_s Nullable(Float64),
        reason String,
        agent String
    )) COMMENT 'Every visit to a queue, in order.',
    transfers Array(Tuple(
        kind String,
        by String,
        to String,
        at DateTime64(6, 'UTC'),
        result String
    )) COMMENT 'Every transfer, in order.',
    holds Array(Tuple(
        leg_id String,
        started_at DateTime64(6, 'UTC'),
        ended_at Nullable(DateTime64(6, 'UTC'))
    )) COMMENT 'Every hold as an interval.',
    recordings Array(Tuple(
        file String,
        leg_id String,
        started_at Nullable(DateTime64(6, 'UTC')),
        ended_at Nullable(DateTime64(6, 'UTC'))
    )) COMMENT 'Every recording once.',
    notes Array(Tuple(
        at DateTime64(6, 'UTC'),
        author String,
        text String,
        outcome String,
        script String,
        tags Array(String)
    )) COMMENT 'Notes that people attached.',
    native_ids Array(String) COMMENT 'Every native call id that was folded into this call.',
    match LowCardinality(String) COMMENT 'matched, ambiguous, none, hidden or internal.',
    crm String COMMENT 'Name of the CRM instance, as configured.',
    contact_id String COMMENT 'The contact\'s id in that CRM, or empty.',
    company_id String COMMENT 'The company\'s id in that CRM, or empty.',
    contact_name String COMMENT 'The contact\'s name in the CRM.',
    owner String COMMENT 'The CRM user who is responsible for the contact.',
    priority Int32 COMMENT 'The contact\'s priority; higher goes first.',
    segment String COMMENT 'The contact\'s segment in the CRM.',
    candidates Array(String) COMMENT 'Contact ids that share the number when it is ambiguous.',
    match_rule String COMMENT 'Which rule matched the number.',
    quality Array(String) COMMENT 'Flags: gap, estimated, inferred, clock-skew.',
    events Int32 COMMENT 'How many events this revision is made of.',
    _topic String COMMENT 'The topic that the record was read from.',
    _partition Int32 COMMENT 'Partition of the record.',
    _offset Int64 COMMENT 'Offset of the record: with the partition, its place in the log.',
    INDEX place (_partition, _offset) TYPE minmax,
    CONSTRAINT record_is_whole CHECK _topic = 'calls'
)
ENGINE = ReplacingMergeTree(rev)
PARTITION BY toYYYYMM(started_at)
ORDER BY (tenant, call_id)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000,
         replicated_deduplication_window_seconds = 604800
COMMENT 'Revisions of calls; read calls_latest.';

-- FINAL takes the highest rev of each call, merged on disk or not; a record that became part of another call is none.
CREATE OR REPLACE VIEW calls_latest AS
SELECT * FROM calls FINAL WHERE state != 'merged'
COMMENT 'Each call once, at its highest revision.';
