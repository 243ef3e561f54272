"""The PBX's clock as a reading session knows it: how far it is off, and up to which moment everything was read."""

import re

import structlog

from streams.clients.ami import Answer
from streams.runtime import metrics
from streams.runtime.clock import Clock

MICRO = 1_000_000
SKEW = MICRO
"""From here on the PBX's clock is called wrong."""
SETTLE = MICRO // 10
"""The PBX gives events out of the order of their times by some milliseconds: what is older than this has come."""
STAMP = re.compile(rb"\r\nTimestamp: ([0-9]{9,11})\.([0-9]{6})")

log = structlog.get_logger()


class Pulse:
    """Times are µs."""

    def __init__(self, pbx: str, clock: Clock, seen: int) -> None:
        self._pbx = pbx
        self._clock = clock
        self.skew = 0
        """What the PBX's clock is ahead of ours."""
        self.seen = seen
        """The latest moment of the PBX that was heard of; 0: none ever."""
        self.since = 0
        """From here on this session has read everything; 0: it does not read yet."""

    @property
    def wrong(self) -> bool:
        return abs(self.skew) > SKEW

    def now(self) -> int:
        """By the PBX's clock."""
        return self._clock.now() + self.skew

    def heard(self, raw: bytes) -> None:
        """An event came."""
        if stamp := STAMP.search(raw):
            self.seen = int(stamp[1]) * MICRO + int(stamp[2])

    def pong(self, answer: Answer, sent: int) -> int:
        """The answer to a ping; gives the moment at which the PBX answered."""
        stamp = STAMP.search(b"\r\nTimestamp: " + answer.fields.get("timestamp", "").encode())
        if stamp is None:
            return self.now()
        theirs = int(stamp[1]) * MICRO + int(stamp[2])
        wrong = self.wrong
        # The stamp was made at some time between question and answer: a slow answer proves nothing against what we knew.
        self.skew = min(max(self.skew, theirs - self._clock.now()), theirs - sent)
        self.seen = max(self.seen, theirs)
        metrics.CLOCK_SKEW.labels(self._pbx).set(self.skew / MICRO)
        if self.wrong and not wrong:
            log.warning("the PBX's clock is off; mend its NTP", pbx=self._pbx, seconds=self.skew / MICRO)
        return theirs

    def coverage(self) -> dict[str, str]:
        """What this session can say to have read whole."""
        until = max(self.since, self.seen - SETTLE)
        return {"since_us": str(self.since), "until_us": str(until)} if self.since else {}
