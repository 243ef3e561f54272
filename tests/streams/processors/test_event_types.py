"""Every type of the taxonomy is in some test's input: what nobody ever fed in is not known to work."""

from collections.abc import Iterator
from pathlib import Path

import orjson

from schemas.samples import samples
from schemas.taxonomy import EVENT_TYPES
from streams.processors.folding.steps import STEPS
from tests.streams.processors import test_fold_recorded as recorded
from tests.streams.processors import test_fold_recordings as recordings

PBX = Path(__file__).parents[2] / "producers" / "pbx"
UNSAID = frozenset(
    {
        *("call.started", "call.connected", "call.ended", "call.finalized"),  # the record's state tells it: topic calls
        *("transfer.started", "ivr.exited"),  # Asterisk has no event for it
    }
)
"""In the taxonomy for adapters of other systems; no adapter that there is sends them."""


def real() -> Iterator[str]:
    """Types in what real systems sent, as their adapters read it."""
    for case in recorded.CASES:
        yield from (event.type for event in recorded.events(case))
    for case in recordings.CASES:
        yield from (event.type for event in recordings.events(case))
    for file in PBX.glob("*/*/events.jsonl"):
        yield from (orjson.loads(line)["type"] for line in file.read_bytes().splitlines())


def test_every_type_is_sent_by_some_tests_pbx() -> None:
    """Recordings of real systems, the examples of the contract, and calls as tests tell them."""
    told = [file.read_text(encoding="utf-8") for file in PBX.parents[1].rglob("*.py") if file != Path(__file__)]
    written = {kind for kind in EVENT_TYPES for text in told if f'"{kind}"' in text}
    assert {*real(), *(event.type for event in samples("call-events")), *written} >= EVENT_TYPES - UNSAID


def test_what_no_adapter_sends_is_not_pretended() -> None:
    """A type that is said to be unsaid is found in no recording, and the fold does not wait for it."""
    assert UNSAID <= EVENT_TYPES
    assert not UNSAID & set(real())
    assert not UNSAID & STEPS.keys()


def test_the_real_ones_are_nearly_all() -> None:
    """What is known of a real system only by its source, and by tests that tell it."""
    unseen = STEPS.keys() - set(real())
    assert unseen <= {
        *("leg.live", "queue.position"),  # a snapshot's, not a stream's
        *("ivr.entered", "note", "recording.available"),  # a dialplan or another system tells them, when it is asked to
        *("recording.stopped", "transfer.failed"),
    }
