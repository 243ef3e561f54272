-- How fast are queues answered? The three parts of a service level stay apart: visits answered within 20 seconds, visits
-- answered later, and visits that were not answered. Who counts short abandons differently can do so from these columns.
SELECT
    visit.queue AS queue,
    count() AS visits,
    countIf(visit.reason = 'connected' AND visit.wait_s <= 20) AS answered_in_20_s,
    countIf(visit.reason = 'connected' AND visit.wait_s > 20) AS answered_later,
    countIf(visit.reason != 'connected') AS not_answered,
    countIf(visit.reason = 'abandoned') AS abandoned,
    countIf(visit.reason = 'abandoned' AND visit.wait_s <= 5) AS abandoned_in_5_s,
    round(avgIf(visit.wait_s, visit.reason = 'connected'), 1) AS answered_wait_mean_s,
    round(avgIf(visit.wait_s, visit.reason = 'abandoned'), 1) AS abandoned_wait_mean_s
FROM calls_latest
ARRAY JOIN queue_visits AS visit
WHERE visit.left_at IS NOT NULL
GROUP BY queue
ORDER BY visits DESC, queue
