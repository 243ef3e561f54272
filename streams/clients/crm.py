"""What every CRM's client shares: the keys of `[crm.NAME]`, the rate limit of a portal, an outcome nobody knows."""

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import phonenumbers

from streams.runtime import metrics
from streams.runtime.clock import Clock
from streams.runtime.errors import Reject, Retry

P = ParamSpec("P")
T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0

DIRECTIONS = ("inbound", "outbound", "internal")


class Unknown(Exception):  # noqa: N818 - a signal to the runtime, as in streams.runtime.errors
    """A write was sent and no answer tells whether it was done: only a read-back can, never a retry."""


class UnknownContact(Exception):  # noqa: N818
    """The CRM refuses the entry because its contact is not there (any more); nothing was done."""


class Gone(Exception):  # noqa: N818
    """What was to be changed or read is not in the CRM (any more)."""


class Expired(Exception):  # noqa: N818
    """The CRM's change feed no longer reaches back to this token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalConfig:
    """Keys that every CRM has beside its connector's own."""

    country: str = "BE"
    """ISO country that numbers without a country code belong to, as people type them into this CRM."""
    directions: tuple[str, ...] = DIRECTIONS
    """Which calls are journaled: inbound, outbound, internal. A call whose direction is not known always is."""
    rate_per_s: float = 100.0
    """Most requests per second of the journal; the contact feed has `feed_rate_per_s` beside it."""
    burst: int = 50
    """Requests that may come at once after a quiet moment."""
    in_flight: int = 32
    """Calls that are written at the same time; each call's own revisions stay in order."""
    timeout_s: float = 10.0
    """Longest wait for an answer; then the outcome counts as unknown and is read back."""
    settle_s: float = 2.0
    """How long after a write of unknown outcome the CRM may still do it, or not yet find it. It is sent again only when
    it is not there after so long: longer than the CRM's own longest processing time and the lag of its search."""
    remember_days: float = 7.0
    """How far back the ledger is kept in memory; calls older than that are looked up in the CRM before a write."""
    remember_mb: int = 256
    """Most memory of the ledger in MiB."""
    feed_rate_per_s: float = 20.0
    """Most requests per second of the contact feed."""
    poll_s: float = 1.0
    """Pause between two looks at the change feed."""
    sweep_s: float = 60.0
    """Pause between two scans of recently updated contacts, for changes that the feed lost."""
    overlap_s: float = 300.0
    """How far such a scan looks back behind the one before: longer than the CRM's longest transaction."""
    reconcile_s: float = 21_600.0
    """Pause between two full scans, which find deletions that were never told."""


class TokenBucket:
    """At most `rate` takes per second, `burst` at once; the portal can ask everybody to hold."""

    def __init__(self, clock: Clock, *, rate: float, burst: int) -> None:
        self._clock, self._step, self._slack = clock, 1 / rate, (burst - 1) / rate
        self._next = self._held = -math.inf

    async def take(self) -> None:
        """Return when the next request may be sent; first come, first served."""
        now = self._clock.monotonic()
        slot = max(self._next, now - self._slack, self._held)
        self._next = slot + self._step
        await self._wait(slot)
        while self._held > self._clock.monotonic():
            await self._wait(self._held)

    def hold(self, seconds: float) -> None:
        """Let nobody pass for so long: the portal said that it is too much."""
        self._held = max(self._held, self._clock.monotonic() + seconds)

    async def _wait(self, until: float) -> None:
        ahead = until - self._clock.monotonic()
        if ahead > 0:
            await self._clock.pause(ahead)


class Patience:
    """Asks a CRM until it answers. One for each CRM and process."""

    def __init__(self, crm: str, clock: Clock, rng: random.Random, before: Callable[[], None] = lambda: None) -> None:
        """`before` is called ahead of every request, and may raise to end it all."""
        self._crm, self._clock, self._rng, self._before = crm, clock, rng, before

    async def ask(self, verb: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The verb's answer. On `Retry` wait as long as it says, else twice as long each time, with jitter."""
        pause = _FIRST_PAUSE
        while True:
            self._before()
            try:
                answer = await verb(*args, **kwargs)
            except Retry as e:
                self._count("retry")
                await self._clock.pause(e.after if e.after is not None else pause * self._rng.uniform(0.5, 1))
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Unknown:
                self._count("unknown")
                raise
            except (Reject, Gone, UnknownContact, Expired):
                self._count("refused")
                raise
            else:
                self._count("ok")
                return answer

    def _count(self, verdict: str) -> None:
        metrics.CRM_REQUESTS.labels(self._crm, verdict).inc()


def e164(raw: str, country: str) -> str:
    """A number as somebody typed it into a CRM, in E.164; "" when it can be no telephone number.

    An extension ("x12") is left out: the network's number is what a call shows.
    """
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
