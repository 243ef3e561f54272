"""Every party's part of a call: who was offered it, rang, talked, for how long, and how it came out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.legs import Leg
from streams.processors.folding.offers import Offer, Story
from streams.processors.folding.parties import Parties
from streams.processors.folding.times import Interval, Span, common, held, lasted, merged, seconds

_STATUS = {
    "BUSY": "busy",
    "NOANSWER": "no_answer",
    "CANCEL": "cancelled",
    "CHANUNAVAIL": "failed",
    "CONGESTION": "failed",
    "ABORT": "cancelled",
}
_CAUSE = {
    17: "busy",
    **dict.fromkeys((18, 19), "no_answer"),
    21: "declined",
    **dict.fromkeys((26, 127), "cancelled"),
    **dict.fromkeys((1, 3, 20, 27, 28, 34, 38, 41, 42, 44), "failed"),
}
"""Q.850 causes of a leg that was not answered. 127 is a caller who gave up; 0 (rang out) and 16 alone say nothing."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Who talked when, as far as the customer is concerned (or anybody, in an internal call)."""

    spans: Sequence[Span]
    """All groups."""
    with_customer: Sequence[Span]
    customer: str
    on_hold: Sequence[Interval]
    """When the customer was held, or held the other side."""

    @property
    def gross(self) -> list[Interval]:
        return merged((span.start, span.end) for span in self.with_customer)

    @property
    def held_talk(self) -> list[Interval]:
        """The part of the talk that was hold: a customer who is alone in the bridge is held, but does not talk."""
        return common(self.gross, self.on_hold)


def talk_of(call: OpenCall, parties: Parties, spans: Sequence[Span], until: int) -> Talk:
    customer = parties.customer.id if parties.customer else ""
    mine = [span for span in spans if customer in span.legs] if customer else list(spans)
    intervals: list[Interval] = []
    if mine and any(leg.holds or leg.music for leg in call.legs.values()):
        for leg in call.legs.values():
            with_leg = [(span.start, span.end) for span in mine if leg.id in span.legs]
            if leg.id == customer:
                with_leg = [(mine[0].start, until)]
            intervals += common(held(leg, until), merged(with_leg)) if with_leg else ()
    # One hold goes with the customer from bridge to bridge: his music may stop just behind the door.
    return Talk(spans, mine, customer, merged(intervals, _TOGETHER))


def segments(call: OpenCall, story: Story, parties: Parties, talk: Talk) -> list[Row]:
    """Rows of Segment in the order in which the parties came in."""
    rows: list[Row] = []
    offered = set()
    for offer in sorted(story.offers.values(), key=lambda offer: (offer.at, offer.leg)):
        leg = call.legs.get(offer.leg)
        if leg is parties.first and leg is not None and leg is not parties.customer:
            continue  # click-to-call dials the agent who asked for it; a call-back dials the customer
        offered.add(offer.leg)
        rows += _offered(call, offer, leg, parties, talk)
    for leg in call.legs.values():
        if leg.local or leg.id in offered or leg is parties.customer:
            continue
        if leg is parties.first and parties.customer is None:
            continue
        rows += _met(leg, talk, parties)
    rows.sort(key=lambda row: (_began(row), row["leg_id"]))
    return rows


def _began(row: Row) -> int:
    moments = [row[key] for key in ("offered_at", "ringing_at", "connected_at") if row[key] is not None]
    return min(moments, default=0)


def _offered(call: OpenCall, offer: Offer, leg: Leg | None, parties: Parties, talk: Talk) -> Iterator[Row]:
    mine = [span for span in talk.with_customer if offer.leg in span.legs]
    apart = [span for span in talk.spans if offer.leg in span.legs and span not in mine] if talk.customer else []
    if leg is parties.customer and leg is not None:
        apart = []
    result = result_of(offer, leg, parties)
    closed = leg is None or leg.ended_at is not None or bool(offer.status and offer.status != "ANSWER")
    row = _row(offer.agent, leg, kind=_kind(leg, parties), queue=offer.queue)
    if leg is not None and row["kind"] == "external":
        row["number"] = parties.dialled.get(leg.id) or row["number"]  # the line may show the house's own number
    if leg is parties.customer and leg is parties.first and leg is not None:
        row["number"] = parties.number  # a call-back shows the house's own number to the leg that it dials
    rang = leg.ringing_at if leg is not None else None
    answered = leg.answered_at if leg is not None else None
    picked_up = rang is None and answered is not None and answered < offer.at
    over = leg.ended_at if leg is not None and leg.ended_at is not None else offer.status_at
    if leg is not None and leg.ended_at is None and offer.status == "ANSWER":
        over = None  # the Dial is over with the answer, the party's part is not
    row |= {
        "offered_at": offer.at,
        "ringing_at": rang,
        "ring_s": None
        if picked_up
        else lasted(offer.at if rang is None else rang, over if answered is None else answered),
        "result": result if closed or answered is not None else "",
        "by": offer.by,
    }
    if apart and (not mine or apart[0].start < mine[0].start):
        yield _timed(row | {"kind": "consult"}, apart, [], over=mine[0].start if mine else over)
        if mine:
            yield _timed(_row(offer.agent, leg, kind=_kind(leg, parties), queue=offer.queue) | {"result": "answered"},
                         mine, talk.on_hold, over=over)  # fmt: skip
        return
    if not mine and _consulted(call, offer, parties):
        row["kind"] = "consult"
    yield _timed(row, mine, talk.on_hold, over=over)


