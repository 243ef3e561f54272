-- What did each agent do? Offers and what became of them, and the time spent; null where no source told it.
SELECT
    part.agent AS agent,
    count() AS offered,
    countIf(part.result = 'answered') AS answered,
    countIf(part.result IN ('no_answer', 'declined', 'busy')) AS missed,
    round(answered / offered, 3) AS answered_rate,
    round(avg(part.ring_s), 1) AS ring_mean_s,
    round(sum(part.talk_s), 0) AS talk_s,
    round(sum(part.hold_s), 0) AS hold_s,
    round(avgIf(part.talk_s, part.result = 'answered'), 1) AS talk_mean_s
FROM calls_latest
ARRAY JOIN segments AS part
WHERE part.kind = 'agent' AND part.agent != ''
GROUP BY agent
ORDER BY answered DESC, agent
