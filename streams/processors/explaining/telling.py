"""What one event says, in the fields that tell something for its type."""

from collections.abc import Iterator

from schemas.events import CallEvent
from streams.processors.explaining.words import clock

_LONGEST = 60
_NAMED = frozenset({"leg.created", "leg.live"})
"""Types that name channel and numbers; in the others they are repeated from there."""
_OF_CDR = frozenset(
    {"start_us", "answer_us", "end_us", "disposition", "dst", "dstchannel", "lastapp", "lastdata", "billsec"}
)
"""What a row of CDR tells that the call's other events do not."""
_OTHER_LEG = frozenset({"by_leg", "second_by_leg", "transferee_leg", "target_leg"})


def telling(event: CallEvent) -> str:
    """One line; "" when the type says it all."""
    return "  ".join(_fields(event))


def source(event: CallEvent) -> str:
    """Which of the PBX's records the event is from; "" for one that was told live."""
    return event.data.get("source", "")


def _fields(event: CallEvent) -> Iterator[str]:
    if source(event):
        yield f"[{source(event)}]"
    if event.type in _NAMED:
        name = f" ({event.caller_name})" if event.caller_name else ""
        yield event.channel
        yield f"from {event.caller_raw or 'an unknown number'}{name}"
        yield from _named("to", event.callee_raw)
    yield from _named("queue", event.queue)
    if not event.type.startswith(("leg.", "bridge.", "dial.", "hold.")):
        yield from _named("agent", event.agent)
    yield from _named("by", event.by)
    yield from _named("cause", "" if event.cause is None else str(event.cause))
    yield from _data(event)
    if event.ts_precision not in ("us", "ms"):
        yield f"(time exact to: {event.ts_precision})"
    if event.synthetic and not source(event):
        yield "(concluded by the adapter)"


def _named(name: str, value: str) -> Iterator[str]:
    if value:
        yield f"{name} {value}"


def _data(event: CallEvent) -> Iterator[str]:
    for key, value in sorted(event.data.items()):
        if key == "source" or not value or (event.type == "cdr.final" and key not in _OF_CDR):
            continue
        if key == "bridge":
            yield f"bridge {value[:8]}"
        elif key.endswith("_us") and value.isdecimal():
            yield f"{key[:-3]}={clock(int(value))}"
        else:
            short = value if len(value) <= _LONGEST or key in _OTHER_LEG else value[: _LONGEST - 3] + "..."
            yield f"{key}={short}"
