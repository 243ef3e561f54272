"""The answers of one transaction on their way into it, and how many there were."""

from collections import Counter
from collections.abc import Iterable, Iterator

from schemas.topics import DEAD_SUFFIX
from streams.runtime import metrics
from streams.runtime.dead_letters import dead_letter
from streams.runtime.session import RECORD_LIMIT, Message, Record, Refused, Session


class Batch:
    """Writes answers into the open transaction of a session; `now` is microseconds."""

    def __init__(self, session: Session, source: str, target: str, now: int) -> None:
        self._session = session
        self._source = source
        self._target = target
        self._now = now
        self._published = 0
        self._dead: Counter[str] = Counter()

    def put(self, partition: int, answers: Iterable[Record | Refused]) -> None:
        """Write answers as they come; raises what their iteration raises, and Reject for one that is too large."""
        self._published += self._session.write(self._target, partition, self._usable(answers))

    def _usable(self, answers: Iterable[Record | Refused]) -> Iterator[Record]:
        for answer in answers:
            if isinstance(answer, Refused):
                self.bury(answer.message, answer.stage, answer.reason)
            else:
                yield answer

    def bury(self, message: Message, stage: str, reason: str, trace: str = "") -> None:
        """Write the dead letter of an input."""
        letter = dead_letter(
            message, topic=self._source, stage=stage, reason=reason, trace=trace, at=self._now, limit=RECORD_LIMIT
        )
        self._session.write(self._source + DEAD_SUFFIX, message.partition(), [(message.key(), letter)])
        self._dead[stage] += 1

    def committed(self, stream: str, received: int) -> None:
        """Count what is durable now."""
        metrics.STREAM_RECEIVED.labels(stream).inc(received)
        metrics.STREAM_PUBLISHED.labels(stream).inc(self._published)
        for stage, count in self._dead.items():
            metrics.DEAD_LETTERS.labels(self._source, stage).inc(count)
