"""The lanes of a call's drawing: what each leg does at a moment, and the signs for it."""

from typing import NamedTuple

from streams.processors.explain import Life
from streams.processors.folding.calls import Row
from streams.processors.folding.legs import Leg

TALKS, APART, HELD, PARKED, WAITS, UP, RINGS, GONE = "talks", "apart", "held", "parked", "waits", "up", "rings", "gone"
STYLES = {
    TALKS: "bold green",
    APART: "magenta",
    HELD: "yellow",
    PARKED: "yellow",
    WAITS: "blue",
    UP: "",
    RINGS: "cyan",
    GONE: "",
}
MEANINGS = (
    (RINGS, "rings"),
    (UP, "on the line"),
    (WAITS, "waits in a queue"),
    (TALKS, "talks"),
    (APART, "talks without the customer"),
    (HELD, "on hold"),
    (PARKED, "parked"),
)


class Signs(NamedTuple):
    """The characters of a drawing."""

    along: dict[str, str]
    down: dict[str, str]
    begins: str
    ends: str
    leg: str
    peer: str
    between: str
    so: str


def _signs(text: str) -> dict[str, str]:
    return dict(zip((TALKS, APART, HELD, PARKED, WAITS, UP, RINGS, GONE), text, strict=True))


LINES = Signs(_signs("━═┅┉╌─┄ "), _signs("┃║╏┋╎│┊ "), *("├", "┤", "●", "○", "─", "→"))
ASCII = Signs(_signs("=+~_,-. "), _signs("#$%!;|: "), *("|", "|", "*", "o", "-", "=>"))


def state(life: Life, leg: Leg, at: int) -> str:
    """What a leg does at a moment, as the finished record knows it."""
    if at < leg.created_at or at >= end(life, leg):
        return GONE
    customer = _customer(life)
    with_others = _with_others(life, leg, at, customer)
    if with_others:
        return with_others
    if any(_within(park, at) and park["leg_id"] == leg.id for park in life.record["parks"]):
        return PARKED
    visits = life.record["queue_visits"] if leg.id == customer else ()
    if any(_within(visit, at, "entered_at", "left_at") for visit in visits):
        return WAITS
    answered = leg.answered_at is not None and leg.answered_at <= at
    return RINGS if leg.ringing_at is not None and leg.ringing_at <= at and not answered else UP


def _with_others(life: Life, leg: Leg, at: int, customer: str) -> str:
    """Whether and how it talks; a customer who is held alone is held all the same."""
    span = next((span for span in life.talks if span.start <= at < span.end and leg.id in span.legs), None)
    if span is not None and customer and customer not in span.legs:
        return APART
    for hold in life.record["holds"]:
        if _within(hold, at) and (span is not None or leg.id in (customer, hold["leg_id"])):
            return HELD
    return "" if span is None else TALKS


def _customer(life: Life) -> str:
    """The customer's leg, or "" in an internal call."""
    return next((each["leg_id"] for each in life.record["participants"] if each["role"] == "customer"), "")


def _within(row: Row, at: int, since: str = "started_at", until: str = "ended_at") -> bool:
    return bool(row[since] <= at and (row[until] is None or at < row[until]))


def letters(life: Life) -> dict[str, str]:
    """A short name for each leg, by its id."""
    return {leg.id: _letter(n) for n, leg in enumerate(life.legs)}


def end(life: Life, leg: Leg) -> int:
    """When the leg ends; one that is open goes on past the last moment that is known."""
    return leg.ended_at if leg.ended_at is not None else life.until + 1


def _letter(n: int) -> str:
    return chr(65 + n % 26) if n < 26 else _letter(n // 26 - 1) + chr(65 + n % 26)  # noqa: PLR2004 - the alphabet
