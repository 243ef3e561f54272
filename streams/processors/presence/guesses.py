"""What a snapshot showed before the live event that told it was read: since when it may be so, and when the state began."""

from typing import NamedTuple

from schemas.events import AgentState
from streams.processors.presence.states import CALLS, Facts

_BY_PHONE = frozenset({*CALLS, "unavailable", "unknown"})
"""States that telephones and channels begin and end."""


class Guess(NamedTuple):
    """A fact that is so since some moment after the one, and not after the other; µs."""

    after: int
    shown: int


def begun(said: AgentState, facts: Facts, since: int) -> int:
    """When a state began that was said to begin with a fact which is now known to be so since another moment.

    That is when the last of the facts came that it rests on. A membership that came during a call began no call.
    """
    moments = [since]
    if said.state in CALLS:
        moments += [leg.at for leg in facts.legs]
    else:
        moments += [member.at for member in facts.memberships]
    if said.state in _BY_PHONE or said.previous in _BY_PHONE:
        moments += [phone.at for phone in facts.phones]
    return max(at for at in moments if at <= max(since, said.since))
