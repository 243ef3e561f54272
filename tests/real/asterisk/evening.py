"""Every story played once on one PBX, and all that was left of it: what the adapter's user heard, and the records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.real.asterisk.bench import Bench
from tests.real.asterisk.stories import STORIES, Story, Truth
from tests.support.ami import Frame

_AT_ONCE = 9
"""Calls that two cores can play together without the telephones being late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evening:
    """What there is to judge by: the truths, and each source on its own."""

    truths: Mapping[str, Truth]
    """By scenario."""
    frames: Sequence[Frame]
    """AMI, as the adapter's user received it."""
    cel: bytes
    cdr: bytes
    queue_log: bytes
    """The lines that each file has got."""


def play(bench: Bench) -> Evening:
    """Play every story; those together that share no telephone. Raises `NotPlayedError` as `Bench.play` does."""
    files = (bench.cel_csv, bench.master_csv, bench.queue_log)
    before = [file.stat().st_size if file.exists() else 0 for file in files]
    truths: dict[str, Truth] = {}
    with bench.session() as listener:
        since = listener.position()
        for names in groups():
            truths |= zip(names, bench.play_together(*names), strict=True)
        frames = listener.frames[since:]
    cel, cdr, queue_log = (file.read_bytes()[size:] for file, size in zip(files, before, strict=True))
    return Evening(truths=truths, frames=frames, cel=cel, cdr=cdr, queue_log=queue_log)


def groups() -> Sequence[Sequence[str]]:
    """All scenarios, in groups that can be played together, in the order of their beginning."""
    found: list[tuple[set[str], list[str]]] = []
    for names in _inseparable():
        mine = set[str]().union(*(_telephones(STORIES[name]) for name in names))
        for taken, group in found:
            if not taken & mine and len(group) < _AT_ONCE:
                taken.update(mine)
                group.extend(names)
                break
        else:
            found.append((mine, [*names]))
    return [group for _, group in found]


def _inseparable() -> Iterator[list[str]]:
    for name, story in STORIES.items():
        if not story.beside:
            yield [name, *(other for other, one in STORIES.items() if one.beside == name)]


def _telephones(story: Story) -> set[str]:
    lines = {stay.queue for stay in story.stays}
    return {offer.agent for offer in story.offers} | {*story.others, *story.dials, *story.sipp, *lines, story.caller}
