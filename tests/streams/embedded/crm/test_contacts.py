"""Contacts of the sandbox: paging, times, the change feed, deletes and merges."""

import asyncio
from typing import Any

import pytest

from tests.streams.embedded.crm.sandbox import App


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def test_a_contact_is_kept_as_people_typed_it(app: App) -> None:
    """Numbers stay raw and in order; the time has whole seconds."""
    numbers = ["0470/12.34.99", "+32 (0)2 555 01 00 ext 3", "no number"]
    made = app.post("/api/contacts", name="Zoë", numbers=numbers, owner="ada", priority=5, segment="gold")
    assert app.get(f"/api/contacts/{made['id']}") == made
    assert made["numbers"] == numbers
    assert made["updated_at"] == "2023-11-14T22:13:20Z"


def test_a_patch_changes_only_what_is_given(app: App) -> None:
    """The other fields stay, and the time moves on."""
    app.post("/api/contacts", id="C1", name="Zoë", numbers=["1234567"], owner="ada")
    app.clock.advance(1.4)
    changed = app.patch("/api/contacts/C1", owner="bo")
    assert (changed["name"], changed["numbers"], changed["owner"]) == ("Zoë", ["1234567"], "bo")
    assert changed["updated_at"] == "2023-11-14T22:13:21Z"


def test_pages_miss_nobody_while_contacts_come_and_go(app: App) -> None:
    """A contact that stays is on one of the pages, whatever is made and deleted in between."""
    app.post("/api/contacts/import", contacts=[{"id": f"C{n:02d}"} for n in range(20)])
    seen: list[str] = []
    gone: set[str] = set()
    cursor = "0"
    while cursor:
        page = app.get("/api/contacts", cursor=cursor, limit=3)
        seen += ids(page["items"])
        cursor = page["next"]
        if len(gone) < 5:
            gone.add(page["items"][0]["id"])
            app.delete(f"/api/contacts/{page['items'][0]['id']}")
            app.post("/api/contacts", name="new")
    assert {f"C{n:02d}" for n in range(20)} - gone <= set(seen)
    assert len(seen) == len(set(seen))


def test_updated_since_includes_its_own_second(app: App) -> None:
    """Two updates of the same second are both found by its time."""
    app.post("/api/contacts", id="C1")
    app.clock.advance(10.2)
    app.post("/api/contacts", id="C2")
    app.clock.advance(0.5)
    made = app.post("/api/contacts", id="C3")
    assert ids(app.get("/api/contacts", updated_since=made["updated_at"])["items"]) == ["C2", "C3"]


def test_the_time_is_when_the_transaction_began(app: App) -> None:
    """A long write shows up with a time that lies behind writes that were seen before it."""
    app.faults(commit_lag_s=10)

    async def both() -> tuple[Any, Any]:
        long = asyncio.create_task(app.asked("POST", "/api/contacts", json={"id": "C1"}))
        await asyncio.sleep(0)
        return (await long).json(), app.clock.now() // 1_000_000

    made, committed = asyncio.run(both())
    assert made["updated_at"] == "2023-11-14T22:13:20Z"
    assert committed == 1_700_000_010


def test_the_change_feed_gives_the_last_state_of_each(app: App) -> None:
    """Pages go on from the token; a contact that changed twice is there once, a deleted one as gone."""
    token = app.get("/api/changes/mark")["token"]
    for n in range(4):
        app.post("/api/contacts", id=f"C{n}")
    app.patch("/api/contacts/C0", name="Zoë")
    app.delete("/api/contacts/C1")
    app.post("/api/contacts/C2/merge", into="C3")
    told = app.get("/api/changes", token=token)
    assert {c["id"]: c["name"] for c in told["updated"]} == {"C0": "Zoë", "C3": ""}
    assert told["gone"] == [{"id": "C1", "merged_into": ""}, {"id": "C2", "merged_into": "C3"}]
    assert not told["more"]
    assert app.get("/api/changes", token=told["token"]) == {
        "updated": [],
        "gone": [],
        "token": told["token"],
        "more": False,
    }


