"""Whose number is this: matched, ambiguous or nobody's, as the contacts change."""

import string
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.events import CallEvent, Contact, EnrichedCallEvent
from schemas.samples import samples
from streams.processors import contacts
from streams.processors.contacts import NONE, Contacts

NUMBER = "+32470123456"
OTHER = "+32470999999"
EVENT = samples("call-events")[0]


def contact(contact_id: str, *numbers: str, **more: Any) -> Contact:
    return replace(Contact(tenant="acme", crm="crm", contact_id=contact_id, numbers=numbers, updated_at=1), **more)


def put(known: Contacts, *records: Contact) -> None:
    for each in records:
        known.put(f"{each.crm}:{each.contact_id}".encode(), codec.encode(each))


def match(known: Contacts, number: str = NUMBER) -> dict[str, Any]:
    """The appended fields that are not empty."""
    event = codec.decode(EnrichedCallEvent, codec.enrich(codec.encode(EVENT), known.tail(number.encode())))
    appended = [f.name for f in fields(EnrichedCallEvent)][len(fields(CallEvent)) :]
    return {name: getattr(event, name) for name in appended if getattr(event, name)}


@pytest.fixture
def known() -> Contacts:
    return Contacts()


def test_a_number_of_one_contact_is_matched(known: Contacts) -> None:
    """All that the CRM says of the contact stands on the event."""
    put(known, contact("7", OTHER, NUMBER, name="Zoë", company_id="c1", owner="ada", priority=2, segment="gold"))
    assert match(known) == {
        "match": "matched",
        "crm": "crm",
        "contact_id": "7",
        "company_id": "c1",
        "contact_name": "Zoë",
        "owner": "ada",
        "priority": 2,
        "segment": "gold",
        "match_rule": "number",
    }


def test_a_company_is_its_own_company(known: Contacts) -> None:
    """Who calls from the switchboard of a company belongs to it."""
    put(known, contact("c1", NUMBER, kind="company", name="Acme"))
    assert (match(known)["contact_id"], match(known)["company_id"]) == ("c1", "c1")


def test_a_number_of_nobody_is_none(known: Contacts) -> None:
    """Also when others are known."""
    put(known, contact("7", OTHER))
    assert match(known) == {"match": "none"}


def test_a_shared_number_is_ambiguous_and_never_the_first(known: Contacts) -> None:
    """All candidates are named, in order of their ids, and none is chosen."""
    put(known, contact("9", NUMBER, name="Ann"), contact("10", NUMBER, name="Bob"), contact("2", NUMBER, name="Cy"))
    assert match(known) == {
        "match": "ambiguous",
        "crm": "crm",
        "candidates": ("10", "2", "9"),
        "match_rule": "number",
    }


def test_what_candidates_agree_on_is_told(known: Contacts) -> None:
    """A person and the company's switchboard: the company and its owner are sure, who of them calls is not."""
    put(
        known,
        contact("c1", NUMBER, kind="company", name="Acme", owner="ada", segment="gold"),
        contact("7", NUMBER, name="Ann", company_id="c1", owner="ada", segment="silver"),
    )
    assert match(known) == {
        "match": "ambiguous",
        "crm": "crm",
        "company_id": "c1",
        "owner": "ada",
        "candidates": ("7", "c1"),
        "match_rule": "number",
    }


def test_candidates_of_several_crms_are_told_apart(known: Contacts) -> None:
    """Contact 7 of one CRM is not contact 7 of another."""
    put(known, contact("7", NUMBER, crm="sales"), contact("7", NUMBER, crm="care"))
    assert match(known) == {"match": "ambiguous", "candidates": ("care:7", "sales:7"), "match_rule": "number"}


def test_a_crowd_has_no_candidates(known: Contacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A placeholder that a thousand contacts have must not make every event a thousand ids longer."""
    monkeypatch.setattr(contacts, "_CROWD", 2)
    put(known, *(contact(name, NUMBER, owner="ada") for name in "abc"))
    assert match(known) == {"match": "ambiguous", "match_rule": "crowd"}


def test_a_deleted_contact_is_forgotten(known: Contacts) -> None:
    """A tombstone takes all its numbers, and what was ambiguous becomes clear."""
    put(known, contact("7", NUMBER, OTHER), contact("8", NUMBER, name="Bob"))
    assert match(known)["match"] == "ambiguous"
    known.put(b"crm:7", None)
    assert match(known)["contact_id"] == "8"
    assert match(known, OTHER) == {"match": "none"}


def test_a_tombstone_of_a_stranger_changes_nothing(known: Contacts) -> None:
    """A deletion may be all that compaction left."""
    known.put(b"crm:7", None)
    assert len(known) == 0


def test_a_changed_number_moves(known: Contacts) -> None:
    """The old number is nobody's at once, also when it was looked up before."""
    put(known, contact("7", NUMBER, name="Ann"))
    assert match(known)["contact_id"] == "7"
    put(known, contact("7", OTHER, name="Ann"))
    assert match(known) == {"match": "none"}
    assert match(known, OTHER)["contact_id"] == "7"


def test_a_changed_name_is_told_at_once(known: Contacts) -> None:
    """What was looked up before is not told again."""
    put(known, contact("7", NUMBER, name="Ann"))
    match(known)
    put(known, contact("7", NUMBER, name="Ann Smith"))
    assert match(known)["contact_name"] == "Ann Smith"


def test_an_unreadable_record_changes_nothing(known: Contacts) -> None:
    """The contact stays as it was known."""
    put(known, contact("7", NUMBER))
    with pytest.raises(codec.UndecodableError):
        known.put(b"crm:7", b"junk")
    assert match(known)["contact_id"] == "7"


def test_looked_up_numbers_do_not_fill_the_memory(known: Contacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stranger who calls is looked up; only so many answers are kept."""
    monkeypatch.setattr(contacts, "_TAILS", 10)
    for i in range(100):
        assert known.tail(b"+3247%d" % i) == NONE
    assert len(known.tails) <= 10


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.sets(st.sampled_from(string.digits[:4]), max_size=3)), max_size=20
)


@given(STEPS)
def test_the_table_is_what_the_last_records_say(steps: list[tuple[str, set[str] | None]]) -> None:
    """However contacts came, changed and went, each number is answered as from scratch."""
    live, last = Contacts(), dict[str, set[str] | None]()
    for name, numbers in steps:
        last[name] = numbers
        key = f"crm:{name}".encode()
        live.put(key, None if numbers is None else codec.encode(contact(name, *sorted(numbers))))
        holders = {n: sorted(c for c, held in last.items() if held and n in held) for n in string.digits[:4]}
        for number, names in holders.items():
            found = match(live, number)
            assert found["match"] == ("none", "matched", "ambiguous")[min(2, len(names))]
            assert [found["contact_id"]] == names if len(names) == 1 else list(found.get("candidates", ())) == names
        assert len(live) == sum(bool(names) for names in holders.values())
