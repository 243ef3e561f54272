"""The end of the demo: everything read back from where users would read it."""

from dataclasses import replace
from importlib.resources import files

from clickhouse_connect.driver.client import Client

from streams.runtime import warehouse
from streams.runtime.config import Settings
from streams.runtime.demo import judge
from streams.runtime.demo.centre import Centre, break_lines, journal, truth_lines
from streams.runtime.demo.latency import quantile
from streams.runtime.demo.report import Answer, Delays

_JOURNAL = """
SELECT quantileExact(0.5)(delay) AS p50, quantileExact(0.99)(delay) AS p99
FROM (SELECT min(dateDiff('microsecond', call_ended_at, at)) / 1e6 AS delay FROM crm_writes
      WHERE state = 'CONFIRMED' AND call_ended_at IS NOT NULL GROUP BY call_id)
"""
_STATES = "SELECT pbx, agent_id, state, reason, toUnixTimestamp64Micro(since) AS since_us FROM agent_states_latest"


def collect(centre: Centre, settings: Settings, ring_delays: list[float]) -> tuple[judge.Verdict, Delays, list[Answer]]:
    """The comparison, the delays, and the sample queries with their answers."""
    client = warehouse.connect(settings.clickhouse)
    calls = list(warehouse.rows(client, "SELECT * FROM calls_latest"))
    verdict = judge.judge(judge.truths(truth_lines(centre)), calls, journal(settings))
    happened, told = judge.breaks(break_lines(centre), warehouse.rows(client, _STATES))
    verdict = replace(verdict, breaks=happened, breaks_told=told)
    written = next(warehouse.rows(client, _JOURNAL))
    delays = Delays(
        ring_p50=quantile(ring_delays, 0.5),
        ring_p99=quantile(ring_delays, 0.99),
        journal_p50=written["p50"],
        journal_p99=written["p99"],
    )
    return verdict, delays, list(samples(client))


def samples(client: Client) -> list[Answer]:
    """Every query that ships with the warehouse (`sinks/clickhouse/queries`), answered."""
    folder = files("sinks").joinpath("clickhouse/queries")
    answers = []
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        sql = file.read_text(encoding="utf-8")
        title = file.name.removesuffix(".sql").replace("_", " ")
        answers.append(Answer(title=title, sql=sql, rows=list(warehouse.rows(client, sql))))
    return answers
