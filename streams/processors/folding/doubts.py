"""What cannot be: signs, in what was told of a call, that something of it was not told.

AMI numbers nothing, so an event that a full buffer swallowed leaves no hole of its own. It leaves a contradiction: who
leaves a bridge had entered it, what ends had begun, who talks was called by somebody. Each rule names one, and does not
fire on what a real Asterisk sends when nothing is missing. What no rule can find: a message that was left, when its only
sign is lost; a caller who hangs up on a machine; why a queue was left, when no agent took the call.
"""

from collections.abc import Sequence
from itertools import pairwise

from streams.processors.folding.calls import OpenCall
from streams.processors.folding.legs import Leg
from streams.processors.folding.offers import Offer, Story, Visit
from streams.processors.folding.parties import Parties
from streams.processors.folding.segments import Talk
from streams.processors.folding.times import Span, paired

FLAG = "incomplete"
_TOGETHER = 1_000_000
"""µs within which what belongs together is told."""
_ONE_HANGUP = 200_000
"""µs within which the events of one hang-up arrive."""
_PASSED_ON = frozenset({"transfer", "park", "pickup", "forward", "conference"})
"""Facts that say how somebody else came to talk."""


def incomplete(call: OpenCall, story: Story, parties: Parties, talk: Talk, by: str) -> bool:
    """Whether something must have happened to this call that was not told. It is over, and `by` hung up."""
    return (
        _left_unentered(call)
        or _alone(call, story)
        or _half_dialled(call)
        or _unannounced(call, story, parties, talk)
        or _queue_half_told(call, story)
        or (by == "system" and _nobody_ended(call, story, talk))
        or _passed_on_unsaid(call, story, parties, talk)
        or _hold_half_told(call, talk)
    )


def _left_unentered(call: OpenCall) -> bool:
    """A leg left a bridge that it was not in. Where nobody talks, entering reads like leaving: twice is right."""
    for leg in call.legs.values():
        inside: set[str] = set()
        odd: set[str] = set()
        before = 0
        for at, _, bridge, joined in sorted(leg.stays):
            if joined:
                inside.add(bridge)
            elif bridge in inside:
                inside.discard(bridge)
            elif bridge and at != before:  # not one frame that came twice
                odd ^= {bridge}
            before = at
        if odd:
            return True
    return False


def _alone(call: OpenCall, story: Story) -> bool:
    """A leg was in a talk bridge into which nobody else ever came. (A conference may wait for its second member.)"""
    came: dict[str, set[str]] = {}
    for leg in call.legs.values():
        for stay in leg.stays:
            if stay.joined:
                came.setdefault(stay.bridge, set()).add(leg.id)
    alone = any(len(legs) == 1 for legs in came.values())
    return alone and not any(fact.type.startswith("conference.") for fact in story.rest)


def _half_dialled(call: OpenCall) -> bool:
    """A leg's dial ended that had not begun, or began and did not end.

    Of the PBX's own only the end may be told; and what a pickup ends is the dial of whoever took the call.
    """
    swapped = {leg for fact in call.facts if fact.type == "pickup" for leg in (fact.leg, fact.peer)}
    open_: set[str] = set()
    ended: set[str] = set()
    dialled = {fact.peer: fact.leg for fact in call.facts if fact.type == "dial.started"}
    for fact in call.facts:
        if fact.leg and fact.type == "dial.started":
            open_.add(fact.peer)
        elif fact.leg and fact.type == "dial.ended":
            ended |= {fact.peer} if fact.peer else {peer for peer, leg in dialled.items() if leg == fact.leg}
    return not (open_ ^ ended) <= swapped


def _unannounced(call: OpenCall, story: Story, parties: Parties, talk: Talk) -> bool:
    """Somebody talked and had not answered, or a leg came to be that did not call by itself and that nobody called."""
    if any(call.legs[name].answered_at is None for span in talk.spans for name in span.legs):
        return True
    return any(
        leg.id not in story.offers and not leg.direction and not leg.local and leg is not parties.first
        for leg in call.legs.values()
    )


def _queue_half_told(call: OpenCall, story: Story) -> bool:
    """A queue was left, or gave the caller to an agent, that was never entered; or the like the other way round."""
    entered = {(visit.leg, visit.queue) for visit in story.visits}
    if any(
        fact.leg and fact.queue and (fact.leg, fact.queue) not in entered
        for fact in call.facts
        if fact.type == "queue.left" or fact.type.startswith("agent.")
    ):
        return True
    if any(_visit_open(visit, call.legs.get(visit.leg)) for visit in story.visits):
        return True
    return any(_offer_half_told(call, offer, story.visits) for offer in story.offers.values())


