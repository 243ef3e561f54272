"""Every way a call can go on a real Asterisk, judged by each source alone and by all together, on each version."""

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from schemas.events import Call
from tests.real.asterisk import judge
from tests.real.asterisk.evening import Evening
from tests.real.asterisk.stories import STORIES
from tests.real.asterisk.verdict import differences, hung_up_by

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]  # the first one may build the folder and plays everything

Calls = Callable[[str], Mapping[str, Call]]


@pytest.fixture(scope="module")
def calls(evening: Evening) -> Calls:
    """What a source makes of the evening: the calls by id."""
    return cache(lambda source: judge.calls(evening, source))


@pytest.mark.parametrize("scenario", STORIES)
@pytest.mark.parametrize("source", judge.SOURCES)
def test_record_is_what_happened(evening: Evening, calls: Calls, source: str, scenario: str) -> None:
    """Whatever the source can know is what the outside knows, times to a second, and nothing of it is doubted."""
    truth = evening.truths[scenario]
    call = calls(source)[f"main:{truth.linkedid}"]

    assert differences(truth, call, source) == {}
    assert call.state == "final"
    assert call.quality == (("records",) if source in {"cel", "records"} else ())


@pytest.mark.parametrize("scenario", STORIES)
def test_what_records_cannot_know_is_left_open(evening: Evening, calls: Calls, scenario: str) -> None:
    """CDR and queue_log tell no hold, no transfer, and who hung up only of a queue's talk: null, not 0 or a guess."""
    truth = evening.truths[scenario]
    call = calls("records")[f"main:{truth.linkedid}"]

    assert call.hold_s == (None if truth.connected_at else 0)
    assert call.transfers == ()
    assert call.hangup_by in ({"", hung_up_by(truth)} if truth.stays else {""})


@pytest.mark.parametrize("source", judge.SOURCES)
def test_calls_are_those_that_were_made(evening: Evening, calls: Calls, source: str) -> None:
    """One record for each call played and no other, however many channels and rows it had."""
    kept = {call_id for call_id, call in calls(source).items() if call.state != "merged"}

    assert kept == {f"main:{truth.linkedid}" for truth in evening.truths.values()}
