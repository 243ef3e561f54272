"""The PBX's clock beside ours, as the answers to pings show it."""

import pytest

from producers.pbx._asterisk.pulse import Pulse
from streams.clients.ami import Answer
from streams.runtime.clock import ManualClock


@pytest.mark.parametrize(("ahead", "known"), [(0, 0), (3_000_000, 0), (5_000_000, 1_000_000), (-2_000_000, -2_000_000)])
def test_a_slow_answer_proves_little(ahead: int, known: int) -> None:
    """The PBX put its time into the answer somewhen between question and receipt: only what is outside of that is skew."""
    clock = ManualClock()
    pulse = Pulse("main", clock, 0)
    sent = clock.now()
    clock.advance(4)
    stamp = sent + ahead
    pulse.pong(Answer(fields={"timestamp": f"{stamp // 10**6}.{stamp % 10**6:06d}"}, raw=b""), sent)
    assert pulse.skew == known


def test_a_fast_answer_corrects_what_a_slow_one_left_open() -> None:
    """The estimate moves as little as the answers allow, and forgets nothing that they did not contradict."""
    clock = ManualClock()
    pulse = Pulse("main", clock, 0)
    for took, skew in ((0, 5_000_000), (4, 5_000_000), (0, 0)):
        sent = clock.now()
        clock.advance(took)
        theirs = sent + skew
        pulse.pong(Answer(fields={"timestamp": f"{theirs // 10**6}.{theirs % 10**6:06d}"}, raw=b""), sent)
        assert pulse.skew == skew
