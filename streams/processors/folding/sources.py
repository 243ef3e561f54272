"""Events that come from records (CEL, CDR, queue_log): told apart from live ones, and led to the same call.

They are kept beside what was heard live, each source for itself; which of them is believed is decided when the record
is computed (`weigh`), so it does not matter which came first.
"""

from collections.abc import Iterable, Iterator

from streams.processors.folding.calls import Fact, OpenCall, Row, Told
from streams.processors.folding.legs import PSEUDO, technology
from streams.processors.folding.steps import BEGIN, OWN, STEPS, born

SOURCES = frozenset({"cel", "cdr", "queue_log"})
DOUBTS = frozenset({"gap", "estimated", "inferred"})
"""What records can heal of a finished call; that an event was lost somewhere (`incomplete`) they cannot."""
LONGER = 8
"""Times the grace: CEL that lags may be silent as long as people talk."""
APP = "app.started"
"""Fact of a channel that began an application which may dial; of CEL only."""
SAME_NAME_US = 2_000_000
"""A channel's name is used again after a restart of the PBX, which takes longer than this."""


def source_of(row: Row) -> str:
    """cel, cdr or queue_log; "" for what was heard live."""
    if row["type"] == "cdr.final":
        return "cdr"
    source: str = row["data"].get("source", "")
    return source if row["synthetic"] and source in SOURCES else ""


def identify(row: Row) -> None:
    """A CDR without any id (cdr.conf can leave both out) is named after its channel and its first second."""
    if row["type"] == "cdr.final" and not row["leg_id"] and row["channel"]:
        row["leg_id"] = f"{row['pbx']}:{row['channel']}@{span(row)[0] // 1_000_000}"


def begins(row: Row, source: str) -> bool:
    """Whether a record may open a call that nothing else knows."""
    leg: str = row["leg_id"]
    if source == "cel":
        return row["type"] in BEGIN and leg != "" and technology(row["channel"]) not in PSEUDO
    if source == "cdr" and technology(row["channel"]) == "Local":
        return bool(row["call_id"])  # the inner half of somebody's call: nobody calls from there
    return leg != ""


def take(call: OpenCall, told: Told, row: Row, source: str) -> bool:
    """Keep what a record tells. Tells whether a revision may be due: not where something better is at hand."""
    told.last_at = max(told.last_at, row["ts"])
    if source == "cdr":
        told.cdr.append(row)
    elif source == "queue_log":
        told.queue_log.append(row)
    else:
        due = _live_again(call, told, row)
        return due and not call.legs
    return not call.legs and (told.cel is None or not told.cel.legs)


def matters(call: OpenCall, row: Row, source: str) -> bool:
    """Whether a record may change what was said of the call: not where live events told it all without a doubt."""
    if not call.legs or call.said is None or call.said["quality"]:
        return True
    return source == "queue_log" or row["type"].startswith("voicemail.")


def _live_again(call: OpenCall, told: Told, row: Row) -> bool:
    """CEL takes the steps that live events take, in a call of its own."""
    part = told.cel
    if part is None:
        part = told.cel = OpenCall(
            id=call.id,
            age=call.age,
            tenant=call.tenant,
            pbx=call.pbx,
            merge_key=call.merge_key,
            low=call.low,
            touched=call.touched,
        )
    leg_id, ts = row["leg_id"], row["ts"]
    if row["type"] == "leg.updated" and row["data"].get("app"):
        part.facts.append(Fact(ts, row["seq"], APP, leg_id, "", "", "", "", row["data"]))
    part.last_at = max(part.last_at, ts)
    leg = part.legs.get(leg_id)
    if leg is not None and row["type"] == "leg.ended" and row["data"].get("by_channel") == row["channel"]:
        leg.asked_at = ts if leg.asked_at is None else leg.asked_at
    if leg is not None:
        leg.last_at = max(leg.last_at, ts)
    elif leg_id and row["type"] in OWN and technology(row["channel"]) not in PSEUDO:
        leg = part.legs[leg_id] = born(row)
        part.open_legs += 1
    return STEPS[row["type"]](part, leg, row)


def span(row: Row) -> tuple[int, int]:
    """From when to when a CDR goes, µs."""
    return moment(row, "start_us") or row["ts"], moment(row, "end_us") or row["ts"]


def moment(row: Row, key: str) -> int | None:
    text = row["data"].get(key, "")
    return int(text) if text.isascii() and text.isdigit() else None


class Names:
    """Channels that CDRs name: two rows that name one channel at one time are about one call."""

    def __init__(self) -> None:
        self._calls: dict[str, list[tuple[int, int, OpenCall]]] = {}

    def find(self, row: Row) -> Iterator[OpenCall]:
        start, end = span(row)
        for name in _names(row):
            for since, until, call in self._calls.get(name, ()):
                if since <= end + SAME_NAME_US and start <= until + SAME_NAME_US:
                    yield call

    def add(self, call: OpenCall, row: Row) -> None:
        for name in _names(row):
            self._calls.setdefault(name, []).append((*span(row), call))

    def drop(self, call: OpenCall, into: OpenCall | None = None) -> None:
        """The call is final, or part of another one now."""
        for name in {name for row in (call.told.cdr if call.told else ()) for name in _names(row)}:
            known = self._calls.pop(name, ())
            left = [(since, until, into if each is call else each) for since, until, each in known]
            if kept := [(since, until, each) for since, until, each in left if each is not None]:
                self._calls[name] = kept


def on_channel(calls: Iterable[OpenCall], row: Row) -> Iterator[OpenCall]:
    """Calls with a leg on the channel of a CDR without an id, at its time."""
    if row["type"] != "cdr.final" or "@" not in row["leg_id"]:
        return
    start, end = span(row)
    for call in calls:
        for leg in call.legs.values():
            alive = leg.created_at <= end + SAME_NAME_US and (leg.ended_at or end) + SAME_NAME_US >= start
            if alive and leg.channel == row["channel"]:
                yield call
                break


def _names(row: Row) -> set[str]:
    return {row["channel"], row["data"].get("dstchannel", "")} - {""} if row["type"] == "cdr.final" else set()
