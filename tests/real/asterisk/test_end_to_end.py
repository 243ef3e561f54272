"""A real call on the real Asterisk stands once in ClickHouse and once in the CRM's journal, and is what happened."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime

import phonenumbers
import pytest

from tests.real.asterisk.bench import Bench
from tests.real.asterisk.road import CONTACTS, Road, Row, call_id, micros
from tests.real.asterisk.stories import STORIES, Story, Truth

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # the first one may build the folder

_SECOND = 1_000_000
_TOGETHER = 200_000
"""µs within which the telephones that ring together begin to ring."""
_HOUSE = {"201": "Anna Peeters", "202": "Bram Claes"}
"""Names that the PBX has for telephones that start a call (config/pbx/pjsip.conf)."""


@pytest.fixture(scope="module")
def truths(asterisk: Bench, road: Road) -> Mapping[str, Truth]:
    """Every scenario played, those at the same time that share no telephone; all has arrived."""
    played: dict[str, Truth] = {}
    for together in _groups():
        played |= zip(together, asterisk.play_together(*together), strict=True)
    with suppress(TimeoutError):  # the test of the call that is missing tells
        road.await_arrival(played.values())
    return played


@pytest.fixture(scope="module")
def calls(road: Road, truths: Mapping[str, Truth]) -> list[Row]:
    """What the warehouse says in the end."""
    return road.calls()


@pytest.fixture(scope="module")
def journal(road: Road, truths: Mapping[str, Truth]) -> list[Row]:
    """What the CRM shows in the end."""
    return road.journal()


def _groups() -> list[list[str]]:
    groups: list[tuple[set[str], list[str]]] = []
    for name, story in STORIES.items():
        mine = _telephones(story)
        taken, names = next((group for group in groups if not group[0] & mine), (set[str](), list[str]()))
        if not names:
            groups.append((taken, names))
        taken |= mine
        names.append(name)
    return [names for _, names in groups]


def _telephones(story: Story) -> set[str]:
    return {offer.agent for offer in story.offers} | {*story.others, story.caller}


def _one(rows: list[Row], truth: Truth) -> Row:
    (row,) = (row for row in rows if row["call_id"] == call_id(truth))
    return row


def _owners(truth: Truth) -> list[str]:
    """Contacts of the customer's number, read by libphonenumber and not by us."""
    return [key for key, (_, numbers) in CONTACTS.items() if truth.customer_number in map(_e164, numbers)]


def _e164(number: str) -> str:
    return phonenumbers.format_number(phonenumbers.parse(number, "BE"), phonenumbers.PhoneNumberFormat.E164)


def _known_as(number: str) -> str:
    """A telephone of the house by its extension, anybody else in E.164."""
    return _e164(number) if len(number) > 3 else number


def _match(truth: Truth) -> str:
    if truth.direction == "internal" or truth.hidden:
        return "internal" if truth.direction == "internal" else "hidden"
    return ("none", "matched", "ambiguous")[min(2, len(_owners(truth)))]


def _rang(call: Row) -> Iterator[tuple[str, str]]:
    """Agent and result of each telephone of the house in the order of ringing; those that rang together by number."""
    ordered = []
    first = 0
    for part in call["segments"]:
        at = micros(part["offered_at"])
        if at is None or part["kind"] == "external":
            continue
        first = at if at > first + _TOGETHER else first
        ordered.append((first, part["agent"], part["result"]))
    return ((agent, result) for _, agent, result in sorted(ordered))


def _hung_up_by(truth: Truth) -> str:
    """The truth names the customer, the record the customer's side of the call."""
    if truth.hangup_by != "customer":
        return truth.hangup_by
    return "caller" if truth.direction == "inbound" else "callee"


@pytest.mark.parametrize("scenario", STORIES)
def test_record_says_who_and_how(truths: Mapping[str, Truth], calls: list[Row], scenario: str) -> None:
    """Direction, numbers, names, queue, agents with their results, transfer, outcome and who hung up are the truth's."""
    truth = truths[scenario]
    call = _one(calls, truth)

    assert (call["direction"], call["outcome"]) == (truth.direction, truth.outcome)
    assert call["did"] == (_e164(truth.did) if truth.did else "")
    assert (call["dialled_number"], call["queue"]) == (truth.dialled, truth.queue)
    assert call["customer_number"] == truth.customer_number
    assert list(_rang(call)) == [(offer.agent, offer.result) for offer in truth.offers]
    assert (call["reached_number"], call["agent"]) == (_known_as(truth.answered_by), truth.last_agent)
    assert call["hangup_by"] == _hung_up_by(truth)
    assert [(move["kind"], move["result"]) for move in call["transfers"]] == (
        [(truth.transfer, "completed")] if truth.transfer else []
    )
    if truth.hidden:
        assert (call["caller_number"], call["caller_name"]) == ("anonymous", "Anonymous")
    else:
        assert call["caller_number"] == truth.caller
        assert call["caller_name"] == (truth.caller_name or _HOUSE.get(truth.caller, ""))
    assert call["quality"] == []


