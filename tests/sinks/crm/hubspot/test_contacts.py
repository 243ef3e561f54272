"""A call's contact in HubSpot: found by its number, moved, and left to people."""

from dataclasses import replace

import pytest

from sinks.crm.connector import Entry
from sinks.crm.hubspot import HubSpotPortal
from streams.clients.crm import UnknownContact
from streams.runtime.errors import Retry
from tests.contracts.crm_laws import NUMBER, Bench
from tests.sinks.crm.calls import call, recorded
from tests.sinks.crm.hubspot.account import FIELDS, Far, record


def test_a_call_moves_to_its_contact_and_other_contacts_stay(far: Far) -> None:
    """The one that we had linked is unlinked, the one that a person added is not."""
    far.hubspot.contact("Cid", contact_id="C3")

    async def confirmed(portal: HubSpotPortal) -> Entry:
        (entry,) = await portal.confirm("main:1")
        return entry

    made = far.with_portal(lambda p: p.put_call("main:1", FIELDS | {"contact_id": "C1"}))
    far.hubspot.links.add((record(far)["id"], "C3"))
    assert far.with_portal(confirmed).fields["contact_id"] == "C1"
    far.with_portal(lambda p: p.patch_call(made, {"contact_id": "C2"}))
    assert {contact for _, contact in far.hubspot.links} == {"C2", "C3"}
    assert far.with_portal(confirmed).fields["contact_id"] == "C2"
    far.with_portal(lambda p: p.patch_call(made, {"contact_id": ""}))
    assert {contact for _, contact in far.hubspot.links} == {"C3"}
    assert far.with_portal(confirmed).fields["contact_id"] == "C3"
    with pytest.raises(UnknownContact):
        far.with_portal(lambda p: p.patch_call(made, {"contact_id": "../calls"}))


@pytest.mark.parametrize("requests", range(6))
@pytest.mark.parametrize("met", ["lost", "cut"])
def test_a_move_that_is_cut_off_anywhere_reads_as_one_of_both_and_is_ended_by_the_next(
    far: Far, requests: int, met: str
) -> None:
    """Otherwise the ledger would take the state between for a person's edit."""
    made = far.with_portal(lambda p: p.put_call("main:1", FIELDS | {"contact_id": "C1"}))
    try:
        far.with_portal(lambda p: p.patch_call(made, {"contact_id": "C2"}), [*[""] * requests, met])
    except Retry:
        pass
    else:
        assert requests == 5, "each of the five requests was cut off"
    ((_, fields),) = far.entries()
    assert fields["contact_id"] in {"C1", "C2"}
    if fields["contact_id"] == "C1":
        far.with_portal(lambda p: p.patch_call(made, {"contact_id": "C2"}))
    assert {contact for _, contact in far.hubspot.links} == {"C2"}


def test_who_put_the_call_into_another_history_is_heard(far: Far) -> None:
    """Under the ledger: what a person linked instead of ours stays."""
    bench = Bench(far)
    bench.write(call())
    far.hubspot.links = {(record(far)["id"], "C2")}
    bench.write(replace(recorded(call()), contact_id="C1"))
    assert {contact for _, contact in far.hubspot.links} == {"C2"}


def test_a_number_is_found_in_either_field(far: Far) -> None:
    """Mobile and landline of the same contact; never another country's, never the first of several alone."""
    far.hubspot.contact("Eve", contact_id="C4", mobilephone="+33 (0)1.23.45.67.89")
    for n in range(250):
        far.hubspot.contact(str(n), phone="0987654321")
    assert sorted(far.with_portal(lambda p: p.find_by_phone(NUMBER))) == ["C1", "C4"]
    assert far.with_portal(lambda p: p.find_by_phone("+33612345678")) == ["C1"]
    assert len(far.with_portal(lambda p: p.find_by_phone("+33987654321"))) == 250
