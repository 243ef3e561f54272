"""Bytes in and out: the same as the contract's codec, sliced or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.events import CallEvent, EnrichedCallEvent
from streams.processors.folding import wire
from tests.streams.processors.folding.script import Script

TEXT = st.text(max_size=80)


@given(customer=st.from_regex(r"(\+[0-9]{1,15})?", fullmatch=True), tenant=TEXT, pbx=TEXT, kind=TEXT, name=TEXT)
def test_an_event_is_read_as_the_codec_reads_it(customer: str, tenant: str, pbx: str, kind: str, name: str) -> None:
    """Row and tail together are what was written, and the sliced type is the type or not to be had."""
    event = EnrichedCallEvent(
        event_id=b"0123456789abcdef",
        customer_number=customer,
        tenant=tenant,
        pbx=pbx,
        merge_key=f"{tenant}/{pbx}",
        type=kind,
        ts=1,
        received_at=2,
        data={"a": name},
        match="ambiguous",
        contact_name=name,
        candidates=("C1", "C2"),
    )
    value = codec.encode(event)
    row, tail = wire.read_event(value)
    assert {**row, **wire.read_tail(tail)} == codec.as_row(event)
    if max(len(text.encode()) for text in (tenant, pbx, f"{tenant}/{pbx}", kind)) < 64 and kind.isascii():
        assert wire.event_type(value) == kind


@given(st.binary(max_size=80))
def test_anything_else_is_undecodable(value: bytes) -> None:
    """Whatever the bytes, there is one error; and what is no event has no type that anybody skips."""
    with pytest.raises(codec.UndecodableError):
        wire.read_event(value)
    with pytest.raises(codec.UndecodableError):
        wire.read_said(value)
    assert wire.event_type(value) != "agent.state"


def test_a_cut_event_is_undecodable() -> None:
    """Of every length but the whole: at once, or when its tail is looked at."""
    call = Script()
    call.arrive()
    value = codec.encode(call.events[0])
    for length in range(len(value)):
        with pytest.raises(codec.UndecodableError):
            wire.read_tail(wire.read_event(value[:length])[1])


def test_a_plain_event_is_no_enriched_one() -> None:
    """The schema number decides, not what the bytes look like."""
    event = CallEvent(event_id=bytes(16), tenant="t", pbx="p", merge_key="t/p", type="dtmf", ts=1, received_at=1)
    with pytest.raises(codec.UndecodableError):
        wire.read_event(codec.encode(event))
