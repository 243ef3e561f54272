"""SIGKILL to each process in turn while calls go on: at the end, calls and journal equal the truth."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from streams.embedded import roles
from streams.embedded.supervisor import Supervisor
from streams.runtime import warehouse
from streams.runtime.cli.up import running
from streams.runtime.clock import SystemClock
from streams.runtime.config import Settings
from streams.runtime.demo import centre as call_centre
from streams.runtime.demo import judge
from streams.runtime.demo.latency import RingWatch
from streams.runtime.demo.progress import Progress
from tests.chaos.agents import broken, missed
from tests.chaos.judgement import Gap, unread, wrongs

KILLS = int(os.environ.get("TRUNKLINE_CHAOS_KILLS", "30"))
SEED = int(os.environ.get("TRUNKLINE_CHAOS_SEED", "1"))
RATE = 2.0
"""Calls a second on each of the two PBXs."""
CYCLE_S = 2.0
"""What a kill and the return take, about: decides how many calls are played."""
RETURN_S = 60.0
CLOCK = SystemClock()

_GAPS = """
SELECT pbx, toInt64(data['from_us']) AS start, toInt64(data['to_us']) AS end FROM call_events
WHERE type = 'gap.resolved'
"""
_READ = """
SELECT pbx, toInt64(data['since_us']) AS start, max(toInt64(data['until_us'])) AS end FROM call_events
WHERE type IN ('source.up', 'source.down') AND mapContains(data, 'since_us') GROUP BY pbx, data['session'], start
"""
_STATES = """
SELECT pbx, agent_id, number, rev, state, reason, toUnixTimestamp64Micro(since) AS since_us,
       toUnixTimestamp64Micro(previous_since) AS previous_since_us FROM agent_states
"""


@pytest.mark.chaos
def test_killed_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    """Adapters (two on one PBX, one on the other), both enrich and fold workers, that of the agents, sinks, broker, engine and CRM, each killed that many times."""
    rng = random.Random(SEED)
    folder = tmp_path / "centre"
    everybody = 14
    calls = round(RATE * CYCLE_S * KILLS * everybody)
    plan = call_centre.Plan(calls=calls, rate=RATE, seed=SEED, pbxs=("north", "south"), twice=("north",), workers=2)
    centre = call_centre.prepare(folder, plan)
    console = Console(stderr=True)
    with (
        call_centre.simulated(centre),
        running(centre.config, console, longest_wait=0.5) as (settings, supervisor),
    ):
        known = call_centre.load_contacts(centre, settings)
        call_centre.await_contacts(settings, known, CLOCK, supervisor.tend)
        supervisor.start(roles.adapters(settings, centre.config))
        CLOCK.sleep(5.0)
        killed = campaign(supervisor, rng, console.print)
        with RingWatch(settings.kafka, CLOCK) as watch:
            Progress(centre, settings, CLOCK, console).follow(watch, supervisor.tend)
        assert killed == Counter(dict.fromkeys(supervisor.names(), KILLS))
        told = verdict(centre, settings)
    assert told == []


def campaign(supervisor: Supervisor, rng: random.Random, say: Callable[[str], None]) -> Counter[str]:
    """Kill every role `KILLS` times, in a shuffled order; returns how often each was really killed."""
    order = supervisor.names() * KILLS
    rng.shuffle(order)
    killed: Counter[str] = Counter()
    for number, name in enumerate(order, start=1):
        tended(supervisor, rng.uniform(0.3, 2.5))
        pid = back(supervisor, name)
        os.kill(pid, signal.SIGKILL)
        killed[name] += 1
        say(f"{number}/{len(order)} killed {name}")
    for name in supervisor.names():
        back(supervisor, name)
    return killed


def tended(supervisor: Supervisor, seconds: float) -> None:
    end = CLOCK.monotonic() + seconds
    while CLOCK.monotonic() < end:
        supervisor.tend()
        CLOCK.sleep(0.1)


def back(supervisor: Supervisor, name: str) -> int:
    """The pid of a role once it runs; fails when it does not come back."""
    end = CLOCK.monotonic() + RETURN_S
    while CLOCK.monotonic() < end:
        supervisor.tend()
        if pid := supervisor.pid(name):
            return pid
        CLOCK.sleep(0.1)
    pytest.fail(f"{name} did not come back within {RETURN_S} s")


def verdict(centre: call_centre.Centre, settings: Settings) -> list[str]:
    """What is wrong, a line a call or an agent."""
    client = warehouse.connect(settings.clickhouse)
    truth = judge.truths(call_centre.truth_lines(centre))
    calls = list(warehouse.rows(client, "SELECT * FROM calls_latest"))
    gaps = unread(*([Gap(**row) for row in warehouse.rows(client, query)] for query in (_GAPS, _READ)))
    states = list(warehouse.rows(client, _STATES))
    told = wrongs(truth, calls, call_centre.journal(settings), gaps)
    return [*told, *broken(states), *missed(call_centre.break_lines(centre), states, gaps)]
