import pytest

from producers.simulator.filters import Filters
from producers.simulator.frames import Frame

NEWCHANNEL = Frame(1, "Newchannel", "call", b"Event: Newchannel\r\nPrivilege: call,all\r\nChannel: Local/1@x\r\n\r\n")
NEWSTATE = Frame(1, "Newstate", "call", b"Event: Newstate\r\nPrivilege: call,all\r\nChannel: PJSIP/1\r\n\r\n")
CDR = Frame(1, "Cdr", "cdr", b"Event: Cdr\r\nPrivilege: cdr,all\r\nChannel: PJSIP/1\r\n\r\n")


def heard(*texts: str) -> list[str]:
    """Which of the three frames pass; each is asked twice, for the answer must not wear off."""
    filters = Filters()
    assert all(filters.add(text) for text in texts)
    assert bool(filters) == bool(texts)
    first, again = ([f.event for f in (NEWCHANNEL, NEWSTATE, CDR) if filters.passes(f)] for _ in range(2))
    assert first == again
    return first


@pytest.mark.parametrize(
    ("texts", "events"),
    [
        ((), ["Newchannel", "Newstate", "Cdr"]),
        (("!^Event: (Newchannel|Cdr)[^A-Za-z]",), ["Newstate"]),
        (("!^Event: New[^A-Za-z]",), ["Newchannel", "Newstate", "Cdr"]),
        (("^Event: New",), ["Newchannel", "Newstate"]),
        (("Channel: PJSIP/",), ["Newstate", "Cdr"]),
        (("!Channel: Local/", "^Event: New"), ["Newstate"]),
        (("^Event: Cdr", "!Channel: PJSIP/"), []),
    ],
)
def test_includes_first_then_excludes(texts: tuple[str, ...], events: list[str]) -> None:
    """By name or by any text of the message, alone or together."""
    assert heard(*texts) == events


def test_a_later_filter_counts_from_then_on() -> None:
    """What was decided before a new filter came is decided again."""
    filters = Filters()
    assert filters.add("!^Event: Cdr")
    assert filters.passes(NEWSTATE)
    assert filters.add("!^Event: Newstate")
    assert not filters.passes(NEWSTATE)


def test_a_broken_expression_is_refused_and_changes_nothing() -> None:
    """It does not compile, so it is not there."""
    filters = Filters()
    assert not filters.add("!(")
    assert not filters
