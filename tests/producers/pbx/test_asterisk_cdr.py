"""Lines of Master.csv: the columns by their number, zones, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.adapter import Context, Frame
from producers.numbers import NumberPlan
from producers.pbx.asterisk_cdr import Config, adapter, normalise
from schemas.codec import encode
from schemas.events import CallEvent
from streams.runtime.config import Pbx, connector_config
from streams.runtime.errors import Fatal, Reject

BASE = (
    '"","0470123401","201","from-trunk","""Zoë, B."" <0470123401>","PJSIP/trunk-00000001","PJSIP/201-00000002","Dial",'
    '"PJSIP/201,3","{start}",{answer},"{end}",3,2,"ANSWERED","DOCUMENTATION"'
)
UID = '"1795519805.7"'


def house(zone: str = "") -> Context[Config]:
    numbers = NumberPlan(country="BE", extensions=r"2\d\d")
    return Context(tenant="acme", pbx="main", numbers=numbers, config=Config(path=Path("Master.csv"), zone=zone))


def line(*tail: str, start: str = "2026-11-24 12:30:05", answer: str = "", end: str = "2026-11-24 12:30:08") -> bytes:
    return ",".join([BASE.format(start=start, answer=answer, end=end), *tail]).encode()


def read(raw: bytes, zone: str = "", ordinal: int = 0) -> CallEvent:
    (event,) = normalise(Frame(raw, 9, 1, ordinal), house(zone))
    return event


@pytest.mark.parametrize(
    ("tail", "call", "leg"),
    [
        ((), "", ""),
        ((UID,), "", "main:1795519805.7"),
        ((UID, '"note"'), "", "main:1795519805.7"),
        (('"pa"', UID, "12"), "main:1795519805.7", ""),
        ((UID, '"pa"', '"1795519805.5"', "12"), "main:1795519805.5", "main:1795519805.7"),
        ((UID, '"note"', '"pa"', '"1795519805.5"', "12"), "main:1795519805.5", "main:1795519805.7"),
    ],
)
def test_columns_are_told_by_their_number(tail: tuple[str, ...], call: str, leg: str) -> None:
    """loguniqueid, loguserfield and newcdrcolumns in every combination."""
    event = read(line(*tail))
    assert (event.type, event.call_id, event.leg_id, event.synthetic) == ("cdr.final", call, leg, True)
    assert (event.caller_name, event.customer_number, event.data["lastdata"]) == (
        "Zoë, B.",
        "+32470123401",
        "PJSIP/201,3",
    )
    assert "answer" not in event.data


@pytest.mark.parametrize(
    ("zone", "start", "utc"),
    [
        ("", "2026-11-24 12:30:05", 1795519805),  # an hour ahead of the uniqueid's second: UTC+1
        ("", "2026-11-24 11:30:07", 1795519807),
        ("", "2026-11-24 17:00:05", 1795519805),  # India, +5:30
        ("Europe/Brussels", "2026-11-24 12:45:05", 1795520705),  # a second record, fifteen minutes into the call
    ],
)
def test_the_zone_is_configured_or_measured(zone: str, start: str, utc: int) -> None:
    """The uniqueid begins with a UTC second: what `start` is ahead of it, to the quarter of an hour, is the zone."""
    event = read(line(UID, start=start, end=start), zone)
    assert (event.data["start_us"], event.ts, event.ts_precision) == (f"{utc}000000", utc * 10**6, "s")


def test_a_zone_that_does_not_exist_is_refused_at_the_start() -> None:
    """The configuration says so, not the first record."""
    with pytest.raises(Fatal, match=r"pbx.main.zone: .*no iana zone"):
        connector_config(
            adapter.config, Pbx.model_validate({"adapter": "asterisk_cdr", "zone": "Mars/Olympus"}), "pbx.main"
        )


def test_equal_lines_are_two_records() -> None:
    """Without a sequence column two records can read the same."""
    assert read(line(), ordinal=0).event_id != read(line(), ordinal=1).event_id


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"a,b,c",
        line("1", "2", "3", "4", "5", "6"),
        line(end="soon"),
        line(end="2026-13-45 99:99:99"),
        line(end="0000-00-00 00:00:00"),
        b'"open quote' + line(),
        line() + b"\0",
        b"x" * 70_000,
    ],
)
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    """Half lines, wrong columns, impossible times: to the dead letters, with a reason."""
    with pytest.raises(Reject, match=r"\w"):
        list(normalise(Frame(raw, 9, 1), house()))


@given(st.lists(st.text(max_size=20), min_size=16, max_size=21), st.sampled_from(["", "Europe/Brussels"]))
def test_any_columns_give_a_record_or_a_refusal(cells: list[str], zone: str) -> None:
    """Whatever the columns hold, nothing but Reject is raised, and a record encodes."""
    cells[11] = "2026-11-24 12:30:08"
    raw = ",".join(['"' + cell.replace('"', '""') + '"' for cell in cells]).encode("utf-8", "replace")
    try:
        events = list(normalise(Frame(raw, 9, 1), house(zone)))
    except Reject:
        return
    for event in events:
        encode(event)


def record(*changes: tuple[str, str]) -> CallEvent:
    """The line with some of its text replaced, in a house that has numbers of its own and hours."""
    numbers = NumberPlan(country="BE", extensions=r"2\d\d", dids=("025550101",), closed_contexts=("closed",))
    context = Context(tenant="acme", pbx="main", numbers=numbers, config=Config(path=Path("Master.csv")))
    raw = line(UID).decode()
    for old, new in changes:
        raw = raw.replace(old, new)
    (event,) = normalise(Frame(raw.encode(), 9, 1), context)
    return event


def test_a_call_from_a_trunk_is_inbound_whoever_calls() -> None:
    """Also where the number is withheld: the dialplan's context tells, or the number that was dialled."""
    event = record(('"0470123401"', '"anonymous"'))
    assert (event.direction, event.data["hidden"], event.customer_number) == ("inbound", "1", "")
    event = record(('"0470123401"', '"anonymous"'), ('"from-trunk"', '"menu"'), ('"201"', '"025550101"'))
    assert (event.direction, event.did) == ("inbound", "+3225550101")


def test_a_context_of_a_closed_house_is_told() -> None:
    """By configuration; it is the step of the dialplan at which the call ended."""
    assert record(('"from-trunk"', '"closed"')).data["closed"] == "1"
    assert "closed" not in record().data


def test_a_number_outside_is_told_by_what_dial_was_given() -> None:
    """The number dialled by the caller is the house's own, and the line that leads outside shows no other."""
    event = record(("PJSIP/201-00000002", "PJSIP/trunk-00000003"), ("PJSIP/201,3", "PJSIP/0470999999@trunk,3"))
    assert event.data["outside"] == "+32470999999"
    assert "outside" not in record().data
