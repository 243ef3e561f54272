"""What a real Asterisk sent for known calls, through the adapter, against what the callers and telephones know."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from producers.adapter import Context, Frame, Ordinals
from producers.numbers import NumberPlan
from producers.pbx import asterisk_ami
from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from tests.streams.processors.folding.script import MICRO, finals, fold

RECORDINGS = Path(__file__).parents[2] / "producers" / "pbx" / "asterisk_ami"
CASES = sorted(case.name for case in RECORDINGS.iterdir() if (case / "truth.json").exists())
HOUSE = NumberPlan(
    country="BE",
    extensions=r"2\d\d",
    dids=tuple(f"02555010{n}" for n in range(6)),
    trunk_contexts=("from-trunk",),
    outside_prefix="9",
)
SECOND = 1.0


def events(case: str) -> Iterator[EnrichedCallEvent]:
    """The recording's frames as the adapter reads them; enrichment knows nobody."""
    config = asterisk_ami.Config(host="pbx", username="trunkline", secret=SecretStr("-"))
    context = Context(tenant="t", pbx="main", numbers=HOUSE, config=config)
    ordinals = Ordinals()
    for seq, raw in enumerate((RECORDINGS / case / "frames.txt").read_bytes().split(b"\r\n\r\n")):
        frame = Frame(raw.lstrip(b"\r\n"), 0, seq, ordinals.of(raw))
        for event in asterisk_ami.normalise(frame, context) if raw.strip() else ():
            row = codec.as_row(event)
            yield EnrichedCallEvent(**{**row, "received_at": event.ts})


def truths(case: str) -> Sequence[Mapping[str, Any]]:
    told: Sequence[Mapping[str, Any]] = orjson.loads((RECORDINGS / case / "truth.json").read_bytes())["calls"]
    return told


def hung_up_by(truth: Mapping[str, Any]) -> str:
    """The truth names the customer, the record the customer's side of the call."""
    if truth["hangup_by"] != "customer":
        return str(truth["hangup_by"])
    return "caller" if truth["direction"] == "inbound" else "callee"


def known_as(number: str) -> str:
    """A telephone of the house by its extension, anybody else in E.164."""
    return number if HOUSE.is_extension(number) else HOUSE.e164(number)


def near(known: int | None, true: int | None) -> bool:
    if known is None or true is None:
        return known is true
    return abs(known - true) <= SECOND * MICRO


def rung(call: Call) -> set[tuple[str, str]]:
    return {(part.agent, part.result) for part in call.segments if part.offered_at and part.kind != "external"}


@pytest.mark.parametrize("case", CASES)
def test_the_record_is_what_happened(case: str) -> None:
    """One record a call, and every field that the outside can know is what the outside knows."""
    calls = finals(fold(list(events(case)), short_abandon_seconds=0))
    assert set(calls) == {f"main:{truth['linkedid']}" for truth in truths(case)}
    for truth in truths(case):
        call = calls[f"main:{truth['linkedid']}"]
        assert call.state == "final"
        assert (call.direction, call.outcome) == (truth["direction"], truth["outcome"])
        assert (call.customer_number, call.match == "hidden") == (truth["customer_number"], truth["hidden"])
        assert (HOUSE.e164(truth["did"]), call.dialled_number) == (call.did, truth["dialled"])
        assert (call.queue, call.agent) == (truth["queue"], truth["last_agent"])
        assert rung(call) == {(offer["agent"], offer["result"]) for offer in truth["offers"]}
        assert near(call.started_at, truth["started_at"])
        assert near(call.connected_at, truth["connected_at"])
        assert near(call.ended_at, truth["ended_at"])
        assert call.hangup_by == hung_up_by(truth)
        assert [move.kind for move in call.transfers] == ([truth["transfer"]] if truth["transfer"] else [])
        assert call.reached_number == known_as(truth["answered_by"])
        assert truth["hidden"] or call.caller_number == truth["caller"]
        assert truth["hidden"] or truth["direction"] != "inbound" or call.caller_name == truth["caller_name"]


@pytest.mark.parametrize("case", sorted(set(CASES) - {"attended_transfer"}))
def test_hold_is_what_the_telephone_did(case: str) -> None:
    """Seconds of hold, and nothing else is taken for hold."""
    calls = finals(fold(list(events(case))))
    for truth in truths(case):
        held = calls[f"main:{truth['linkedid']}"].hold_s
        assert held == pytest.approx(truth["held_s"], abs=SECOND)


def test_attended_transfer_keeps_the_consultation() -> None:
    """`*2`: one call, the consultation beside the two talks, and the customer was held until they were joined."""
    (call,) = finals(fold(list(events("attended_transfer")))).values()
    assert [(part.agent, part.kind, part.result) for part in call.segments] == [
        ("201", "agent", "answered"),
        ("203", "consult", "answered"),
        ("203", "agent", "answered"),
    ]
    assert [(move.by, move.to, move.result) for move in call.transfers] == [("201", "203", "completed")]
    assert call.hold_s == pytest.approx(4.3, abs=0.1)
    assert call.talk_s == pytest.approx(1.6 + 2.8, abs=0.1)


def test_talk_of_a_ring_all_queue() -> None:
    """Behind Local channels that stay in the call, talk is counted once and belongs to the telephone."""
    (call,) = finals(fold(list(events("queue_ringall_local")))).values()
    winner = next(part for part in call.segments if part.result == "answered")
    assert (winner.agent, winner.queue) == ("205", "sales")
    assert winner.talk_s == pytest.approx(2.0, abs=0.1)
    assert call.talk_s == winner.talk_s
