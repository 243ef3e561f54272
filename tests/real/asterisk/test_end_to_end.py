"""A real call on the real Asterisk stands once in ClickHouse and once in the CRM's journal, and is what happened."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, get_args, get_type_hints

import phonenumbers
import pytest

from schemas.events import Call
from tests.real.asterisk.conftest import Followed
from tests.real.asterisk.road import CONTACTS, Row, call_id, micros
from tests.real.asterisk.stories import STORIES, Truth
from tests.real.asterisk.verdict import differences

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]  # the first one may build the folder

_SECOND = 1_000_000
T = TypeVar("T")


@pytest.fixture(scope="module")
def truths(followed: Followed) -> Mapping[str, Truth]:
    """Every scenario played; all has arrived."""
    return followed[0].truths


@pytest.fixture(scope="module")
def calls(followed: Followed) -> Sequence[Row]:
    """What the warehouse says in the end."""
    return followed[1].calls


@pytest.fixture(scope="module")
def journal(followed: Followed) -> Sequence[Row]:
    """What the CRM shows in the end."""
    return followed[1].journal


def _one(rows: Sequence[Row], truth: Truth) -> Row:
    (row,) = (row for row in rows if row["call_id"] == call_id(truth))
    return row


def _owners(truth: Truth) -> list[str]:
    """Contacts of the customer's number, read by libphonenumber and not by us."""
    return [key for key, (_, numbers) in CONTACTS.items() if truth.customer_number in map(_e164, numbers)]


def _e164(number: str) -> str:
    return phonenumbers.format_number(phonenumbers.parse(number, "BE"), phonenumbers.PhoneNumberFormat.E164)


def _match(truth: Truth) -> str:
    if truth.direction == "internal" or truth.hidden:
        return "internal" if truth.direction == "internal" else "hidden"
    return ("none", "matched", "ambiguous")[min(2, len(_owners(truth)))]


def _as_call(row: Row) -> Call:
    """The row as the record that it came from."""
    return _value(Call, row)


def _value(kind: type[T], row: Row) -> T:
    hints = get_type_hints(kind)
    return kind(**{name: _field(hints[name], row[name]) for name in hints if name in row})


def _field(hint: Any, told: Any) -> Any:
    match told:
        case datetime():
            return micros(told)
        case list():
            kind: type[Any] = get_args(hint)[0]
            return tuple(_value(kind, each) if isinstance(each, dict) else each for each in told)
        case _:
            return told


@pytest.mark.parametrize("scenario", STORIES)
def test_record_is_what_happened(truths: Mapping[str, Truth], calls: Sequence[Row], scenario: str) -> None:
    """Who, how and when: the row in the warehouse is what the outside knows, times to a second, with nothing flagged."""
    truth = truths[scenario]
    row = _one(calls, truth)

    assert differences(truth, _as_call(row), "all") == {}
    assert row["quality"] == []
    assert row["duration_s"] == pytest.approx((truth.ended_at - truth.started_at) / _SECOND, abs=1)


@pytest.mark.parametrize("scenario", STORIES)
def test_record_knows_the_customer(truths: Mapping[str, Truth], calls: Sequence[Row], scenario: str) -> None:
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
def test_journal_says_the_same(truths: Mapping[str, Truth], journal: Sequence[Row], scenario: str) -> None:
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


def test_calls_that_happened_are_the_calls_that_arrived(
    truths: Mapping[str, Truth], calls: Sequence[Row], journal: Sequence[Row]
) -> None:
    """One row and one entry for each call played, and no others."""
    happened = Counter(call_id(truth) for truth in truths.values())

    assert len(happened) == len(STORIES)
    assert Counter(call["call_id"] for call in calls) == happened
    assert Counter(entry["call_id"] for entry in journal) == happened


def test_hidden_number_is_nowhere(truths: Mapping[str, Truth], calls: Sequence[Row], journal: Sequence[Row]) -> None:
    """What the caller withheld stands neither in the record nor in the journal."""
    truth = truths["caller_id_hidden"]

    assert truth.caller.removeprefix("+32") not in str(_one(calls, truth))
    assert truth.caller.removeprefix("+32") not in str(_one(journal, truth))


def test_nothing_was_refused(followed: Followed) -> None:
    """No stage has left a dead letter, whatever Asterisk said."""
    assert followed[1].dead_letters == ""
