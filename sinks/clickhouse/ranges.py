"""The pending range: which records an insert holds, written down before it is sent.

It travels in the metadata of the consumer group's committed offset, so a crash can be followed by the same insert, of
the same records, under the same token. Text: `first:last` or `first:last:skipped`, the last as runs relative to
`first` (`3,7-9`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

# Kafka refuses metadata of more than offset.metadata.max.bytes, 4096 by default.
_MOST_TEXT = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Offsets of one partition, both ends included."""

    first: int
    last: int
    skipped: frozenset[int] = frozenset()
    """Offsets that were refused and are dead letters."""

    def text(self) -> str:
        """The range as metadata.

        A list of skipped offsets that Kafka would not take is left out: a replay then asks the server again, which
        forms the same inserts as long as the server answers the same.
        """
        bare = f"{self.first}:{self.last}"
        full = f"{bare}:{_runs(o - self.first for o in sorted(self.skipped))}" if self.skipped else bare
        return full if len(full) <= _MOST_TEXT else bare

    def skipping(self, offsets: Iterable[int]) -> "Range":
        return replace(self, skipped=self.skipped | frozenset(offsets))


def parse(text: str | None) -> Range | None:
    """The range behind metadata; None when there is none. Raises ValueError on a text that no version of us wrote."""
    if not text:
        return None
    first, last, *rest = text.split(":")
    start = int(first)
    skipped = frozenset(start + o for o in _offsets(rest[0])) if rest else frozenset()
    return Range(first=start, last=int(last), skipped=skipped)


def _runs(offsets: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset == runs[-1][1] + 1:
            runs[-1][1] = offset
        else:
            runs.append([offset, offset])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _offsets(runs: str) -> Iterator[int]:
    for run in runs.split(","):
        first, _, last = run.partition("-")
        yield from range(int(first), int(last or first) + 1)
