"""Which state an agent is in, judged from what queues, telephones and channels say."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.events import AgentLeg, Membership, Phone

CALLS = ("on_call", "hold", "ringing")
"""States of a call, the one that counts first: who talks and is rung besides, talks."""


class Facts(NamedTuple):
    memberships: Iterable[Membership]
    phones: Iterable[Phone]
    legs: Iterable[AgentLeg]
    wrapup: tuple[int, int] | None


class Judgement(NamedTuple):
    state: str
    reason: str = ""
    leg: AgentLeg | None = None
    """The channel that it is about, where one is seen."""


def judge(facts: Facts, ts: int) -> Judgement:
    """The state at a moment (µs): a call, else log-in and pause as the queues have them, else the telephones'."""
    legs = [leg for leg in facts.legs if leg.state != "login"]
    seen = {leg.interface for leg in legs}
    unseen = {phone.state for phone in facts.phones if phone.interface not in seen}
    for state in CALLS:
        those = [leg for leg in legs if leg.state == state]
        if those or state in unseen:
            return Judgement(state, leg=max(those, key=_age) if those else None)
    active = [each for each in facts.memberships if each.active]
    if any(True for _ in facts.memberships) and not active:
        return Judgement("logged_out")
    queues = [each for each in active if each.queue]
    if queues and all(each.paused for each in queues):
        return Judgement("paused", max(queues, key=lambda each: (each.at, each.queue)).reason)
    if unseen == {"unavailable"}:
        return Judgement("unavailable")
    if facts.wrapup is not None and facts.wrapup[1] > ts:
        return Judgement("wrapup")
    # A queue that has logged him in and does not pause him calls him available; a telephone must be known to be so.
    known = "available" in unseen or (bool(active) and not unseen)
    return Judgement("available" if known else "unknown")


def _age(leg: AgentLeg) -> tuple[int, str]:
    return leg.at, leg.leg_id
