"""A call as a person would draw it: legs as lanes, once as bars along the time, once beside every event."""

from collections.abc import Collection, Iterator, Sequence
from textwrap import wrap

from rich.text import Text

from streams.processors.explain import Life, Step
from streams.processors.explaining.telling import source, telling
from streams.processors.explaining.words import clock
from streams.processors.folding.legs import Leg
from streams.runtime.cli.lanes import (
    APART,
    GONE,
    HELD,
    MEANINGS,
    PARKED,
    RINGS,
    STYLES,
    TALKS,
    UP,
    WAITS,
    Signs,
    letters,
    state,
)
from streams.runtime.cli.lanes import end as leg_end
from streams.runtime.logs import printable

MICRO = 1_000_000
_NARROWEST = 30
"""Columns that the text beside the lanes needs; when they are not left, the lanes are."""
_QUIET_US = MICRO


def picture(life: Life, width: int, signs: Signs) -> Iterator[Text]:
    """The whole call along its time, a line a leg, and what the signs mean: who talked to whom when."""
    names = letters(life)
    labels = {leg.id: printable(f"{names[leg.id]} {_label(life, leg)}")[: width // 3] for leg in life.legs}
    margin = max(map(len, labels.values()), default=0) + 2
    room = max(width - margin, 10)
    start = min((leg.created_at for leg in life.legs), default=0)
    end = max((leg_end(life, leg) for leg in life.legs), default=0)
    cell = max(1, -(-(end - start) // room))
    yield Text(" " * margin + _scale(start, cell * room, room), style="dim")
    drawn: set[str] = set()
    for leg in life.legs:
        doings = [_mostly(life, leg, start + n * cell, cell) for n in range(room)]
        drawn |= set(doings)
        yield Text(labels[leg.id].ljust(margin)).append_text(_bar(leg, doings, signs))
    yield from _legend(drawn, width, signs)


def _legend(drawn: Collection[str], width: int, signs: Signs) -> Iterator[Text]:
    """What the signs mean that were drawn."""
    line = Text()
    for doing, name in MEANINGS:
        if doing in drawn:
            part = Text.assemble((signs.along[doing] * 3, STYLES[doing]), f" {name}")
            if line and len(line) + 3 + len(part) > width:
                yield line
                line = Text()
            line.append("   " if line else "").append_text(part)
    yield line


def _bar(leg: Leg, doings: Sequence[str], signs: Signs) -> Text:
    line = Text()
    there = [n for n, doing in enumerate(doings) if doing != GONE]
    for n, doing in enumerate(doings):
        sign = signs.along[doing]
        if there and n == there[0]:
            sign = signs.begins
        elif there and n == there[-1] and leg.ended_at is not None:
            sign = signs.ends
        line.append(sign, style=STYLES[doing])
    line.rstrip()
    return line


def rows(life: Life, width: int, signs: Signs) -> Iterator[Text]:
    """Every event with what was concluded from it, beside the lanes; and where nothing happened, for how long."""
    names = letters(life)
    pitch = max((len(name) for name in names.values()), default=1) + 1
    lanes = list(life.legs) if width - 13 - pitch * len(names) >= _NARROWEST else []
    yield Text(" " * 13 + "".join(names[leg.id].ljust(pitch) for leg in lanes), style="bold")
    before: int | None = None
    for step in life.steps:
        if before is not None and step.at - before >= _QUIET_US:
            pause = f"{(step.at - before) / MICRO:.1f} s".rjust(12)
            yield _line(pause, _rails(life, lanes, (before + step.at) // 2, pitch, signs), "", "dim")
        yield from _step(life, step, lanes, (width, pitch), signs)
        before = step.at


def _step(life: Life, step: Step, lanes: Sequence[Leg], sizes: tuple[int, int], signs: Signs) -> Iterator[Text]:
    width, pitch = sizes
    room = max(_NARROWEST, width - 13 - pitch * len(lanes))
    told = [(line, "") for line in _told(life, step, room)]
    marked = _marked(life, step, lanes, pitch, signs)
    plain = _rails(life, lanes, step.at, pitch, signs)
    for sentence in _conclusions(step, life.record["call_id"]):
        told += [
            (f"{signs.so if n == 0 else ' ' * len(signs.so)} {line}", "bold")
            for n, line in enumerate(wrap(printable(sentence), room - len(signs.so) - 1))
        ]
    for n, (text, style) in enumerate(told):
        yield _line(_time(step.at) if n == 0 else "", marked if n == 0 else plain, text, style)


def _told(life: Life, step: Step, room: int) -> list[str]:
    """The event itself: which leg, what, and its fields; more lines when it is long."""
    if step.event is None:
        return ["(time passes)"]
    names = letters(life)
    event = step.event
    legs = [names[each] for each in (event.leg_id, event.peer_leg_id) if each in names]
    text = f"{'-'.join(legs)} {event.type}".lstrip()
    return wrap(printable(f"{text}  {telling(event)}"), room, subsequent_indent="  ", drop_whitespace=True) or [text]


def _conclusions(step: Step, call: str) -> Iterator[str]:
    if step.again:
        yield "told again: it is known and changes nothing"
    if step.late_s >= 1:
        yield f"arrived late: {step.late_s:.1f} s behind what is younger"
    yield from step.concluded
    if step.event is not None and source(step.event) and not step.concluded and not step.again:
        yield "nothing that was not known"
    for row in step.revisions:
        whose = "" if row["call_id"] == call else f" of {row['call_id']}"
        into = f" into {row['merged_into']}" if row["merged_into"] else ""
        yield f"revision {row['rev']}{whose} is published: {row['state']}{into}"


def _rails(life: Life, lanes: Sequence[Leg], at: int, pitch: int, signs: Signs) -> Text:
    rails = Text()
    for leg in lanes:
        doing = state(life, leg, at)
        rails.append(signs.down[doing].ljust(pitch), style=STYLES[doing])
    return rails


def _marked(life: Life, step: Step, lanes: Sequence[Leg], pitch: int, signs: Signs) -> Text:
    """The lanes with the event's own leg and its peer, joined by a line."""
    places = {leg.id: n * pitch for n, leg in enumerate(lanes)}
    rails = _rails(life, lanes, step.at, pitch, signs)
    event = step.event
    if event is None or event.leg_id not in places:
        return rails
    cells = list(rails.plain)
    own, peer = places[event.leg_id], places.get(event.peer_leg_id, places[event.leg_id])
    for n in range(min(own, peer) + 1, max(own, peer)):
        cells[n] = signs.between
    cells[peer], cells[own] = signs.peer, signs.leg
    marked = Text("".join(cells))
    for span in rails.spans:
        marked.stylize(span.style, span.start, span.end)
    return marked


def _line(time: str, rails: Text, text: str, style: str = "") -> Text:
    line = Text.assemble((time.ljust(13), "dim"), rails, (text, style))
    line.rstrip()
    return line


def _label(life: Life, leg: Leg) -> str:
    """Who is behind a leg: the agent, else the number; a half of a Local channel by its name."""
    if leg.local:
        return leg.channel
    part = next((each for each in life.record["participants"] if each["leg_id"] == leg.id), None)
    if part is not None and part["role"] == "customer":
        return f"{part['e164'] or part['number'] or 'unknown'} customer"
    name = leg.agent or leg.e164 or leg.number or leg.endpoint or leg.channel
    return name if part is None or part["role"] == "other" else f"{name} {part['role']}"


def _mostly(life: Life, leg: Leg, at: int, cell: int) -> str:
    """What fills the cell, by its quarters; a leg that is there for a part of it is shown."""
    doings = [state(life, leg, at + cell * n // 4) for n in range(4)]
    order = (TALKS, APART, HELD, PARKED, WAITS, RINGS, UP)
    there = [doing for doing in doings if doing != GONE]
    return max(there, key=lambda doing: (there.count(doing), -order.index(doing))) if there else GONE


def _scale(start: int, lasts: int, room: int) -> str:
    """The times of some places below it."""
    line = [" "] * (room + 10)
    step = max(20, room // 4)
    for place in range(0, room - 9, step):
        line[place : place + 10] = list(clock(start + lasts * place // room))
    return "".join(line).rstrip()


def _time(at: int) -> str:
    return f"{clock(at)}{at // 1000 % 100:02d}"
