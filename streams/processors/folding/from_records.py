"""A call out of its CDRs and its lines of queue_log, for where nothing better tells of it.

A CDR is one pair of parties: who called (`channel`), who was called (`dstchannel`), from when to when, and since when
it was answered. Its seconds are whole. A caller in a queue has been answered by the queue, so when an agent took the
call only queue_log knows. Neither knows of holds.
"""

from copy import copy

from streams.processors.folding.calls import Fact, OpenCall, Row, Told
from streams.processors.folding.legs import Leg, Stay
from streams.processors.folding.sources import moment, span

_BY_DISPOSITION = {"ANSWERED": "ANSWER", "NO ANSWER": "NOANSWER", "BUSY": "BUSY", "FAILED": "CHANUNAVAIL"} | {
    "CONGESTION": "CONGESTION",
    "CANCEL": "CANCEL",
}


def from_cdr(call: OpenCall, told: Told) -> OpenCall:
    """The legs and facts that the rows imply, in a call of their own."""
    part = copy(call)
    part.legs, part.facts, part.open_legs = {}, [], 0
    names: dict[str, Leg] = {}
    for row in sorted(told.cdr, key=_order):
        _row(part, names, row)
    for row in sorted(told.queue_log, key=lambda row: (row["ts"], row["seq"])):
        _line(part, row, over=call.over)
    return part


def _order(row: Row) -> tuple[int, int, int]:
    sequence = row["data"].get("sequence", "")
    return span(row)[0], int(sequence) if sequence.isdecimal() else 0, row["seq"]


def _row(part: OpenCall, names: dict[str, Leg], row: Row) -> None:
    data, (start, end) = row["data"], span(row)
    answer = moment(row, "answer_us") if data.get("disposition") == "ANSWERED" else None
    caller = part.legs.get(row["leg_id"]) or names.get(row["channel"])
    if caller is None:
        caller = _leg(part, names, row["leg_id"], row["channel"], start, end)
        caller.number, caller.e164, caller.name = row["caller_raw"], row["caller_e164"], row["caller_name"]
        caller.customer = row["customer_number"]
        caller.direction = row["direction"] or _direction(row)
        if caller.direction == "outbound":
            caller.dialled, caller.dialled_e164 = row["callee_raw"], row["callee_e164"]
    caller.created_at, caller.ended_at = min(caller.created_at, start), max(caller.ended_at or end, end)
    since = moment(row, "answer_us")
    if since is not None:
        caller.answered_at = min(since, caller.answered_at or since)
    other = data.get("dstchannel", "")
    if not other:
        return
    callee = names.get(other)
    if callee is None:
        callee = _leg(part, names, f"{row['pbx']}:{other}", other, start + 1, end)  # the caller was there before
        callee.customer = row["customer_number"]
        if caller.direction == "outbound":
            callee.number, callee.e164 = row["callee_raw"], row["callee_e164"]
        else:
            callee.number = callee.endpoint
        _fact(part, row, "dial.started", start, caller.id, callee.id)
        status = _BY_DISPOSITION.get(data.get("disposition", ""), "")
        _fact(part, row, "dial.ended", end if answer is None else answer, caller.id, callee.id, status=status)
    callee.ended_at = max(callee.ended_at or end, end)
    if answer is not None:
        callee.answered_at = min(answer, callee.answered_at or answer)
        for leg in (caller, callee):
            bridge = f"cdr {start} {other}"
            leg.stays += [Stay(answer, row["seq"], bridge, joined=True), Stay(end, row["seq"], bridge, joined=False)]


def _leg(part: OpenCall, names: dict[str, Leg], leg_id: str, channel: str, start: int, end: int) -> Leg:  # noqa: PLR0917
    leg = Leg(id=leg_id, created_at=start, last_at=end)
    leg.rename(channel)
    leg.inferred = False
    part.legs[leg_id] = names[channel] = leg
    return leg


def _direction(row: Row) -> str:
    """By the side on which the customer's number stands."""
    customer = row["customer_number"]
    if customer and customer == row["caller_e164"]:
        return "inbound"
    return "outbound" if customer else "internal"


def _fact(part: OpenCall, row: Row, kind: str, ts: int, leg: str, peer: str, **data: str) -> None:  # noqa: PLR0917
    part.facts.append(Fact(ts, row["seq"], kind, leg, peer, row["queue"], row["agent"], row["by"], data))


def _line(part: OpenCall, row: Row, *, over: bool) -> None:
    leg_id = row["leg_id"]
    if leg_id not in part.legs:
        leg = part.legs[leg_id] = Leg(id=leg_id, created_at=row["ts"], last_at=row["ts"])
        part.open_legs += not over
        leg.ended_at = row["ts"] if over else None
    part.facts.append(
        Fact(
            row["ts"],
            row["seq"],
            row["type"],
            leg_id,
            row["peer_leg_id"],
            row["queue"],
            row["agent"],
            row["by"],
            row["data"],
        )
    )
