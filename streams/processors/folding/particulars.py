"""What else the record says of a call: how it began, over which line, who parked it, forwarded it, took it."""

from collections.abc import Iterator, Mapping

from streams.processors.folding.calls import Fact, OpenCall, Row
from streams.processors.folding.legs import Leg
from streams.processors.folding.offers import Story
from streams.processors.folding.parties import Parties, ordered
from streams.processors.folding.times import lasted, merged, seconds

MICRO = 1_000_000


def particulars(call: OpenCall, story: Story, parties: Parties) -> Row:
    """The last fields of Call."""
    customer = parties.customer or (parties.first if parties.direction == "internal" else None)
    parked = parks(call, story)
    known = customer is not None and not customer.live
    return {
        "initiation": _initiation(call, story, parties),
        "trunk": parties.customer.endpoint if parties.customer is not None else "",
        "answered_at": customer.answered_at if customer is not None and known else None,
        "billable_s": _billable(customer) if call.over and customer is not None and known else None,
        "hangup_code": customer.code if call.over and customer is not None else "",
        "conference": _conference(story),
        "parks": parked,
        "parked_s": _parked(parked) if call.over else None,
        "diversions": list(diversions(call, story)),
        "attributes": _attributes(story),
    }


def _initiation(call: OpenCall, story: Story, parties: Parties) -> str:
    first = parties.first
    if first is None:
        return ""
    if ordered(call, story, first) is not None:
        return "originated"
    if not first.direction:
        return ""
    return "incoming" if first.direction == "inbound" else "dialled"


def _billable(leg: Leg) -> float | None:
    return 0.0 if leg.answered_at is None else lasted(leg.answered_at, leg.ended_at)


def _conference(story: Story) -> str:
    return next((fact.data.get("conference", "") for fact in story.rest if fact.type == "conference.joined"), "")


def _attributes(story: Story) -> Mapping[str, str]:
    told: dict[str, str] = {}
    for fact in story.rest:
        if fact.type == "ivr.entered":
            told |= {key: value for key, value in fact.data.items() if key != "userevent"}
    return told


def parks(call: OpenCall, story: Story) -> list[Row]:
    """Rows of Park. Of one whose beginning was not seen the end tells how long it was; it ends with its leg at the latest."""
    rows: list[Row] = []
    for fact in story.rest:
        if fact.type == "park.started":
            rows.append(_park(call, fact, fact.ts))
        elif fact.type == "park.ended":
            row = next((row for row in rows if row["leg_id"] == fact.leg and row["ended_at"] is None), None)
            if row is None:
                parked = fact.data.get("parked_s", "")
                row = _park(call, fact, fact.ts - (int(parked) * MICRO if parked.isdecimal() else 0))
                rows.append(row)
            row["ended_at"], row["result"] = fact.ts, fact.data.get("reason", "")
            row["retrieved_by"] = _name(call, fact.peer) if row["result"] == "retrieved" else ""
    for row in rows:
        leg = call.legs.get(row["leg_id"])
        if row["ended_at"] is None and leg is not None and leg.ended_at is not None:
            row["ended_at"], row["result"] = leg.ended_at, "abandoned"
    return rows


def _park(call: OpenCall, fact: Fact, started_at: int) -> Row:
    return {
        "leg_id": fact.leg,
        "lot": fact.data.get("lot", ""),
        "space": fact.data.get("space", ""),
        "by": _parker(call, fact.data.get("parker", "")),
        "started_at": started_at,
        "ended_at": None,
        "result": "",
        "retrieved_by": "",
    }


def _parker(call: OpenCall, dial_string: str) -> str:
    """Whose telephone `PJSIP/201` is: a leg of the call knows, or it is the device's name."""
    device = dial_string.rpartition("/")[2].partition("@")[0]
    return next((leg.agent for leg in call.legs.values() if leg.agent and leg.endpoint == device), device)


def _parked(rows: list[Row]) -> float | None:
    ends = [row["ended_at"] for row in rows]
    return None if None in ends else seconds(merged((row["started_at"], row["ended_at"]) for row in rows))


def diversions(call: OpenCall, story: Story) -> Iterator[Row]:
    """Rows of Diversion: telephones that sent the call on (302), and who took it from another telephone."""
    for fact in story.rest:
        if fact.type == "pickup":
            yield _diversion("pickup", _offered(call, story, fact.peer), _name(call, fact.leg), fact.ts)
        elif fact.type == "forward":
            yield _diversion("forward", _name(call, fact.peer), fact.data.get("forward", ""), fact.ts)


def _diversion(kind: str, of: str, to: str, at: int) -> Row:
    return {"kind": kind, "of": of, "to": to, "at": at}


def _offered(call: OpenCall, story: Story, leg_id: str) -> str:
    """Whom that leg was dialled for: in a pickup it becomes the telephone of whoever took the call."""
    offer = story.offers.get(leg_id)
    return offer.agent if offer is not None and offer.agent else _name(call, leg_id)


def _name(call: OpenCall, leg_id: str) -> str:
    leg = call.legs.get(leg_id)
    return "" if leg is None else leg.agent or leg.endpoint or leg.number
