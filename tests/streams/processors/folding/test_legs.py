"""Ids by age, and what a channel's name tells."""

import pytest

from streams.processors.folding.legs import Leg, age


@pytest.mark.parametrize(
    ("older", "younger"),
    [
        ("main:1700000058.9", "main:1700000058.10"),
        ("main:pbx1-999999999.2", "main:pbx1-1700000000.1"),
        ("main:pbx-2-1700000000.9", "main:1700000000.10"),
        ("main:1700000000.1", "main:click-to-call-7"),
    ],
)
def test_age_is_a_number(older: str, younger: str) -> None:
    """Epoch and sequence as numbers, behind any name of the system; an id of one's own is as old as its first event."""
    now = 1_700_000_000_500_000
    assert age(older, now) < age(younger, now)


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/1001-0000002a", "1001"),
        ("SIP/9170-12-0000003c", "9170-12"),
        ("IAX2/office-ab/1002-12345678", "1002"),
        ("DAHDI/i1/0470123401-1", ""),
        ("", ""),
    ],
)
def test_endpoint(channel: str, endpoint: str) -> None:
    """The device's name, where the channel's name has one."""
    assert Leg(id="x", created_at=0, last_at=0, channel=channel).endpoint == endpoint
