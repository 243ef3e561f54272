"""What a call reads like in a CRM."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.events import Call, Note, Participant, Segment
from schemas.samples import samples
from sinks.crm.journal import FIELDS, entry, number_to_look_up
from tests.sinks.crm.calls import call


def test_an_answered_call_tells_who_talked_how_long_and_how_it_ended() -> None:
    """Every field of the journal, for the shared example of a call that rang at two agents."""
    (answered, _) = samples("calls")
    assert entry(answered, "crm") == {
        "contact_id": "42",
        "subject": "Inbound call, answered by Grace",
        "direction": "inbound",
        "started_at": "2026-07-01T10:00:00Z",
        "duration": "68",
        "customer_number": "+32470123456",
        "customer_name": "Zoë Čapková",
        "participants": "customer: Zoë Čapková (+32470123456)\n"
        "agent: Ada (201), no answer\nagent: Grace (202), answered, talked 0:50",
        "result": "answered",
        "queue": "support",
        "did": "+3225550100",
        "recording": "2026/07/01/support-58.wav",
        "candidates": "",
        "notes": "grace: Wants a call back on Friday. · callback · #callback",
    }


MISSED: dict[str, Any] = {"agent": "", "segments": (), "talk_s": None}


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({**MISSED, "outcome": "abandoned"}, "Inbound call, abandoned in queue support"),
        ({**MISSED, "outcome": "queue_timeout"}, "Inbound call, queue timeout in queue support"),
        ({**MISSED, "outcome": "busy", "direction": "outbound", "queue": ""}, "Outbound call, busy"),
        ({**MISSED, "outcome": "", "direction": "", "queue": ""}, "Call"),
        ({"outcome": "answered", "segments": ()}, "Inbound call, answered by 201"),
    ],
)
def test_the_subject_is_a_sentence(changes: dict[str, Any], subject: str) -> None:
    """Direction, outcome, and who or where; never a number."""
    assert entry(call(**changes), "crm")["subject"] == subject


@pytest.mark.parametrize(
    ("changes", "contact", "candidates"),
    [
        ({"match": "matched"}, "C1", ""),
        ({"match": "ambiguous", "contact_id": "", "candidates": ("C1", "C2")}, "", "C1, C2"),
        ({"match": "none", "contact_id": ""}, None, None),
        ({"match": "matched", "crm": "another"}, None, None),
    ],
)
def test_who_called_is_told_by_enrichment_against_this_crm(
    changes: dict[str, Any], contact: str | None, candidates: str | None
) -> None:
    """One contact, candidates, or no statement: ids of another CRM mean nothing here."""
    fields = entry(call(**changes), "crm")
    assert (fields.get("contact_id"), fields.get("candidates")) == (contact, candidates)


def test_a_hidden_caller_stays_hidden() -> None:
    """Neither number nor name is in the entry, and nothing is looked up."""
    hidden = call(match="hidden", crm="", contact_id="", contact_name="", customer_number="", customer_raw="anonymous")
    fields = entry(hidden, "crm")
    assert fields["customer_number"] == "hidden"
    assert fields["customer_name"] == ""
    assert fields["participants"].splitlines()[0] == "customer: number hidden"
    assert number_to_look_up(hidden) == ""


def test_an_internal_call_looks_nobody_up() -> None:
    """Both parties are the house's own."""
    assert number_to_look_up(call(match="internal")) == ""
    assert number_to_look_up(call(match="none")) == "+33123456789"


def test_an_estimated_call_says_so() -> None:
    """Whoever reads the entry knows not to trust its times."""
    assert "estimated" in entry(call(quality=("gap", "estimated")), "crm")["notes"]


@pytest.mark.parametrize("flag", ["incomplete", "inferred"])
def test_a_call_that_lost_an_event_says_so(flag: str) -> None:
    """The person who reads it is told that it may be wrong; one that was mended from records is not doubted."""
    assert "may be missing or wrong" in entry(call(quality=(flag,)), "crm")["notes"]
    assert "missing" not in entry(call(quality=("gap_resolved",)), "crm")["notes"]
    assert entry(call(), "crm")["notes"] == ""


def test_an_unknown_duration_is_empty_and_not_zero() -> None:
    """None is not a call of no seconds."""
    assert entry(call(duration_s=None), "crm")["duration"] == ""
    assert entry(call(duration_s=0.4), "crm")["duration"] == "0"


def test_outside_text_is_bounded_and_has_no_control_characters() -> None:
    """A caller's name can hold anything; a CRM takes less."""
    hostile = "Zoë\x00\r\n\x1b[31m\u202e" + "x" * 100_000
    fields = entry(
        call(
            contact_name=hostile,
            queue=hostile,
            segments=(Segment(agent="201", name=hostile),),
            participants=(Participant(role="customer", name=hostile),),
            notes=(Note(at=1, text=hostile),),
        ),
        "crm",
    )
    for name, text in fields.items():
        assert len(text) <= 10_000, name
        assert all(c.isprintable() or c == "\n" for c in text), name


def test_every_field_has_a_name_that_connectors_know() -> None:
    """An entry with a contact has exactly the journal's fields."""
    everything: Call = replace(call(), notes=(Note(at=1, text="x"),))
    assert set(entry(everything, "crm")) == set(FIELDS)
