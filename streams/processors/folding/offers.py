"""What the facts between the legs say, in the order of their time: who was offered the call, and queue visits."""

from dataclasses import dataclass, field
from operator import itemgetter

from streams.processors.folding.calls import Fact, OpenCall
from streams.processors.folding.legs import Leg


@dataclass(slots=True, eq=False)
class Offer:
    """A leg that was dialled, or an agent whom a queue tried."""

    leg: str
    caller: str
    at: int
    queue: str = ""
    agent: str = ""
    status: str = ""
    """DialStatus of its end."""
    status_at: int | None = None
    told: str = ""
    """no_answer or declined, when the queue said so; cancelled, when somebody picked the call up."""
    taken: bool = False
    by: str = ""
    outside: str = ""
    """E.164 of who is dialled, where the PBX itself was told to make the leg: it has no caller."""


@dataclass(slots=True, eq=False)
class Visit:
    """One stay in a queue."""

    leg: str
    queue: str
    entered_at: int
    position: int | None = None
    left_at: int | None = None
    hint: str = ""
    said: str = ""
    """Why the caller left, in queue_log's own words."""
    agent: str = ""


@dataclass(slots=True, eq=False)
class Story:
    offers: dict[str, Offer] = field(default_factory=dict)
    """By leg; an agent without a leg of his own stands under queue and name."""
    visits: list[Visit] = field(default_factory=list)
    rest: list[Fact] = field(default_factory=list)
    """Transfers, recordings, voicemail and the like, in order."""


def tell(call: OpenCall) -> Story:
    """The call's facts as offers and visits."""
    story = Story()
    before = _NOTHING
    for fact in sorted(call.facts, key=itemgetter(0, 1)):
        if fact.ts == before.ts and fact[2:] == before[2:]:
            continue  # one frame that came twice
        before = fact
        subject, _, verb = fact.type.partition(".")
        if subject == "dial":
            _dial(story, fact, started=verb == "started")
            if fact.data.get("forward"):
                story.rest.append(fact._replace(type="forward"))
        elif subject == "agent":
            _agent(story, fact, verb)
        elif subject == "queue":
            _queue(call, story, fact, verb)
        else:
            story.rest.append(fact)
    _pick_up(call, story)
    _fold_local(call, story)
    return story


_NOTHING = Fact(0, 0, "", "", "", "", "", "", {})


def _dial(story: Story, fact: Fact, *, started: bool) -> None:
    offer = story.offers.get(fact.peer)
    if offer is None and not fact.peer:  # Asterisk up to 11 says of a Dial's end only who dialled
        offer = next((o for o in reversed(story.offers.values()) if o.caller == fact.leg and not o.status), None)
    if offer is None:
        offer = story.offers[fact.peer] = Offer(fact.peer, fact.leg, fact.ts)
    offer.caller = offer.caller or fact.leg
    offer.outside = offer.outside or fact.data.get("outside", "")
    if started:
        offer.at = min(offer.at, fact.ts)
    elif not offer.status:  # a queue's member who let it ring out is told NOANSWER, and then CANCEL
        offer.status, offer.status_at = fact.data.get("status", ""), fact.ts


def _agent(story: Story, fact: Fact, verb: str) -> None:
    offer = _offer_of(story, fact)
    if offer is None:
        key = fact.peer or f"{fact.queue} {fact.agent}"
        offer = story.offers[key] = Offer(fact.peer, fact.leg, fact.ts)
    offer.queue, offer.agent = fact.queue or offer.queue, fact.agent or offer.agent
    if verb == "connected":
        offer.taken = True
        for visit in reversed(story.visits):
            if visit.queue == fact.queue and fact.leg in ("", visit.leg):
                visit.agent = fact.agent
                break
    elif verb == "completed":
        offer.by = fact.by
    elif verb == "ring_no_answer":
        offer.told = "no_answer"
    elif verb == "declined":
        offer.told = "declined"


def _offer_of(story: Story, fact: Fact) -> Offer | None:
    """By the agent's leg; else by (queue, agent), for AgentComplete may name another leg than AgentConnect, or none."""
    found = story.offers.get(fact.peer) if fact.peer else None
    if found is None and fact.type not in ("agent.offered", "agent.connected"):
        for offer in reversed(story.offers.values()):
            if offer.queue == fact.queue and offer.agent == fact.agent:
                return offer
    return found


def _queue(call: OpenCall, story: Story, fact: Fact, verb: str) -> None:
    if verb == "entered":
        position = fact.data.get("position", "")
        story.visits.append(Visit(fact.leg, fact.queue, fact.ts, int(position) if position.isdecimal() else None))
        return
    if verb == "left" and fact.data.get("joined") == "0":
        leg = call.legs.get(fact.leg)
        queue = fact.queue or (leg.queue if leg is not None else "")
        story.visits.append(Visit(fact.leg, queue, fact.ts, left_at=fact.ts, hint=fact.data["reason"]))
        return
    for visit in reversed(story.visits):
        if fact.queue in ("", visit.queue) and fact.leg in ("", visit.leg):
            if verb == "left":
                visit.hint = fact.data.get("reason", "") or visit.hint
                visit.said = fact.data.get("said", "") or visit.said
                visit.left_at = fact.ts if visit.left_at is None else visit.left_at
            return
    if verb == "position":  # seen in a snapshot: it came while nobody was listening
        waited = fact.data.get("wait_s", "")
        since = fact.ts - int(waited) * 1_000_000 if waited.isdecimal() else fact.ts
        story.visits.append(Visit(fact.leg, fact.queue, since))


def _pick_up(call: OpenCall, story: Story) -> None:
    """Who rang did not answer, and who took the call from him is himself, also where the queue takes him for its member."""
    for fact in story.rest:
        if fact.type != "pickup":
            continue
        rang, took, picker = story.offers.get(fact.peer), story.offers.get(fact.leg), call.legs.get(fact.leg)
        if rang is not None:
            rang.told = "cancelled"
        if took is None or picker is None or not took.taken:
            continue
        for visit in story.visits:
            if (visit.queue, visit.agent) == (took.queue, took.agent):
                visit.agent = picker.agent or picker.endpoint
        took.agent = picker.agent or picker.endpoint


def _fold_local(call: OpenCall, story: Story) -> None:
    """A member behind a Local channel is one offer: the queue rings the ;1 half, the ;2 half dials the telephone."""
    halves: dict[str, list[Leg]] = {}
    for leg in call.legs.values():
        if leg.local:
            halves.setdefault(leg.local, []).append(leg)
    if not halves:
        return
    for key, offer in list(story.offers.items()):
        outer = call.legs.get(offer.leg)
        if outer is None or not outer.local:
            continue
        others = {half.id for half in halves[outer.local]} - {outer.id}
        phones = [inner for inner in story.offers.values() if inner.caller in others]
        for phone in phones:
            phone.caller, phone.at = offer.caller or phone.caller, min(phone.at, offer.at)
            phone.queue, phone.agent = offer.queue or phone.queue, offer.agent or phone.agent
            phone.told, phone.taken = offer.told or phone.told, offer.taken or phone.taken
            phone.by = offer.by or phone.by
        if phones:
            del story.offers[key]
