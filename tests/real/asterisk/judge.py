"""What each source makes of an evening, and how far that is what happened.

Four judgements: AMI alone, CEL alone, CDR and queue_log alone, and all of them together. All go the product's road: its
adapters read the bytes, its fold makes the calls. Nothing is enriched.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from types import ModuleType

from pydantic import SecretStr

from producers.adapter import Context, Frame, Ordinals
from producers.pbx import asterisk_ami, asterisk_cdr, asterisk_cel, asterisk_queue_log
from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.fold import Fold
from streams.runtime import config
from tests.real.asterisk.evening import Evening
from tests.real.asterisk.house import PLAN
from tests.streams.processors.folding.script import MICRO, feed, finals, tick

_SECRET = SecretStr("-")
_RECORDS_IN_AMI = (b"Event: Cdr\r\n", b"Event: CEL\r\n")
"""Records that AMI carries as well: alone, AMI has to do without them."""
_WRITTEN_US = MICRO
"""Until a line of a file is read."""

Events = Iterator[EnrichedCallEvent]


def _ami(evening: Evening, *, alone: bool) -> Events:
    messages = [
        (frame.raw.lstrip(b"\r\n"), frame.arrived) for frame in evening.frames
    ]  # a TestEvent ends in blank lines
    settings = asterisk_ami.Config(host="pbx", username="trunkline", secret=_SECRET)
    for frame in _numbered((raw, at) for raw, at in messages if not (alone and raw.startswith(_RECORDS_IN_AMI))):
        yield from _read(asterisk_ami, settings, frame)


def _lines(module: ModuleType, settings: object, content: bytes) -> Events:
    for frame in _numbered((line, 0) for line in content.splitlines()):
        yield from _read(module, settings, frame)


def _numbered(raws: Iterable[tuple[bytes, int]]) -> Iterator[Frame]:
    ordinals = Ordinals()
    for seq, (raw, at) in enumerate(raws):
        yield Frame(raw, at, seq, ordinals.of(raw))


def _read(module: ModuleType, settings: object, frame: Frame) -> Events:
    context = Context(tenant="real", pbx="main", numbers=PLAN, config=settings)
    for event in module.normalise(frame, context):
        row = codec.as_row(event)
        yield EnrichedCallEvent(**{**row, "received_at": row["received_at"] or event.ts + _WRITTEN_US})


def _alone(evening: Evening) -> Events:
    yield from _ami(evening, alone=True)


def _cel(evening: Evening) -> Events:
    yield from _lines(asterisk_cel, asterisk_cel.Config(), evening.cel)


def _records(evening: Evening) -> Events:
    yield from _lines(asterisk_cdr, asterisk_cdr.Config(), evening.cdr)
    yield from _lines(asterisk_queue_log, asterisk_queue_log.Config(), evening.queue_log)


def _together(evening: Evening) -> Events:
    yield from _ami(evening, alone=False)
    yield from _cel(evening)
    yield from _records(evening)


SOURCES: Mapping[str, Callable[[Evening], Events]] = {
    "ami": _alone,
    "cel": _cel,
    "records": _records,
    "all": _together,
}


def calls(evening: Evening, source: str) -> Mapping[str, Call]:
    """The last revision of every call, by id, as the fold makes it from that source; it is told the time each second."""
    task = Fold(config.Fold(short_abandon_seconds=0), 0)
    events = sorted(SOURCES[source](evening), key=attrgetter("received_at"))
    said: list[Call] = []
    since, now = 0, events[0].received_at
    for upto, event in enumerate(events):
        if event.received_at - now >= MICRO:
            said += [*feed(task, events[since:upto], since), *tick(task, event.received_at)]
            since, now = upto, event.received_at
    said += feed(task, events[since:], since)
    for seconds in (3, 10, 60, 120):
        said += tick(task, events[-1].received_at + seconds * MICRO)
    return finals(said)
