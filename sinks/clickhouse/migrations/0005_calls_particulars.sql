ALTER TABLE calls
    ADD COLUMN IF NOT EXISTS initiation LowCardinality(String) COMMENT 'How it began: incoming, dialled, originated (the PBX was told to make it: click-to-call, call-back), or empty.' AFTER events,
    ADD COLUMN IF NOT EXISTS trunk LowCardinality(String) COMMENT 'The PBX\'s name of the line over which the customer\'s leg went.' AFTER initiation,
    ADD COLUMN IF NOT EXISTS answered_at Nullable(DateTime64(6, 'UTC')) COMMENT 'When the customer\'s leg was first up, be it for a menu, a queue or a person.' AFTER trunk,
    ADD COLUMN IF NOT EXISTS billable_s Nullable(Float64) COMMENT 'Seconds that the customer\'s leg was up, 0 when it never was; null when it cannot be known.' AFTER answered_at,
    ADD COLUMN IF NOT EXISTS hangup_code LowCardinality(String) COMMENT 'The protocol\'s own code of the end (SIP: 486), or empty.' AFTER billable_s,
    ADD COLUMN IF NOT EXISTS conference String COMMENT 'The conference room that parties met in, or empty.' AFTER hangup_code,
    ADD COLUMN IF NOT EXISTS parks Array(Tuple(
        leg_id String,
        lot String,
        space String,
        by String,
        started_at DateTime64(6, 'UTC'),
        ended_at Nullable(DateTime64(6, 'UTC')),
        result String,
        retrieved_by String
    )) COMMENT 'Every time in a parking lot, in order.' AFTER conference,
    ADD COLUMN IF NOT EXISTS parked_s Nullable(Float64) COMMENT 'Seconds in parking lots; null when it cannot be known.' AFTER parks,
    ADD COLUMN IF NOT EXISTS diversions Array(Tuple(
        kind String,
        of String,
        to String,
        at DateTime64(6, 'UTC')
    )) COMMENT 'Every forward and pickup, in order.' AFTER parked_s,
    ADD COLUMN IF NOT EXISTS attributes Map(String, String) COMMENT 'What the dialplan told of the call in words of its own; of a word that came twice, the last.' AFTER diversions,
    ADD COLUMN IF NOT EXISTS sources Array(String) COMMENT 'What the record is made of: live, snapshot, cel, cdr, queue_log.' AFTER attributes,
    COMMENT COLUMN IF EXISTS quality 'Flags: gap, estimated, inferred, clock-skew, truncated and others; a reader ignores those it does not know.';

-- A view keeps the columns that its table had when it was made.
CREATE OR REPLACE VIEW calls_latest AS
SELECT * FROM calls FINAL WHERE state != 'merged'
COMMENT 'Each call once, at its highest revision.';
