-- How did each agent's time go? Seconds per state, and how much of the time that is neither pause nor log-out was work.
SELECT
    agent_id AS agent,
    any(name) AS agent_name,
    round(sumIf(assumeNotNull(seconds), state = 'available'), 0) AS available_s,
    round(sumIf(assumeNotNull(seconds), state = 'ringing'), 0) AS ringing_s,
    round(sumIf(assumeNotNull(seconds), state IN ('on_call', 'hold')), 0) AS on_call_s,
    round(sumIf(assumeNotNull(seconds), state = 'wrapup'), 0) AS wrapup_s,
    round(sumIf(assumeNotNull(seconds), state = 'paused'), 0) AS paused_s,
    round(sumIf(assumeNotNull(seconds), state = 'logged_out'), 0) AS logged_out_s,
    round(sumIf(assumeNotNull(seconds), state IN ('unavailable', 'unknown')), 0) AS not_reachable_s,
    round((on_call_s + wrapup_s) / nullIf(available_s + ringing_s + on_call_s + wrapup_s, 0), 3) AS occupancy
FROM agent_state_intervals
WHERE seconds IS NOT NULL
GROUP BY agent
ORDER BY on_call_s DESC, agent