def _met(leg: Leg, talk: Talk, parties: Parties) -> Iterator[Row]:
    """Who was not dialled and yet talked with the customer: the agent who dialled, a picker, who took a parked call."""
    mine = [span for span in talk.with_customer if leg.id in span.legs]
    if mine:
        yield _timed(_row("", leg, kind=_kind(leg, parties)) | {"result": "answered"}, mine, talk.on_hold, leg.ended_at)


def _row(agent: str, leg: Leg | None, *, kind: str, queue: str = "") -> Row:
    row = blank(leg.id if leg is not None else "", kind=kind)
    row["agent"] = "" if kind == "external" else agent or _agent(leg)
    row["queue"] = queue
    if leg is not None:
        # Outside, a number is who was reached, not the line and the prefix that were dialled to get there.
        row["number"] = leg.e164 if kind == "external" and leg.e164 else leg.number
        row["name"] = leg.name
    return row


def blank(leg_id: str, *, kind: str) -> Row:
    """A row of Segment of which nothing is known yet."""
    return {
        "agent": "",
        "number": "",
        "name": "",
        "leg_id": leg_id,
        "queue": "",
        "kind": kind,
        "offered_at": None,
        "ringing_at": None,
        "connected_at": None,
        "ended_at": None,
        "ring_s": None,
        "talk_s": None,
        "hold_s": None,
        "result": "",
        "by": "",
    }


def _timed(row: Row, spans: Sequence[Span], on_hold: Sequence[Interval], over: int | None) -> Row:
    """With its talk; the end of an open leg is not known yet, nor how long it will have talked."""
    if spans:
        row["connected_at"] = spans[0].start
    if over is not None:
        gross = merged((span.start, span.end) for span in spans)
        row["ended_at"] = gross[-1][1] if gross else over
        if gross:
            paused = common(gross, on_hold)
            row["hold_s"] = seconds(paused)
            row["talk_s"] = round(seconds(gross) - row["hold_s"], 6)
    return row


def _agent(leg: Leg | None) -> str:
    return "" if leg is None else leg.agent or leg.endpoint


def _kind(leg: Leg | None, parties: Parties) -> str:
    return "external" if leg is not None and parties.outside(leg) else "agent"


def _consulted(call: OpenCall, offer: Offer, parties: Parties) -> bool:
    """Dialled by neither side of the call: an agent asks somebody before a transfer."""
    caller = call.legs.get(offer.caller)
    return caller is not None and parties.customer not in (None, caller) and caller is not parties.first


def result_of(offer: Offer, leg: Leg | None, parties: Parties) -> str:
    """How an offer came out for the one who was offered the call: a word of `Segment.result`."""
    if offer.taken or (leg is not None and leg.answered_at is not None):
        return "answered"
    cause = _CAUSE.get(leg.cause) if leg is not None and leg.cause is not None else None
    if cause == "no_answer" and _left(leg, parties.first):
        return "cancelled"  # since Asterisk 22 the leg of a caller who gave up may end with 19 too
    if cause is not None:
        return cause
    if offer.told:
        return offer.told
    if offer.status in _STATUS:
        return _STATUS[offer.status]
    return "cancelled" if _left(leg, parties.first) else "no_answer"


def _left(leg: Leg | None, first: Leg | None) -> bool:
    """Whether the caller was gone when the telephone stopped ringing."""
    if first is None or first.asked_at is None:
        return False
    return leg is None or leg.ended_at is None or first.asked_at <= leg.ended_at + _TOGETHER


_TOGETHER = 200_000
