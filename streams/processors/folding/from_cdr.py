"""A call out of its CDRs, for where nothing better tells of it.

A CDR is one pair of parties: who called (`channel`), who was called (`dstchannel`), from when to when, and since when
it was answered. Its seconds are whole. A caller in a queue has been answered by the queue, so when an agent took the
call only queue_log knows (apps/app_queue.c). It knows of no hold, and not when a telephone rang.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import NamedTuple

from streams.processors.folding.calls import Fact, OpenCall, Row
from streams.processors.folding.legs import Leg, Stay, age
from streams.processors.folding.sources import moment, span

SECOND = 1_000_000
_STATUS = {
    "ANSWERED": "ANSWER",
    "NO ANSWER": "NOANSWER",
    "BUSY": "BUSY",
    "FAILED": "CHANUNAVAIL",
    "CONGESTION": "CONGESTION",
    "CANCEL": "CANCEL",
}


class Pair(NamedTuple):
    """One CDR with two parties: their legs, when it went, and since when they talked."""

    caller: str
    callee: str
    start: int
    end: int
    talk: int | None
    status: str
    """DialStatus that its disposition is."""
    queue: str
    """Whose agent was called, or ""."""
    rough: bool
    """The queue had answered the caller: when the agent did is not in it."""
    undated: bool
    """The caller's first row begins with his channel, not with the call to the other party."""
    outside: str = ""
    """The number in E.164 that was dialled to reach somebody who is not of the house."""


class Rows(NamedTuple):
    """A call as its CDRs tell it."""

    call: OpenCall
    rough: set[str]
    """Legs of agents whose answer is not dated."""
    undated: set[str]
    """Legs of which is not known when they were called."""


def from_cdr(call: OpenCall, rows: Iterable[Row], lines: Sequence[Row], ids: Mapping[str, str]) -> Rows:
    """The legs and dials that the rows imply, in a call of their own.

    `ids`: legs by channel, as better sources know them; `lines`: of queue_log.
    """
    ordered = sorted(rows, key=_order)
    ids = {row["channel"]: row["leg_id"] for row in ordered} | dict(ids)
    part = copy(call)
    part.legs, part.facts = {}, []
    found = [pair for row in ordered if (pair := _pair(part, row, lines, ids)) is not None]
    pairs = _dated(part, _one_by_one(part, [_through(part, pair, found) for pair in found]))
    for pair in pairs:
        part.facts += _dial(part, pair, pairs)
        if pair.talk is not None:
            leg = part.legs[pair.callee]
            leg.answered_at = min(pair.talk, leg.answered_at or pair.talk)
    _talks(part, pairs)
    part.open_legs = 0
    part.last_at = max((leg.last_at for leg in part.legs.values()), default=0)
    later = {pair.callee for pair in pairs if not pair.undated}
    return Rows(part, {pair.callee for pair in pairs if pair.rough}, {pair.callee for pair in pairs} - later)


def _order(row: Row) -> tuple[int, int, int, bytes]:
    sequence = row["data"].get("sequence", "")
    return span(row)[0], int(sequence) if sequence.isdecimal() else 0, row["ts"], row["event_id"]


def _caller(part: OpenCall, row: Row, ids: Mapping[str, str]) -> Leg:
    start, end = span(row)
    leg_id = ids.get(row["channel"], row["leg_id"])
    leg = part.legs.get(leg_id)
    if leg is None:
        leg = _leg(part, leg_id, row["channel"], start, end)
    if _met(row) and not leg.direction:
        leg.created_at = start  # the pair that it was met in before began with the other one
    if not leg.direction and not leg.local:
        leg.direction = row["direction"] or _direction(row)
    if not leg.number:
        leg.number, leg.e164, leg.name = row["caller_raw"], row["caller_e164"], row["caller_name"]
        leg.customer, leg.agent = row["customer_number"], row["agent"]
        leg.hidden = row["data"].get("hidden") == "1"
        leg.closed = row["data"].get("closed") == "1"
        if leg.direction == "outbound":  # the number is the one that is shown outside
            leg.number = leg.agent or leg.endpoint or leg.number
    if not leg.dialled and leg.direction != "inbound":  # there it is a step of the dialplan, hardly ever the DID
        leg.dialled, leg.dialled_e164 = row["callee_raw"], row["callee_e164"]
    leg.did = leg.did or row["did"]
    since = moment(row, "answer_us")
    if since is not None and (row["data"].get("disposition") == "ANSWERED" or _queued(row)):
        leg.answered_at = min(since, leg.answered_at or since)
    _stretch(leg, start, end)
    return leg