@pytest.mark.parametrize("scenario", STORIES)
def test_record_says_when(truths: Mapping[str, Truth], calls: list[Row], scenario: str) -> None:
    """Start, first talk and end are those of the telephones, hold and talk last as long as they did, to a second."""
    truth = truths[scenario]
    call = _one(calls, truth)

    assert micros(call["started_at"]) == pytest.approx(truth.started_at, abs=_SECOND)
    assert micros(call["connected_at"]) == pytest.approx(truth.connected_at, abs=_SECOND)
    assert micros(call["ended_at"]) == pytest.approx(truth.ended_at, abs=_SECOND)
    assert call["duration_s"] == pytest.approx((truth.ended_at - truth.started_at) / _SECOND, abs=1)
    if truth.transfer:
        return  # how long the customer waited for the next agent, nobody outside knows
    talk = 0.0 if truth.connected_at is None else (truth.ended_at - truth.connected_at) / _SECOND - truth.held_s
    assert call["hold_s"] == pytest.approx(truth.held_s, abs=1)
    assert call["talk_s"] == pytest.approx(talk, abs=1)


@pytest.mark.parametrize("scenario", STORIES)
def test_record_knows_the_customer(truths: Mapping[str, Truth], calls: list[Row], scenario: str) -> None:
    """One contact with the number is recognised, two are both named and neither is chosen, a hidden one is nobody."""
    truth = truths[scenario]
    call = _one(calls, truth)
    owners = _owners(truth)

    assert call["match"] == _match(truth)
    assert (call["contact_id"], call["contact_name"]) == (
        (owners[0], CONTACTS[owners[0]][0]) if len(owners) == 1 else ("", "")
    )
    assert sorted(call["candidates"]) == (owners if len(owners) > 1 else [])


@pytest.mark.parametrize("scenario", STORIES)
def test_journal_says_the_same(truths: Mapping[str, Truth], journal: list[Row], scenario: str) -> None:
    """The call's one entry is in the right customer's history, with direction, result, times, numbers and names."""
    truth = truths[scenario]
    entry = _one(journal, truth)
    owners = _owners(truth)

    assert (entry["direction"], entry["result"], entry["queue"]) == (truth.direction, truth.outcome, truth.queue)
    assert entry["contact_id"] == (owners[0] if len(owners) == 1 else "")
    assert entry["candidates"] == (", ".join(owners) if len(owners) > 1 else "")
    assert entry["did"] == (_e164(truth.did) if truth.did else "")
    assert entry["customer_number"] == ("hidden" if truth.hidden else truth.customer_number)
    assert entry["customer_name"] == (CONTACTS[owners[0]][0] if len(owners) == 1 else truth.caller_name)
    assert entry["duration"] == pytest.approx((truth.ended_at - truth.started_at) / _SECOND, abs=1)
    began = datetime.fromisoformat(entry["started_at"])
    assert micros(began) == pytest.approx(truth.started_at, abs=_SECOND)
    assert {offer.agent for offer in truth.offers} <= {w.strip("(),") for w in entry["participants"].split()}


def test_attended_transfer_holds_the_customer_while_the_agents_talk(
    truths: Mapping[str, Truth], calls: list[Row]
) -> None:
    """The customer heard music for the whole of the consultation, which is a part of its own."""
    call = _one(calls, truths["attended_transfer"])
    (consult,) = (part for part in call["segments"] if part["kind"] == "consult")
    (hold,) = call["holds"]

    assert (consult["agent"], consult["result"]) == ("203", "answered")
    assert hold["started_at"] <= consult["connected_at"] <= consult["ended_at"] <= hold["ended_at"]


def test_calls_that_happened_are_the_calls_that_arrived(
    truths: Mapping[str, Truth], calls: list[Row], journal: list[Row]
) -> None:
    """One row and one entry for each call played, and no others."""
    happened = Counter(call_id(truth) for truth in truths.values())

    assert len(happened) == len(STORIES)
    assert Counter(call["call_id"] for call in calls) == happened
    assert Counter(entry["call_id"] for entry in journal) == happened


def test_hidden_number_is_nowhere(truths: Mapping[str, Truth], calls: list[Row], journal: list[Row]) -> None:
    """What the caller withheld stands neither in the record nor in the journal."""
    truth = truths["caller_id_hidden"]

    assert truth.caller.removeprefix("+32") not in str(_one(calls, truth))
    assert truth.caller.removeprefix("+32") not in str(_one(journal, truth))


def test_nothing_was_refused(road: Road, truths: Mapping[str, Truth]) -> None:
    """No stage has left a dead letter, whatever Asterisk said."""
    assert road.dead_letters() == ""
