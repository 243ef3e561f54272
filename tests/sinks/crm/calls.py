"""Calls as the fold writes them, for the tests of the journal."""

from dataclasses import replace
from typing import Any

from schemas.events import Call, Participant, Recording, Segment

ENDED = 1_700_000_065_000_000


def call(number: int = 1, **changes: Any) -> Call:
    """An inbound call of a known customer, answered by Ada after a queue, ended."""
    plain = Call(
        call_id=f"main:{number}",
        rev=3,
        tenant="acme",
        pbx="main",
        merge_key="acme/main",
        state="ended",
        direction="inbound",
        outcome="answered",
        customer_number="+33123456789",
        customer_raw="0123456789",
        did="+33199000000",
        queue="support",
        agent="201",
        started_at=1_700_000_000_000_000,
        connected_at=1_700_000_010_000_000,
        ended_at=ENDED,
        updated_at=ENDED,
        talk_s=55.0,
        duration_s=65.0,
        segments=(Segment(agent="201", name="Ada", queue="support", talk_s=55.0, result="answered"),),
        participants=(
            Participant(role="customer", e164="+33123456789", name="Zoë", answered=True),
            Participant(role="agent", number="201", name="Ada", answered=True),
        ),
        match="matched",
        crm="crm",
        contact_id="C1",
        contact_name="Zoë Čapková",
    )
    return replace(plain, **changes)


def recorded(one: Call) -> Call:
    """The next revision, with its recording."""
    return replace(one, rev=one.rev + 1, state="final", recordings=(Recording(file=f"{one.call_id[5:]}.wav"),))


def absorbed(one: Call) -> Call:
    """The next revision: the call was part of another one."""
    return replace(one, rev=one.rev + 1, state="merged", merged_into="main:0")
