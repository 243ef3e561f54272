"""Every way a call can go on a real Asterisk, judged by each source alone and by all together, on each version."""

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from schemas.events import Call
from tests.real.asterisk import judge
from tests.real.asterisk.evening import Evening
from tests.real.asterisk.stories import STORIES
from tests.real.asterisk.verdict import differences

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]  # the first one may build the folder and plays everything

Calls = Callable[[str], Mapping[str, Call]]


@pytest.fixture(scope="module")
def calls(evening: Evening) -> Calls:
    """What a source makes of the evening: the calls by id."""
    return cache(lambda source: judge.calls(evening, source))


@pytest.mark.parametrize("scenario", STORIES)
@pytest.mark.parametrize("source", judge.SOURCES)
def test_record_is_what_happened(evening: Evening, calls: Calls, source: str, scenario: str) -> None:
    """Whatever the source can know is what the outside knows; times to a second."""
    truth = evening.truths[scenario]
    call = calls(source)[f"main:{truth.linkedid}"]

    assert differences(truth, call, source) == {}
    assert call.state == "final"


@pytest.mark.parametrize("source", judge.SOURCES)
def test_calls_are_those_that_were_made(evening: Evening, calls: Calls, source: str) -> None:
    """One record for each call played and no other, however many channels and rows it had."""
    kept = {call_id for call_id, call in calls(source).items() if call.state != "merged"}

    assert kept == {f"main:{truth.linkedid}" for truth in evening.truths.values()}
