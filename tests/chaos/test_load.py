"""Two busy PBXs for minutes: one doubles and delays events, one loses them; as many records as calls, right or flagged."""

import os
from pathlib import Path

import pytest
from rich.console import Console

from streams.embedded import roles
from streams.runtime.cli.up import running
from streams.runtime.clock import SystemClock
from tests.chaos import load
from tests.support.conservation import judge

SECONDS = float(os.environ.get("TRUNKLINE_LOAD_SECONDS", "60"))
RATE = float(os.environ.get("TRUNKLINE_LOAD_RATE", "50"))
"""Calls a second on each of the two."""
SEED = int(os.environ.get("TRUNKLINE_LOAD_SEED", "1"))
MISHAPS = {"late": {"duplicate": 0.02, "reorder": 0.02, "reorder-max": 2.0}, "lossy": {"lose": 0.01}}
PATIENCE_S = 180.0
"""For the backlog, and for the two audits that find a lost Hangup."""
BYTES, BYTES_A_CALL = 256 << 20, 16 << 10
"""What the fold's process may grow by: its modules and Kafka buffers, and for each call that it is told of."""
CLOCK = SystemClock()


@pytest.mark.chaos
def test_a_load_with_mishaps(tmp_path: Path) -> None:
    """Counts equal the truth on the log and in the warehouse; only a lost event is an excuse, and then the record says so."""
    plan = load.Plan(calls=round(RATE * SECONDS), rate=RATE, seed=SEED, mishaps=MISHAPS)
    centre = load.prepare(tmp_path / "centre", plan)
    console = Console(stderr=True)
    with load.simulated(centre), running(centre.config, console) as (settings, supervisor):
        supervisor.start(roles.adapters(settings, centre.config))
        seen = load.follow(centre, settings, supervisor, CLOCK, PATIENCE_S)
        assert not supervisor.restarts
        calls, rows = load.told(settings), load.stored(settings)
    assert rows == {
        name: (call.rev, call.state, call.outcome, call.talk_s, call.quality) for name, call in calls.items()
    }
    verdicts = {}
    for pbx in MISHAPS:
        truth = centre.truth(pbx)
        assert len(truth) == plan.calls
        mine = {name: call for name, call in calls.items() if call.pbx == pbx}
        verdicts[pbx] = judge(truth, mine)
        console.print(f"{pbx}: {verdicts[pbx]}", highlight=False)
    grown = seen.most_bytes - seen.least_bytes
    console.print(
        f"{seen.most_open} calls open at most, the fold grew by {grown >> 20} MiB; drained {seen.drained_s} s"
    )
    assert {pbx: verdict.wrong for pbx, verdict in verdicts.items() if verdict.wrong} == {}
    assert verdicts["late"].flagged == 0
    assert verdicts["lossy"].flagged > plan.calls / 20
    assert verdicts["lossy"].unknown.total() < verdicts["lossy"].touched / 20
    assert seen.drained_s is not None
    assert grown < BYTES + BYTES_A_CALL * len(calls)