def _pair(part: OpenCall, row: Row, lines: Sequence[Row], ids: Mapping[str, str]) -> Pair | None:
    data, (start, end) = row["data"], span(row)
    first = ids.get(row["channel"], row["leg_id"]) not in part.legs
    caller = _caller(part, row, ids)
    if data.get("lastapp", "").lower() == "voicemail":
        _voicemail(part, caller, row)
    channel = data.get("dstchannel", "")
    if not channel:
        return None
    leg_id = ids.get(channel) or f"{row['pbx']}:{channel}"
    leg = part.legs.get(leg_id)
    if leg is None:
        leg = _leg(part, leg_id, channel, start + 1, end)  # the caller was there before
        leg.agent = data.get("dst_agent", "")
        leg.customer = row["customer_number"]
        if caller.direction == "outbound":
            leg.number, leg.e164 = row["callee_raw"], row["callee_e164"]
        else:
            leg.number = leg.agent or leg.endpoint
    _stretch(leg, leg.created_at, end)
    talk = moment(row, "answer_us") if data.get("disposition") == "ANSWERED" else None
    taken = _taken(caller.id, start, end, lines) if talk is not None and _queued(row) else None
    return Pair(
        caller=caller.id,
        callee=leg_id,
        start=start,
        end=end,
        talk=talk if taken is None else taken,
        status=_STATUS.get(data.get("disposition", ""), ""),
        queue=data.get("lastdata", "").partition(",")[0] if _queued(row) else "",
        rough=talk is not None and taken is None and (_queued(row) or _met(row)),
        undated=first and not caller.local and _with_channel(caller.id, start),
        outside=data.get("outside", ""),
    )


def _with_channel(leg_id: str, start: int) -> bool:
    """Whether the row begins with its channel, whose uniqueid has the second, and not with the call to the other party."""
    made, sequence = age(leg_id, start)
    return sequence < 0 or start <= (made + 1) * SECOND


def _through(part: OpenCall, pair: Pair, pairs: Sequence[Pair]) -> Pair:
    """A Local channel has the row of its far half for when the telephone behind it was called, and what it did."""
    local = part.legs[pair.callee].local
    inner = [one for one in pairs if local and part.legs[one.caller].local == local]
    if not inner:
        return pair
    talks = [one.talk for one in inner if one.talk is not None]
    talk = max(pair.talk, talks[0]) if pair.talk is not None and talks else pair.talk
    return pair._replace(start=max(pair.start, inner[0].start), talk=talk, rough=False, undated=False)


def _one_by_one(part: OpenCall, pairs: Sequence[Pair]) -> list[Pair]:
    """A Local channel that two parties talked through had one after the other: an agent asks, and then transfers."""
    until: dict[str, tuple[str, int]] = {}
    done = []
    for pair in pairs:
        caller, end = until.get(pair.callee, (pair.caller, 0))
        if part.legs[pair.callee].local and pair.talk is not None:
            pair = pair if caller == pair.caller else pair._replace(talk=max(pair.talk, end))  # noqa: PLW2901
            until[pair.callee] = (pair.caller, pair.end)
        done.append(pair)
    return done


def _dated(part: OpenCall, pairs: Sequence[Pair]) -> list[Pair]:
    """The caller who was answered before is `answered` from the row's beginning on, whenever the other party was."""
    up: set[str] = set()
    done = []
    for pair in pairs:
        late = pair.talk == pair.start and not part.legs[pair.callee].local and not pair.queue
        again = pair.callee in up or (not pair.queue and pair.undated)
        done.append(pair._replace(rough=pair.rough or (late and not again)))
        if pair.talk is not None:
            up.add(pair.callee)
    return done


def _queued(row: Row) -> bool:
    app: str = row["data"].get("lastapp", "")
    return app.lower() == "queue"


