ALTER TABLE agent_states
    ADD COLUMN IF NOT EXISTS state_id String COMMENT 'pbx:agent:number, the same in every revision.' AFTER estimated,
    ADD COLUMN IF NOT EXISTS number Int32 COMMENT 'The how-manieth state of this agent it is, from 1: states follow each other without a hole. 0 in version 1.' AFTER state_id,
    ADD COLUMN IF NOT EXISTS rev Int32 COMMENT 'Revision of this state, from 1: what became known of it later; readers keep the highest.' AFTER number,
    ADD COLUMN IF NOT EXISTS name String COMMENT 'The agent\'s name, as the PBX\'s queues know it.' AFTER rev,
    ADD COLUMN IF NOT EXISTS previous LowCardinality(String) COMMENT 'The state before, or empty when there is none.' AFTER name,
    ADD COLUMN IF NOT EXISTS previous_since Nullable(DateTime64(6, 'UTC')) COMMENT 'When the state before began.' AFTER previous,
    ADD COLUMN IF NOT EXISTS previous_s Nullable(Float64) COMMENT 'How many seconds the state before lasted.' AFTER previous_since,
    ADD COLUMN IF NOT EXISTS precision LowCardinality(String) COMMENT 'us, ms, s, minute or arrival: how exactly the source tells the time of `since`.' AFTER previous_s,
    ADD COLUMN IF NOT EXISTS call_id String COMMENT 'pbx:native id of the call that the agent is in or rung for (calls.native_ids has it), or empty.' AFTER precision,
    ADD COLUMN IF NOT EXISTS queues Array(String) COMMENT 'The queues that the agent is logged in to, by name.' AFTER call_id,
    ADD COLUMN IF NOT EXISTS memberships Array(Tuple(
        queue String,
        active Bool,
        paused Bool,
        reason String,
        wrapup_s Nullable(Float64),
        at DateTime64(6, 'UTC')
    )) COMMENT 'The queues that the agent is or was in, by name.' AFTER queues,
    ADD COLUMN IF NOT EXISTS phones Array(Tuple(
        interface String,
        state String,
        freed_at Nullable(DateTime64(6, 'UTC')),
        at DateTime64(6, 'UTC')
    )) COMMENT 'The agent\'s telephones, by interface.' AFTER memberships,
    ADD COLUMN IF NOT EXISTS legs Array(Tuple(
        leg_id String,
        call_id String,
        interface String,
        state String,
        queue String,
        at DateTime64(6, 'UTC')
    )) COMMENT 'The agent\'s channels.' AFTER phones,
    ADD COLUMN IF NOT EXISTS wrapup_from Nullable(DateTime64(6, 'UTC')) COMMENT 'When the last call of a queue ended, while its wrap-up may go on.' AFTER legs,
    ADD COLUMN IF NOT EXISTS wrapup_until Nullable(DateTime64(6, 'UTC')) COMMENT 'When that wrap-up ends unless something else happens before.' AFTER wrapup_from;

-- Revisions of a state stand beside each other in the table: since may be corrected, and is in its key.
CREATE OR REPLACE VIEW agent_states_latest AS
SELECT * FROM agent_states WHERE number > 0
ORDER BY tenant, pbx, agent_id, number, rev DESC
LIMIT 1 BY tenant, pbx, agent_id, number
COMMENT 'Each state of each agent once, at its highest revision.';

CREATE OR REPLACE VIEW agent_state_intervals AS
SELECT
    tenant, pbx, agent_id, name, interface, number, state, reason, queue, call_id, since,
    leadInFrame(toNullable(since)) OVER following AS until,
    (toUnixTimestamp64Micro(until) - toUnixTimestamp64Micro(toNullable(since))) / 1e6 AS seconds,
    estimated, leadInFrame(estimated) OVER following AS until_estimated, precision
FROM agent_states_latest
WINDOW following AS (PARTITION BY tenant, pbx, agent_id ORDER BY number ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
COMMENT 'Each state of each agent from since to until; both until and seconds are null for the state that lasts.';
