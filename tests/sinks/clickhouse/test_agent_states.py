"""Agents' states in the warehouse: intervals, and what is asked of them."""

from importlib.resources import files

import pytest
from clickhouse_connect.driver.client import Client

from schemas.codec import encode
from schemas.events import AgentState
from sinks.clickhouse.writer import ClickHouseWriter
from tests.sinks.clickhouse.fakes import batch_of

pytestmark = pytest.mark.integration

SECOND = 1_000_000
START = 1_790_000_000 * SECOND


def test_an_agents_states_are_intervals_without_a_hole(writer: ClickHouseWriter, client: Client) -> None:
    """Each state once, at its highest revision, until the next begins; a corrected beginning is the one that counts."""
    told = [
        ("available", 1, 1, 0),
        ("on_call", 2, 1, 60),
        ("paused", 3, 1, 100),
        ("paused", 3, 2, 90),
        ("available", 4, 1, 120),
    ]
    states = [
        AgentState(
            tenant="acme",
            pbx="main",
            agent_id=agent,
            state=state,
            since=START + at * SECOND,
            received_at=START,
            number=number,
            rev=rev,
        )
        for agent in ("ann", "bob")
        for state, number, rev, at in told
    ]
    writer.write(batch_of("agent-states", [encode(s) for s in states]))
    found = client.query("SELECT agent_id, state, seconds FROM agent_state_intervals ORDER BY agent_id, number")
    expected = [("available", 60.0), ("on_call", 30.0), ("paused", 30.0), ("available", None)]
    assert found.result_rows == [(agent, *each) for agent in ("ann", "bob") for each in expected]
    sql = files("sinks.clickhouse").joinpath("queries/agent_time.sql").read_text(encoding="utf-8")
    (ann, _) = client.query(sql).named_results()
    assert (ann["agent"], ann["available_s"], ann["on_call_s"], ann["paused_s"]) == ("ann", 60, 30, 30)
    assert ann["occupancy"] == pytest.approx(0.333)
