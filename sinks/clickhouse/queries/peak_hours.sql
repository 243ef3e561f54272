-- When do customers call? Inbound calls by weekday and hour (UTC), how many were answered and how long they waited.
SELECT
    toDayOfWeek(started_at) AS weekday,
    toHour(started_at) AS hour,
    count() AS calls,
    countIf(outcome = 'answered') AS answered,
    round(answered / calls, 3) AS answered_rate,
    round(quantile(0.5)(wait_s), 1) AS wait_median_s,
    round(quantile(0.95)(wait_s), 1) AS wait_p95_s
FROM calls_latest
WHERE direction = 'inbound'
GROUP BY weekday, hour
ORDER BY calls DESC, weekday, hour
