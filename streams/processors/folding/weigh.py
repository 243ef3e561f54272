"""Which source is believed, for each leg and each fact: decided when the record is computed, never by arrival.

Live events are believed where somebody was reading them; CEL comes next, then CDR with queue_log.
"""

from collections.abc import Sequence
from copy import copy

from streams.processors.folding import record as plain
from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.from_records import from_cdr
from streams.processors.folding.times import Interval


def record(call: OpenCall, short_abandon_s: float, missed: Sequence[Interval] = ()) -> Row:
    """As `record.record`, of a call that records tell of too."""
    return plain.record(view(call), short_abandon_s, missed)


def view(call: OpenCall) -> OpenCall:
    """The call as one story: a copy that holds what is believed, from whichever source."""
    told = call.told
    if told is None or call.legs:
        return call
    whole = copy(call)
    part = told.cel if told.cel is not None and told.cel.legs else from_cdr(call, told)
    whole.told, whole.legs, whole.facts, whole.open_legs = None, part.legs, part.facts, part.open_legs
    whole.last_at = told.last_at
    whole.known = {**told.known, **call.known}
    whole.flags = call.flags | {"records"}
    if told.given_up and whole.open_legs:
        for leg in whole.legs.values():
            if leg.ended_at is None:
                leg.ended_at, leg.estimated = leg.last_at + 1, True
        whole.open_legs = 0
    return whole
