"""A call out of its CEL rows: what the live events say outright (who was dialled, by whom, for which queue) is concluded.

CEL tells each channel's life, its bridges, its applications and transfers, to the microsecond; it tells neither ringing
nor hold, and of a queue neither its agents nor why a caller left it.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy

from streams.processors.folding.calls import Fact, OpenCall
from streams.processors.folding.legs import Leg, age
from streams.processors.folding.sources import APP
from streams.processors.folding.times import talks

TOGETHER_US = 200_000
"""Within which the rows of one hang-up are written."""


def from_cel(part: OpenCall) -> OpenCall:
    """The call with the offers and agents that its legs imply; the legs are the same ones."""
    whole = copy(part)
    whole.facts = [*part.facts, *_next_queues(part)]
    offers = list(_offers(whole))
    left = {(fact.leg, fact.queue): fact.ts for fact in offers if fact.type == "agent.connected"}
    told = (fact for fact in whole.facts if fact.type not in (APP, "forward"))
    whole.facts = [_why(part, fact) for fact in told if fact.type != "queue.left" or (fact.leg, fact.queue) not in left]
    whole.facts += offers
    whole.facts += [Fact(ts, 0, "queue.left", leg, "", queue, "", "", {}) for (leg, queue), ts in left.items()]
    return whole


def _why(part: OpenCall, fact: Fact) -> Fact:
    """Who goes on after a queue left it for a reason that CEL does not tell."""
    leg = part.legs.get(fact.leg)
    goes_on = leg is not None and (leg.ended_at is None or leg.ended_at > fact.ts + TOGETHER_US)
    return fact._replace(data={**fact.data, "said": "unknown"}) if fact.type == "queue.left" and goes_on else fact


def _next_queues(part: OpenCall) -> Iterator[Fact]:
    """The queue that put the caller through is another than the one he entered: he had gone on when the agent was rung.

    Of two applications in a row Asterisk may log the first one's beginning and the second one's end only.
    """
    for fact in part.facts:
        queue = fact.data.get("queue", "") if fact.type == APP else ""
        entered = [
            one for one in part.facts if (one.type, one.leg) == ("queue.entered", fact.leg) and one.ts <= fact.ts
        ]
        if not queue or not entered or entered[-1].queue == queue:
            continue
        rung = max(leg.created_at for leg in part.legs.values() if leg.created_at <= fact.ts)
        since = max(rung, entered[-1].ts + 1)
        yield Fact(since, 0, "queue.left", fact.leg, "", entered[-1].queue, "", "", {})
        yield Fact(since, 1, "queue.entered", fact.leg, "", queue, "", "", {})


def _offers(part: OpenCall) -> Iterator[Fact]:
    """A leg that does not dial itself was dialled: by whoever of its call ran the application that names it."""
    first = min(part.legs.values(), key=lambda leg: age(leg.id, leg.created_at), default=None)
    apps = sorted(fact for fact in part.facts if fact.type in (APP, "queue.entered"))
    spans = talks(part.legs.values(), part.last_at)
    dialled: dict[str, Fact] = {}
    for leg in part.legs.values():
        if leg is first or leg.direction or leg.inferred or leg.channel.endswith(";2"):
            continue
        busy = {name for span in spans if span.start <= leg.created_at < span.end for name in span.legs}
        before = [fact for fact in apps if fact.ts <= leg.created_at and fact.leg != leg.id]
        app = _dialler(leg, [fact for fact in before if fact.type == APP or fact.leg not in busy])
        if app is not None:
            dialled[leg.id] = app
            yield from _dial(part, leg, app)
        elif not leg.local:  # for whom a caller who was transferred dialled, no application tells
            yield Fact(leg.created_at, 0, "dial.started", "", leg.id, "", "", "", {})
    for name, app in dialled.items():
        if app.type != APP:
            phone = _behind(part, part.legs[name], dialled)
            agent = phone.agent or phone.endpoint
            yield Fact(part.legs[name].created_at, 1, "agent.offered", app.leg, name, app.queue, agent, "", {})
            taken = next((span.start for span in spans if {phone.id, app.leg} <= span.legs), None)
            if taken is not None:
                yield Fact(taken, 0, "agent.connected", app.leg, name, app.queue, agent, "", {})


def _dial(part: OpenCall, leg: Leg, app: Fact) -> Iterator[Fact]:
    outside = app.data.get("outside", "")
    yield Fact(leg.created_at, 0, "dial.started", app.leg, leg.id, "", "", "", {"outside": outside} if outside else {})
    end = leg.ended_at or part.last_at
    sent_on = [one for one in part.facts if one.type == "forward" and leg.created_at <= one.ts <= end + TOGETHER_US]
    if sent_on and leg.answered_at is None and not leg.local:
        data = {"status": "CANCEL", "forward": sent_on[0].data.get("forward", "")}
        yield Fact(end, 2, "dial.ended", app.leg, leg.id, "", "", "", data)


def _behind(part: OpenCall, leg: Leg, dialled: Mapping[str, Fact]) -> Leg:
    """The telephone that a Local channel leads to: dialled by its other half."""
    if not leg.local:
        return leg
    halves = {half.id for half in part.legs.values() if half.local == leg.local}
    phones = [part.legs[name] for name, app in dialled.items() if app.leg in halves]
    return max(phones, key=lambda phone: phone.answered_at or 0, default=leg)


def _dialler(leg: Leg, apps: Sequence[Fact]) -> Fact | None:
    """The last one whose arguments name the device; else the last queue, whose members are not in its arguments.

    A queue rings nobody for a caller who talks already.
    """
    device = leg.channel.rpartition("-")[0]
    named = [app for app in apps if app.type == APP and _names(app.data.get("appdata", ""), device)]
    queues = [app for app in apps if app.type != APP]
    found = named or queues
    return found[-1] if found else None


def _names(arguments: str, device: str) -> bool:
    """Whether Dial's first argument has the device: `PJSIP/201&PJSIP/202,20,tT`, `PJSIP/0470123416@trunk,10`."""
    technology, _, name = device.partition("/")
    for target in arguments.partition(",")[0].split("&"):
        way, _, rest = target.strip('"').partition("/")
        number, _, at = rest.partition("@")
        if way == technology and name in (rest, number, at, rest.partition("/")[0]):
            return True
    return False