def _visit_open(visit: Visit, leg: Leg | None) -> bool:
    """It never ended; or it ended by *abandon* and by the caller's end at once, and yet the caller did not hang up."""
    if leg is None:
        return True
    if visit.left_at is None:
        return True
    unasked = leg.asked_at is None and leg.ended_at is not None and leg.ended_at - visit.left_at < _ONE_HANGUP
    return visit.hint == "abandoned" and unasked


def _offer_half_told(call: OpenCall, offer: Offer, visits: Sequence[Visit]) -> bool:
    """A member answered and was not connected, or one was rung for a waiting caller and the queue did not say so."""
    leg = call.legs.get(offer.leg)
    if offer.queue:
        return leg is not None and leg.answered_at is not None and not offer.taken
    return any(
        visit.leg == offer.caller and visit.left_at is not None and visit.entered_at < offer.at < visit.left_at
        for visit in visits
    )


def _nobody_ended(call: OpenCall, story: Story, talk: Talk) -> bool:
    """A talk ended, nobody asked for it or passed it on, and the PBX had not told anybody to go before."""
    if not talk.with_customer:
        return False
    last = talk.with_customer[-1]
    passed_on = [fact.ts for fact in story.rest if fact.type.partition(".")[0] in _PASSED_ON]
    if any(abs(at - last.end) <= min(_TOGETHER, abs(at - last.start)) for at in passed_on):
        return False
    return not any(
        leg.dropped_at is not None and leg.dropped_at <= last.end for leg in call.legs.values() if leg.id in last.legs
    )


def _passed_on_unsaid(call: OpenCall, story: Story, parties: Parties, talk: Talk) -> bool:
    """Behind a talk the caller talked with, or was put through to, somebody else, and nothing says how."""
    said = [fact.ts for fact in story.rest if fact.type.partition(".")[0] in _PASSED_ON]
    if not said and any(offer.by == "transfer" for offer in story.offers.values()):
        return True
    anchor = talk.customer or (parties.first.id if parties.first is not None else "")
    met: set[str] = set()
    began = 0
    for span in talk.with_customer:
        new = span.legs - met - {anchor}
        if met and new and not _said(said, began, span.start) and _unasked(call, met, new, talk.spans):
            return True
        if new:
            began = span.start
        met |= span.legs - {anchor}
    if not met:
        return False
    first = talk.with_customer[0]
    return any(
        offer.caller == anchor and offer.at > first.end and not _said(said, first.start, offer.at)
        and _unasked(call, met, {offer.leg}, talk.spans)
        for offer in story.offers.values()
    )  # fmt: skip


def _said(said: Sequence[int], since: int, until: int) -> bool:
    return any(since <= at <= until + _TOGETHER for at in said)


def _unasked(call: OpenCall, met: set[str], new: set[str] | frozenset[str], spans: Sequence[Span]) -> bool:
    """Whether it was no mere next step of the dialplan: who was met before did not hang up, or had asked the new one."""
    if all(call.legs[name].asked_at is None for name in met if name in call.legs):
        return True
    return any(span.legs & met and span.legs & new for span in spans)


def _hold_half_told(call: OpenCall, talk: Talk) -> bool:
    """Music stopped that had not begun, or played on into a talk; or a hold and its music did not end together."""
    music: list[tuple[Leg, int, int | None]] = []
    holds: list[tuple[Leg, int, int | None]] = []
    for leg in call.legs.values():
        if leg.music:
            switches = [on for _, on in sorted(set(leg.music))]
            if not switches[0] or any(not one and not two for one, two in pairwise(switches)):
                return True
            music += [(leg, *pair) for pair in paired(leg.music)]
        holds += [(leg, *pair) for pair in paired(leg.holds)]
    if any(end is None and leg.id in span.legs and span.start > at for leg, at, end in music for span in talk.spans):
        return True
    return any(
        one is not other and abs(start - since) < _TOGETHER and _goes_on(one, end, until) | _goes_on(other, until, end)
        for one, start, end in holds
        for other, since, until in music
    )


def _goes_on(leg: Leg, end: int | None, other: int | None) -> bool:
    """Whether it did not end, though its counterpart did and the leg lived on in its bridge."""
    if end is not None or other is None:
        return False
    left = min((stay.ts for stay in leg.stays if stay.ts > other), default=leg.ended_at)
    return left is not None and left - other > _TOGETHER
