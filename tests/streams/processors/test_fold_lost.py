"""One event of a call is lost, each in turn: the record is right all the same, or says that it is not whole."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from producers.adapter import Context, Frame
from producers.pbx import asterisk_ami
from producers.simulator.exchange import Run
from producers.simulator.truth import line
from schemas import codec
from schemas.events import Call, EnrichedCallEvent
from streams.processors.folding import doubts
from tests.producers.simulator.centre import build
from tests.streams.processors.folding.script import finals, fold
from tests.streams.processors.test_fold_recordings import CASES, events
from tests.support.conservation import UNREAD, judge
from tests.support.road import HOUSE

SITE = asterisk_ami.Config(host="pbx", username="trunkline", secret=SecretStr("-"))
WITHOUT_FACTS = frozenset({"agent.state", "dtmf", "cdr.final", "source.up"})
FACTS = ("direction", "outcome", "customer_number", "did", "queue", "agent", "hangup_by", "match")
TIMES = ("talk_s", "hold_s", "queue_wait_s")
SIGNS = {
    ("leg.updated", ("hangup_by",)): "a caller hangs up on a machine",
    ("voicemail.message", ("outcome",)): "a message is left",
}
"""What only one event tells: when that is lost, nothing contradicts what the record says."""


def simulated(seed: int, count: int) -> Iterator[tuple[dict[str, Any], list[tuple[str, list[EnrichedCallEvent]]]]]:
    """Calls one by one: the truth of each, and its frames by name with the events that they are."""
    played = build(seed)
    exchange = played.player.exchange
    context = Context(tenant="t", pbx="main", numbers=HOUSE, config=SITE)
    for call in islice(played.centre.calls(), count):
        run = Run(call.number)
        told: list[tuple[str, list[EnrichedCallEvent]]] = []
        for step in call.steps:
            for seq, frame in enumerate(exchange.apply(run, step), len(told)):
                found = asterisk_ami.normalise(Frame(frame.wire[:-4], frame.at, seq), context)
                rows = [EnrichedCallEvent(**{**codec.as_row(event), "received_at": event.ts}) for event in found]
                told.append((" ".join((step.event, *step.subjects)), rows))
        closed = line(call.truth, opening=exchange.opening, uniqueid=run.uniqueid, linkedids=run.linkedids, open_=False)
        yield orjson.loads(closed), told


def records(told: Sequence[EnrichedCallEvent]) -> dict[str, Call]:
    """The last revision of each call, those that were merged left out; a lost Hangup is for the audits to find."""
    return {name: call for name, call in finals(fold(told, short_abandon_seconds=0)).items() if call.state != "merged"}


@pytest.mark.parametrize("seed", [1, 2])
def test_every_kind_of_simulated_call(seed: int) -> None:
    """Without the event the record is what happened, or flagged, or nothing could tell; and there is one record."""
    unknown: Counter[str] = Counter()
    for truth, told in simulated(seed, 25):
        name = f"main:{truth['uniqueid']}"
        for place, (lost, found) in enumerate(told):
            event = lost.partition(" ")[0]
            if event in UNREAD | {"Hangup"} or not found or found[0].type in WITHOUT_FACTS:
                continue
            rest = [each for _, rows in told[:place] + told[place + 1 :] for each in rows]
            verdict = judge({name: {**truth, "lost": [lost]}}, records(rest))
            assert verdict.wrong == []
            unknown += verdict.unknown
    assert set(unknown) <= {"HangupRequest", "MessageWaiting", "QueueCallerAbandon"}


def facts(call: Call) -> Mapping[str, object]:
    rung = Counter((part.agent, part.result) for part in call.segments if part.offered_at and part.kind != "external")
    moves = [(move.kind, move.by, move.to) for move in call.transfers]
    return {**{name: getattr(call, name) for name in FACTS}, "rung": rung, "moves": moves}


def changed(whole: Call, call: Call) -> tuple[str, ...]:
    """Which facts read otherwise; times may differ by a second."""
    old, new = facts(whole), facts(call)
    times = [name for name in TIMES if abs((getattr(whole, name) or 0) - (getattr(call, name) or 0)) > 1]
    return (*(name for name in old if old[name] != new[name]), *times)


@pytest.mark.parametrize("case", CASES)
def test_every_call_of_a_real_asterisk(case: str) -> None:
    """Whole it is not doubted; with an event lost its facts stay as they are, or the record is flagged."""
    told = list(events(case))
    whole = records(told)
    assert {flag for call in whole.values() for flag in call.quality} == set()
    for place, lost in enumerate(told):
        if lost.type in WITHOUT_FACTS | {"leg.ended"}:
            continue
        left = records(told[:place] + told[place + 1 :])
        assert left.keys() == whole.keys()
        for name, call in left.items():
            silent = () if call.quality else changed(whole[name], call)
            assert not silent or (lost.type, silent) in SIGNS, (lost.type, lost.data, silent)


def test_a_doubt_has_one_word() -> None:
    """It is a flag like the others, alone where nothing else is known to be wrong, and counted once a call."""
    before = REGISTRY.get_sample_value("trunkline_calls_incomplete_total", {"pbx": "main"}) or 0
    for truth, told in simulated(3, 10):
        if truth["kind"] == "queue_answered":
            rest = [each for name, rows in told if name != "QueueCallerJoin customer" for each in rows]
            (call,) = records(rest).values()
            assert call.quality == (doubts.FLAG,)
            assert REGISTRY.get_sample_value("trunkline_calls_incomplete_total", {"pbx": "main"}) == before + 1
            return
    pytest.fail("no queue call among ten")
