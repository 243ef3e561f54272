"""Agents' states of recorded calls of a real Asterisk: telephones, members behind Local channels, transfers, log-ins."""

from pathlib import Path

import pytest

from schemas import codec
from schemas.events import AgentState, EnrichedCallEvent
from tests.contracts.adapter_laws import outcome
from tests.streams.processors.folding.script import MICRO
from tests.streams.processors.presence.shift import feed, task, whole

RECORDINGS = Path(__file__).parents[2] / "producers" / "pbx" / "asterisk_ami"


def said(case: str, **rules: float) -> tuple[int, list[AgentState]]:
    """When the recording begins, µs, and every record."""
    events, _ = outcome("asterisk_ami", RECORDINGS / case)
    known = [EnrichedCallEvent(**codec.as_row(each)) for each in events]
    found = feed(task(**rules), known)
    whole(found)
    return known[0].ts, found


@pytest.mark.parametrize(
    ("case", "agent", "states"),
    [
        ("hold", "201", [("ringing", 0.0), ("on_call", 1.0), ("hold", 2.0), ("on_call", 4.0), ("available", 5.0)]),
        ("queue_answered_by_second_agent", "201", [("ringing", 0.0), ("available", 2.0)]),
        ("queue_answered_by_second_agent", "202", [("ringing", 3.0), ("on_call", 4.0), ("available", 6.0)]),
        ("queue_first_agent_declines", "201", [("ringing", 0.0), ("available", 0.3)]),
        ("queue_ringall_local", "204", [("ringing", 0.0), ("available", 1.0)]),
        ("queue_ringall_local", "205", [("ringing", 0.0), ("on_call", 1.0), ("available", 3.0)]),
        ("outbound_answered", "201", [("on_call", 0.0), ("available", 3.0)]),
        ("voicemail", "203", [("ringing", 0.0), ("available", 3.0)]),
        ("blind_transfer", "201", [("ringing", 0.0), ("on_call", 1.0), ("available", 3.0)]),
        ("blind_transfer", "202", [("ringing", 3.0), ("on_call", 4.0), ("available", 6.1)]),
    ],
)
def test_the_states_of_a_recorded_call(case: str, agent: str, states: list[tuple[str, float]]) -> None:
    """As its truth has them: when a telephone rang, when it was picked up, when it was free again."""
    start, found = said(case)
    mine = [(one.state, one.since) for one in found if (one.agent_id, one.rev) == (agent, 1)]
    assert [state for state, _ in mine] == [state for state, _ in states]
    assert [(since - start) / MICRO for _, since in mine] == pytest.approx([at for _, at in states], abs=0.06)


def test_who_consults_before_a_transfer_is_on_a_call() -> None:
    """`*2` puts the customer on hold and never takes it back: the agent talks to the second one."""
    _, found = said("attended_transfer")
    mine = [one.state for one in found if (one.agent_id, one.rev) == ("201", 1)]
    assert mine == ["ringing", "on_call", "hold", "on_call", "available"]


def test_wrap_up_after_a_recorded_call() -> None:
    """It begins when the telephone is free, and its end counts from when the queue closed its account."""
    _, found = said("queue_answered_by_second_agent", wrapup_seconds=20)
    last = found[-1]
    assert (last.agent_id, last.state, last.queue, last.estimated) == ("202", "wrapup", "support", True)
    assert last.wrapup_until is not None
    assert 0 <= last.since + 20 * MICRO - last.wrapup_until < MICRO


def test_agents_that_are_queue_members_by_another_name() -> None:
    """A log-in by a dialplan of old: the member's name is the agent's, the interface a Local channel."""
    _, found = said("agent_login_panoramisk")
    assert [(one.agent_id, one.state, one.interface, one.queues) for one in found if one.rev == 1][:2] == [
        ("401", "available", "SIP/hhhhh", ("general_queue",)),
        ("402", "on_call", "SIP/999999", ("general_queue",)),
    ]
