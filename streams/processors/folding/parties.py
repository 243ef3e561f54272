"""Who is who in a call: the first channel decides its direction, and one leg is the customer's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from streams.processors.folding.calls import OpenCall
from streams.processors.folding.legs import Leg, age
from streams.processors.folding.offers import Offer, Story


@dataclass(frozen=True, slots=True)
class Parties:
    first: Leg | None
    """The channel that the call began with."""
    customer: Leg | None
    """The leg that the customer is behind; None when the call is internal or has not reached the customer yet."""
    direction: str
    number: str
    """The customer's number in E.164, or "" when hidden, internal or unknown."""
    dialled: Mapping[str, str] = field(default_factory=dict)
    """By leg: the number outside that was dialled to reach it."""

    def outside(self, leg: Leg) -> bool:
        """Whether somebody who is not of the house is behind the leg."""
        return leg is self.customer or leg.external or (leg.id in self.dialled and not leg.agent)


def ordered(call: OpenCall, story: Story, first: Leg) -> Offer | None:
    """The dial of the first leg where the PBX was told to make it: nobody is its caller, or a Local channel is."""
    offer = story.offers.get(first.id)
    if offer is None:
        return None
    caller = call.legs.get(offer.caller)
    return offer if not offer.caller or (caller is not None and caller.local) else None


def cast(call: OpenCall, story: Story) -> Parties:
    """Who began the call, who the customer is, and who else is outside."""
    dialled = {offer.leg: offer.outside for offer in story.offers.values() if offer.outside}
    return replace(_cast(call, story), dialled=dialled)


def _cast(call: OpenCall, story: Story) -> Parties:
    people = [leg for leg in call.legs.values() if not leg.local] or list(call.legs.values())
    if not people:
        return Parties(None, None, "", "")
    first = min(people, key=lambda leg: (age(leg.id, leg.created_at), leg.created_at))
    order = ordered(call, story, first)
    if order is not None and (order.outside or first.external):
        return Parties(first, first, "outbound", order.outside or first.customer)  # the customer was called first
    direction = first.direction or _direction(call, first, story)
    if direction == "inbound":
        return Parties(first, first, direction, "" if first.hidden else first.customer)
    if direction == "internal":
        return Parties(first, None, direction, "")
    reached = _reached(call, first, story)
    number = first.customer or (reached.customer if reached is not None else "")
    return Parties(first, reached, direction, number)


def _direction(call: OpenCall, first: Leg, story: Story) -> str:
    """For a first channel that does not tell (click-to-call, or one first seen in a snapshot)."""
    if first.external:
        return "inbound"
    if any(offer.leg in call.legs and call.legs[offer.leg].external for offer in story.offers.values()):
        return "outbound"
    others = [leg for leg in call.legs.values() if leg is not first and not leg.local]
    if first.agent and others:
        return "outbound" if any(leg.external for leg in others) else "internal"
    if others and all(_of_house(leg) for leg in (first, *others)):
        return "internal"
    return ""


def _of_house(leg: Leg) -> bool:
    """Its number is known, and it is none that has a form outside."""
    return leg.number != "" and not (leg.e164 or leg.customer or leg.hidden)


def _reached(call: OpenCall, first: Leg, story: Story) -> Leg | None:
    """The customer's leg of an outbound call: the one dialled that answered, else the last one dialled."""
    dialled = [call.legs[offer.leg] for offer in story.offers.values() if _to_customer(call, first, offer)]
    if not dialled:
        return next((leg for leg in call.legs.values() if leg.external and leg is not first), None)
    return next((leg for leg in dialled if leg.answered_at is not None), dialled[-1])


def _to_customer(call: OpenCall, first: Leg, offer: Offer) -> bool:
    leg = call.legs.get(offer.leg)
    if leg is None or leg.local or leg is first:
        return False
    return leg.external or (first.customer != "" and offer.caller == first.id and not leg.agent)