def _met(row: Row) -> bool:
    """In a conference a pair is dated by whoever of the two was there first."""
    app: str = row["data"].get("lastapp", "")
    return app.lower() == "confbridge"


def _taken(caller: str, start: int, end: int, lines: Sequence[Row]) -> int | None:
    """When queue_log says that an agent took the caller, in the time of this row."""
    for line in lines:
        if line["type"] == "agent.connected" and line["leg_id"] == caller and start <= line["ts"] <= end:
            at: int = line["ts"]
            return at
    return None


def _leg(part: OpenCall, leg_id: str, channel: str, start: int, end: int) -> Leg:
    leg = part.legs[leg_id] = Leg(id=leg_id, created_at=start, last_at=end)
    leg.rename(channel)
    leg.inferred = False
    return leg


def _stretch(leg: Leg, start: int, end: int) -> None:
    leg.created_at, leg.last_at = min(leg.created_at, start), max(leg.last_at, end)
    leg.ended_at = leg.last_at


def _direction(row: Row) -> str:
    """By the side on which the customer's number stands."""
    customer = row["customer_number"]
    if customer and customer == row["caller_e164"]:
        return "inbound"
    return "outbound" if customer else "internal"


def _dial(part: OpenCall, pair: Pair, pairs: Sequence[Pair]) -> Iterator[Fact]:
    outside = {"outside": pair.outside} if pair.outside else {}
    yield Fact(pair.start, 0, "dial.started", pair.caller, pair.callee, "", "", "", outside)
    if pair.queue:
        leg = part.legs[pair.callee]
        agent = leg.agent or leg.endpoint
        yield Fact(pair.start, 0, "agent.offered", pair.caller, pair.callee, pair.queue, agent, "", {})
    status, at = pair.status, pair.end if pair.talk is None else pair.talk
    if pair.talk is None and pair.status == "NOANSWER" and _lost(part, pair, pairs):
        status = "CANCEL"
    yield Fact(at, 1, "dial.ended", pair.caller, pair.callee, "", "", "", {"status": status})


def _lost(part: OpenCall, pair: Pair, pairs: Sequence[Pair]) -> bool:
    """Who rang with others and was not the one has lost the call to another; the CDR says NO ANSWER."""
    local = part.legs[pair.caller].local
    outer = next((one for one in pairs if local and part.legs[one.callee].local == local), pair)
    won = [one.talk for one in pairs if one.caller == outer.caller and one.talk is not None and not one.rough]
    return any(outer.start <= talk + SECOND and abs(outer.end - talk) <= SECOND for talk in won)


def _talks(part: OpenCall, pairs: Sequence[Pair]) -> None:
    """Pairs that share a party at one time are one conversation; each of them is in its bridge as long as a pair is."""
    rooms: list[list[Pair]] = []
    for pair in pairs:
        if pair.talk is None or pair.talk >= pair.end:
            continue
        joined = [room for room in rooms if any(_together(part, pair, one) for one in room)]
        rooms = [room for room in rooms if room not in joined]
        rooms.append([pair, *(one for room in joined for one in room)])
    for room in rooms:
        name = f"cdr {min(pair.start for pair in room)} {min(pair.callee for pair in room)}"
        for leg_id in {name for pair in room for name in (pair.caller, pair.callee)}:
            mine = [pair for pair in room if leg_id in (pair.caller, pair.callee)]
            since, until = min(pair.talk or 0 for pair in mine), max(pair.end for pair in mine)
            leg = part.legs[leg_id]
            leg.stays += [Stay(since, 1, name, joined=True), Stay(until, 0, name, joined=False)]


def _together(part: OpenCall, one: Pair, other: Pair) -> bool:
    shared = {one.caller, one.callee} & {other.caller, other.callee}
    real = any(not part.legs[name].local for name in shared)
    return real and max(one.talk or 0, other.talk or 0) < min(one.end, other.end)


def _voicemail(part: OpenCall, caller: Leg, row: Row) -> None:
    start, end = span(row)
    box = {"box": row["data"].get("lastdata", "")}
    part.facts.append(Fact(start, 0, "voicemail.entered", caller.id, "", "", "", "", box))
    part.facts.append(Fact(end, 0, "voicemail.left", caller.id, "", "", "", "", box))
