-- How do calls come out, by direction? Calls that are still open have no outcome and are left out.
SELECT
    direction,
    outcome,
    count() AS calls,
    round(calls / sum(calls) OVER (PARTITION BY direction), 3) AS share,
    round(avg(talk_s), 1) AS talk_mean_s,
    countIf(has(quality, 'gap')) AS with_gap
FROM calls_latest
WHERE outcome != ''
GROUP BY direction, outcome
ORDER BY direction, calls DESC, outcome
