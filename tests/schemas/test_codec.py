"""Bytes on the wire: round trips, slices, appended tails, and hostile bytes."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import UndecodableError
from schemas.events import CallEvent, EnrichedCallEvent
from schemas.samples import samples
from schemas.topics import manifest

TOPICS = list(manifest().topics)
TAIL = tuple(f.name for f in fields(EnrichedCallEvent))[len(fields(CallEvent)) :]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_example_survives_the_wire(topic: str) -> None:
    """What is read is what was written."""
    for record in samples(topic):
        assert codec.decode(type(record), codec.encode(record)) == record


def test_a_frame_is_confluents() -> None:
    """A magic zero, the schema number in four bytes, then the body."""
    value = codec.encode(samples("call-events")[0])
    assert value[0] == 0
    assert codec.schema_id(value) == int.from_bytes(value[1:5]) == manifest().schemas["CallEvent"].current_id


@given(
    number=st.from_regex(r"\+[1-9][0-9]{0,14}", fullmatch=True) | st.just(""),
    event_id=st.binary(min_size=16, max_size=16),
)
def test_id_and_number_are_sliced_undecoded(number: str, event_id: bytes) -> None:
    """The two fields that dedupe and enrichment need cost no decode."""
    value = codec.encode(replace(samples("call-events")[0], customer_number=number, event_id=event_id))
    assert codec.event_id(value) == event_id
    assert codec.customer_number(value) == number.encode()


def test_an_appended_tail_is_the_enriched_record() -> None:
    """Enriched bytes are a new header, the original body and the tail: nothing is decoded or encoded again."""
    for enriched in samples("call-events-enriched"):
        row = codec.as_row(enriched)
        event = CallEvent(**{f.name: getattr(enriched, f.name) for f in fields(CallEvent)})
        joined = codec.enrich(codec.encode(event), codec.encode_tail({name: row[name] for name in TAIL}))
        assert joined == codec.encode(enriched)
        assert codec.decode(EnrichedCallEvent, joined) == enriched


@given(st.binary(max_size=200), st.sampled_from([b"", codec.header(100001), codec.header(100003), codec.header(1)]))
def test_arbitrary_bytes_are_undecodable_and_nothing_else(body: bytes, head: bytes) -> None:
    """No byte string raises anything but UndecodableError."""
    for record in codec.record_types():
        try:
            codec.decode(record, head + body)
        except UndecodableError:
            continue


def test_another_topics_record_is_refused_by_its_number() -> None:
    """A Call is not read as a Contact, whatever its bytes look like."""
    with pytest.raises(UndecodableError, match="100008 is no released version of Contact"):
        codec.decode(type(samples("contacts")[0]), codec.encode(samples("calls")[0]))
