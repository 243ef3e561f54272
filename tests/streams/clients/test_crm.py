"""What every CRM's client shares: numbers as people type them, the rate limit, patience."""

import asyncio
import random

import pytest

from streams.clients.crm import Gone, Patience, TokenBucket, Unknown, e164
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal, Reject, Retry


@pytest.mark.parametrize(
    ("raw", "country", "wanted"),
    [
        ("0470/12.34.99", "BE", "+32470123499"),
        ("+32 (0)470 12 34 99", "BE", "+32470123499"),
        ("0032 470 12 34 99", "BE", "+32470123499"),
        ("0470 12 34 99 ext. 12", "BE", "+32470123499"),
        ("+44 20 7946 0001", "BE", "+442079460001"),
        ("(212) 555-0100", "US", "+12125550100"),
        ("112", "BE", ""),
        ("call after six", "BE", ""),
        ("", "BE", ""),
        ("+999 1234", "BE", ""),
        ("0470 12 34 99 99 99 99", "BE", ""),
    ],
)
def test_numbers_as_people_type_them(raw: str, country: str, wanted: str) -> None:
    """E.164, or nothing where no telephone number can be meant."""
    assert e164(raw, country) == wanted


def test_the_bucket_lets_a_burst_pass_and_then_keeps_the_rate() -> None:
    """Five at once, then ten a second: 25 requests take two seconds."""
    clock = ManualClock()
    bucket = TokenBucket(clock, rate=10, burst=5)
    times = []

    async def take() -> None:
        for _ in range(25):
            await bucket.take()
            times.append(clock.monotonic())

    asyncio.run(take())
    assert times[4] == 0
    assert times[-1] == pytest.approx(2.0)
    for first in range(20):
        assert times[first + 5] - times[first] >= 0.1 - 1e-9


def test_the_bucket_is_full_again_after_a_pause_but_not_fuller() -> None:
    """An hour of silence is good for one burst."""
    clock = ManualClock()
    bucket = TokenBucket(clock, rate=10, burst=5)
    clock.advance(3600)
    began = clock.monotonic()

    async def take() -> None:
        for _ in range(6):
            await bucket.take()

    asyncio.run(take())
    assert clock.monotonic() - began == pytest.approx(0.1)


def test_a_hold_stops_everybody_and_is_no_credit() -> None:
    """After a hold of two seconds the rate begins anew, without a burst."""
    clock = ManualClock()
    bucket = TokenBucket(clock, rate=10, burst=5)

    async def take() -> list[float]:
        bucket.hold(2)
        times = []
        for _ in range(3):
            await bucket.take()
            times.append(clock.monotonic())
        return times

    assert asyncio.run(take()) == pytest.approx([2.0, 2.1, 2.2])


def test_a_hold_reaches_those_who_already_wait() -> None:
    """Whoever sleeps until its turn looks again before it goes."""
    clock = ManualClock()
    bucket = TokenBucket(clock, rate=1, burst=1)

    async def take() -> float:
        await bucket.take()
        waiting = asyncio.create_task(bucket.take())
        bucket.hold(10)
        await waiting
        return clock.monotonic()

    assert asyncio.run(take()) >= 10


class Moody:
    """A verb that answers with these, one after the other."""

    def __init__(self, *answers: Exception | str) -> None:
        self.answers = list(answers)

    async def __call__(self) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_patience_waits_as_told_and_else_longer_each_time() -> None:
    """Retry-After is honoured to the second; without it the pauses grow, and stay bounded."""
    clock = ManualClock()
    patience = Patience("crm", clock, random.Random(1))
    assert asyncio.run(patience.ask(Moody(Retry("429", after=7), "done"))) == "done"
    assert clock.monotonic() == 7
    began = clock.monotonic()
    asyncio.run(patience.ask(Moody(*[Retry("down")] * 20, "done")))
    assert 5 * 30 < clock.monotonic() - began < 20 * 30


@pytest.mark.parametrize("error", [Unknown("?"), Reject("422"), Gone("404"), Fatal("401")])
def test_patience_passes_on_what_waiting_cannot_mend(error: Exception) -> None:
    """Doubt, refusal and a missing right are for the caller."""
    clock = ManualClock()
    with pytest.raises(type(error)):
        asyncio.run(Patience("crm", clock, random.Random(1)).ask(Moody(error)))
    assert clock.monotonic() == 0
