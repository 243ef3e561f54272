"""What records say of a call: CEL made out of the events of a script, rows of CDR and lines of queue_log by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

from schemas.events import EnrichedCallEvent
from tests.streams.processors.folding.script import MICRO, START, Script

_CEL = frozenset(
    {
        *("leg.created", "leg.answered", "leg.ended", "bridge.joined", "bridge.left", "linkage.merged"),
        *("queue.entered", "queue.left", "transfer.completed", "park.started", "park.ended", "pickup"),
        *("voicemail.entered", "voicemail.left"),
    }
)
_NO_CEL_DATA = frozenset({"state", "bridge_type", "position", "reason", "hidden"})


def cel(events: Iterable[EnrichedCallEvent]) -> list[EnrichedCallEvent]:
    """The rows that CEL writes of what these live events tell: it knows no ringing, dial, hold or agent."""
    by = {event.leg_id: event for event in events if event.data.get("hangup") == "requested"}
    rows = []
    for event in events:
        if event.type not in _CEL or event.data.get("hangup"):
            continue
        data = {key: value for key, value in event.data.items() if key not in _NO_CEL_DATA}
        if event.type == "leg.ended" and by:
            data["by_channel"] = next(iter(by.values())).channel
        rows.append(told(event, "cel", data))
    return rows


def told(event: EnrichedCallEvent, source: str, data: dict[str, str], **fields: object) -> EnrichedCallEvent:
    """The event as a record source tells it: an id of its own."""
    name = blake2b(event.event_id + source.encode(), digest_size=16).digest()
    changed = {"event_id": name, "synthetic": True, "data": data | {"source": source}, **fields}
    return replace(event, **changed)  # type: ignore[arg-type]


def cdr(
    call: Script,
    caller: str,
    callee: str = "",
    *,
    start: float,
    answer: float | None = None,
    end: float,
    disposition: str = "ANSWERED",
    app: str = "Dial",
    dst: str = "",
    linkedid: bool = True,
    sequence: int = 0,
    **fields: str,
) -> EnrichedCallEvent:
    """A row between two legs of the script; times are whole seconds after its start."""
    us = {"start_us": start, "answer_us": answer, "end_us": end}
    data = {key: str(START + int(at) * MICRO) for key, at in us.items() if at is not None}
    data |= {"disposition": disposition, "lastapp": app, "dstchannel": call.legs[callee]["channel"] if callee else ""}
    data |= {"sequence": str(sequence), "dst": dst, **fields}
    leg = call.legs[caller]
    identity = repr((caller, callee, sorted(data.items()))).encode()
    return EnrichedCallEvent(
        event_id=blake2b(identity, digest_size=16).digest(),
        tenant="t",
        pbx="main",
        merge_key="t/main",
        type="cdr.final",
        ts=START + int(end) * MICRO,
        ts_precision="s",
        received_at=START + int(end) * MICRO + MICRO,
        seq=1000 + sequence,
        synthetic=True,
        call_id=leg["call_id"] if linkedid else "",
        leg_id=leg["leg_id"],
        channel=leg["channel"],
        caller_raw=leg.get("caller_raw", ""),
        caller_e164=leg.get("caller_e164", ""),
        customer_number=leg.get("customer_number", ""),
        callee_raw=dst,
        callee_e164=dst if dst.startswith("+") else "",
        data=data | {"source": "cdr"},
    )


def line(
    call: Script,
    at: float,
    kind: str,
    caller: str,
    *,
    queue: str = "support",
    agent: str = "",
    peer: str = "",
    by: str = "",
    **data: str,
) -> EnrichedCallEvent:
    """A line of queue_log about the caller's leg, so many whole seconds after the script's start."""
    identity = repr((at, kind, caller, queue, agent, sorted(data.items()))).encode()
    shown = call.legs[caller] if kind == "queue.entered" else {}
    return EnrichedCallEvent(
        event_id=blake2b(identity, digest_size=16).digest(),
        tenant="t",
        pbx="main",
        merge_key="t/main",
        type=kind,
        ts=START + int(at) * MICRO,
        ts_precision="s",
        received_at=START + int(at) * MICRO + MICRO,
        seq=2000 + int(at),
        synthetic=True,
        leg_id=call.legs[caller]["leg_id"],
        peer_leg_id=call.legs[peer]["leg_id"] if peer else "",
        caller_raw=shown.get("caller_raw", ""),
        caller_e164=shown.get("caller_e164", ""),
        customer_number=shown.get("customer_number", ""),
        queue=queue,
        agent=agent,
        by=by,
        data={**data, "source": "queue_log"},
    )


def by_arrival(*streams: Sequence[EnrichedCallEvent]) -> list[EnrichedCallEvent]:
    """The streams as one, in the order of their time."""
    return sorted((event for stream in streams for event in stream), key=lambda event: event.received_at)
