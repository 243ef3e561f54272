"""A call out of its CEL rows: what the live events say outright (who was dialled, by whom, for which queue) is concluded.

CEL tells each channel's life, its bridges, its applications and transfers, to the microsecond; it tells neither ringing
nor hold, and of a queue neither its agents nor why a caller left it.
"""

from collections.abc import Iterator, Sequence
from copy import copy

from streams.processors.folding.calls import Fact, OpenCall
from streams.processors.folding.legs import Leg, age
from streams.processors.folding.sources import APP
from streams.processors.folding.times import Span, talks


def from_cel(part: OpenCall) -> OpenCall:
    """The call with the offers and agents that its legs imply; the legs are the same ones."""
    whole = copy(part)
    told = [fact for fact in part.facts if fact.type != APP]
    spans = talks(part.legs.values(), part.last_at)
    offers = list(_offers(part, spans))
    met = {(fact.leg, fact.queue): fact.ts for fact in offers if fact.type == "agent.connected"}
    whole.facts = [fact for fact in told if fact.type != "queue.left" or (fact.leg, fact.queue) not in met] + offers
    whole.facts += [Fact(ts, 0, "queue.left", leg, "", queue, "", "", {}) for (leg, queue), ts in met.items()]
    return whole


def _offers(part: OpenCall, spans: Sequence[Span]) -> Iterator[Fact]:
    """A leg that does not dial itself was dialled: by whoever of its call ran the application that names it."""
    first = min(part.legs.values(), key=lambda leg: age(leg.id, leg.created_at), default=None)
    apps = sorted(fact for fact in part.facts if fact.type in (APP, "queue.entered"))
    for leg in part.legs.values():
        if leg is first or leg.direction or leg.inferred:
            continue
        app = _dialler(leg, [fact for fact in apps if fact.ts <= leg.created_at and fact.leg != leg.id])
        if app is None:
            continue
        yield Fact(leg.created_at, 0, "dial.started", app.leg, leg.id, "", "", "", {})
        if app.type != APP:
            yield Fact(leg.created_at, 1, "agent.offered", app.leg, leg.id, app.queue, leg.agent, "", {})
            taken = next((span.start for span in spans if leg.id in span.legs and app.leg in span.legs), None)
            if leg.local and leg.answered_at is not None:
                taken = leg.answered_at
            if taken is not None:
                yield Fact(taken, 0, "agent.connected", app.leg, leg.id, app.queue, leg.agent, "", {})


def _dialler(leg: Leg, apps: Sequence[Fact]) -> Fact | None:
    """The last one whose arguments name the device; else the last queue, whose members are not in its arguments."""
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