def test_the_change_feed_in_small_pages_tells_the_same(app: App) -> None:
    """Every state that a page tells is the present one, and nothing is left out."""
    for n in range(5):
        app.post("/api/contacts", id=f"C{n}")
    app.delete("/api/contacts/C4")
    updated, gone, token, more = set(), set(), "0", True
    while more:
        told = app.get("/api/changes", token=token, limit=2)
        updated |= set(ids(told["updated"]))
        gone |= set(ids(told["gone"]))
        token, more = told["token"], told["more"]
    assert (updated, gone) == ({"C0", "C1", "C2", "C3"}, {"C4"})


def test_an_old_token_is_expired_and_not_answered_in_part(app: App) -> None:
    """The feed keeps so many entries; who asks for more must scan."""
    app.faults(changes_kept=3)
    token = app.get("/api/changes/mark")["token"]
    for n in range(4):
        app.post("/api/contacts", id=f"C{n}")
    answer = app.ask("GET", "/api/changes", params={"token": token})
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "expired")
    assert len(app.get("/api/changes", token=int(token) + 1)["updated"]) == 3


def test_a_lossy_feed_loses_changes_but_no_contacts(app: App) -> None:
    """As with event queues of real CRMs; the scan still finds them."""
    app.faults(lost_changes=1)
    token = app.get("/api/changes/mark")["token"]
    app.post("/api/contacts", id="C1")
    assert app.get("/api/changes", token=token)["updated"] == []
    assert ids(app.get("/api/contacts")["items"]) == ["C1"]


def test_a_merge_moves_numbers_calls_and_notes(app: App) -> None:
    """What was the one's is the other's; the old id leads there."""
    app.post(
        "/api/contacts/import", contacts=[{"id": "C1", "numbers": ["1", "2"]}, {"id": "C2", "numbers": ["2", "3"]}]
    )
    app.post("/api/activities", call_id="main:1", contact_id="C1")
    app.post("/api/contacts/C1/notes", author="ada", text="likes tea")
    merged = app.post("/api/contacts/C1/merge", into="C2")
    assert merged["numbers"] == ["2", "3", "1"]
    assert app.get("/api/activities", call_id="main:1")["items"][0]["contact_id"] == "C2"
    assert app.get("/api/contacts/C2/notes")["items"][0]["text"] == "likes tea"
    gone = app.ask("GET", "/api/contacts/C1")
    assert (gone.status_code, gone.json()["error"]["into"]) == (404, "C2")
    app.post("/api/contacts", id="C3")
    app.post("/api/contacts/C2/merge", into="C3")
    assert app.post("/api/activities", call_id="main:2", contact_id="C1")["contact_id"] == "C3"


def test_a_deleted_contact_leaves_its_calls_unassigned(app: App) -> None:
    """The journal is not rewritten."""
    app.post("/api/contacts", id="C1")
    app.post("/api/activities", call_id="main:1", contact_id="C1")
    app.delete("/api/contacts/C1")
    assert app.get("/api/activities", call_id="main:1")["items"][0]["contact_id"] == ""


@pytest.mark.parametrize("asked", ["0470123499", "+32470123499", "0470/12.34.99", "70123499"])
def test_the_search_by_telephone_is_as_loose_as_in_most_crms(app: App, asked: str) -> None:
    """The last digits count, so numbers of other countries come along."""
    app.post("/api/contacts", id="C1", numbers=["0470 12 34 99"])
    app.post("/api/contacts", id="C2", numbers=["+33 1 70 12 34 99"])
    app.post("/api/contacts", id="C3", numbers=["0470 12 34 98"])
    assert ids(app.get("/api/contacts", phone=asked)["items"]) == ["C1", "C2"]
