"""Dead letters."""

from importlib.metadata import version

from schemas.codec import decode
from schemas.events import DeadLetter
from streams.runtime.dead_letters import dead_letter
from tests.support.memory import MemoryMessage


def letter_of(value: bytes | None, *, limit: int = 10_000) -> DeadLetter:
    """The letter of a record at call-events:2:77."""
    message = MemoryMessage(value, 2, 77, b"acme/main")
    framed = dead_letter(message, topic="call-events", stage="enrich", reason="junk", trace="here", at=5, limit=limit)
    assert len(framed) <= limit
    return decode(DeadLetter, framed)


def test_a_dead_letter_has_all_that_is_needed_to_try_again() -> None:
    """Topic, partition, key and bytes are the original's; stage, reason, trace, version and time tell what happened."""
    assert letter_of(b"\x00\xff") == DeadLetter(
        topic="call-events",
        partition=2,
        offset=77,
        key=b"acme/main",
        value=b"\x00\xff",
        stage="enrich",
        reason="junk",
        trace="here",
        version=version("trunkline"),
        at=5,
    )


def test_a_record_without_a_value_stays_without() -> None:
    """A tombstone is not made an empty record."""
    assert letter_of(None).value is None


def test_a_letter_never_outgrows_a_record() -> None:
    """Bytes that do not fit stay at their place in the topic, and the letter says so."""
    letter = letter_of(b"x" * 9_500)
    assert letter.value is None
    assert letter.offset == 77
    assert letter.reason == "junk (its 9500 bytes are too many for a dead letter)"
