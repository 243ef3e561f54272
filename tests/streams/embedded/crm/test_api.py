"""The sandbox's API: token, journal, faults, and what it does with anything at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from tests.streams.embedded.crm.sandbox import App

CALL = {"call_id": "main:1", "subject": "x", "direction": "inbound", "started_at": "2026-01-02T03:04:05Z"}


def test_every_way_into_the_api_asks_for_the_token(app: App) -> None:
    """No token, a wrong one, and bytes that are no token: 401 on each route, and nothing is done."""
    routes = [r for r in app.app.routes if isinstance(r, Route) and r.path.startswith(("/api/", "/admin/"))]
    assert len(routes) > 20
    for route in routes:
        path = route.path.replace("{id:int}", "1").replace("{id}", "C1")
        for token in ("", "wrong", "\xff"):
            headers = {"authorization": f"Bearer {token}".encode("latin-1")} if token else {}
            for method in (route.methods or set()) - {"HEAD"}:
                answer = app.ask(method, path, token="", headers=headers, content=b"{}")
                assert answer.status_code == 401, (method, path)


def test_a_foreign_host_name_is_refused(app: App) -> None:
    """A page of another site cannot reach the pages through a name that leads to the loopback."""
    assert app.ask("GET", "/contacts", host="evil.test").status_code == 400
    assert app.ask("GET", "/contacts", host="localhost").status_code == 200


def test_the_same_post_twice_makes_two_entries(app: App) -> None:
    """Nothing is deduplicated here: that is what a client's own ledger is for."""
    first, second = app.post("/api/activities", **CALL), app.post("/api/activities", **CALL)
    assert first["id"] != second["id"]
    assert [a["id"] for a in app.get("/api/activities", call_id="main:1")["items"]] == [first["id"], second["id"]]


def test_a_patch_of_the_journal_changes_only_what_is_given(app: App) -> None:
    """Also twice the same."""
    made = app.post("/api/activities", **CALL, notes="typed", duration=7)
    for _ in range(2):
        changed = app.patch(f"/api/activities/{made['id']}", recording="a.wav")
        assert changed == {**made, "recording": "a.wav"}
    assert app.patch(f"/api/activities/{made['id']}", duration=None)["duration"] is None


def test_a_deleted_entry_is_gone(app: App) -> None:
    """For every verb, by the same code."""
    made = app.post("/api/activities", **CALL)
    app.delete(f"/api/activities/{made['id']}")
    for method in ("GET", "PATCH", "DELETE"):
        answer = app.ask(method, f"/api/activities/{made['id']}", content=b"{}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_activity")
    assert app.get("/api/activities", call_id="main:1")["items"] == []


def test_the_journal_is_paged(app: App) -> None:
    """Every entry once, in order."""
    for n in range(7):
        app.post("/api/activities", call_id=f"main:{n}")
    seen, cursor = [], "0"
    while cursor:
        page = app.get("/api/activities", cursor=cursor, limit=3)
        seen += [a["call_id"] for a in page["items"]]
        cursor = page["next"]
    assert seen == [f"main:{n}" for n in range(7)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"contact_id": "C9"}, "unknown_contact"),
        ({"started_at": "yesterday"}, "invalid"),
        ({"duration": -1}, "invalid"),
        ({"duration": 1e300}, "invalid"),
        ({"direction": "sideways"}, "invalid"),
        ({"unheard_of": 1}, "invalid"),
        ({"result": "x" * 501}, "invalid"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(app: App, body: dict[str, Any], code: str) -> None:
    """422 with the reason's code; nothing is kept."""
    answer = app.ask("POST", "/api/activities", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert app.get("/api/activities")["items"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["id", "name", "numbers", "call_id", "contact_id", "duration", "contacts", "into", "url", "seed"]
)


def test_text_that_is_no_unicode_is_refused(app: App) -> None:
    """A lone surrogate can be neither kept nor shown."""
    assert app.ask("POST", "/api/contacts", content=b'{"name": "\\ud800"}').status_code == 422


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["POST", "PATCH", "PUT", "GET", "DELETE"]),
    path=st.sampled_from(
        [
            "/api/contacts",
            "/api/contacts/import",
            "/api/contacts/C1",
            "/api/contacts/C1/merge",
            "/api/contacts/C1/notes",
            "/api/changes",
            "/api/activities",
            "/api/activities/1",
            "/api/webhooks",
            "/admin/faults",
        ]
    ),
    query=st.dictionaries(
        st.sampled_from(["cursor", "limit", "token", "phone", "call_id", "updated_since"]), st.text(max_size=25)
    ),
    body=st.dictionaries(KEYS, JSON, max_size=4).map(lambda d: json.dumps(d).encode()) | st.binary(max_size=50),
)
def test_nothing_that_is_sent_breaks_it(app: App, method: str, path: str, query: dict[str, str], body: bytes) -> None:
    """Whatever comes is answered, and never by a 5xx of its own."""
    app.faults()
    answer = app.ask(method, path, params=query, content=body)
    assert answer.status_code < 500


def test_faults_come_at_their_rate_and_by_their_seed(app: App) -> None:
    """The same seed gives the same faults; what was refused has not been done."""

    def statuses(seed: int) -> list[int]:
        app.faults(seed=seed, throttled=0.2, unavailable=0.2, retry_after_s=3)
        return [app.ask("POST", "/api/activities", json=CALL).status_code for _ in range(60)]

    first, again, other = statuses(1), statuses(1), statuses(2)
    assert first == again != other
    assert set(first) == {201, 429, 503}
    app.faults()
    done = [s for s in first + again + other if s == 201]
    assert len(app.get("/api/activities", limit=500)["items"]) == len(done)


@pytest.mark.parametrize(
    ("fault", "status", "header"), [("throttled", 429, "3"), ("unavailable", 503, "3"), ("error_in_200", 200, None)]
)
def test_a_fault_that_says_no_has_done_nothing(app: App, fault: str, status: int, header: str | None) -> None:
    """Also the one that hides in a 200."""
    app.faults(**{fault: 1}, retry_after_s=3)
    answer = app.ask("POST", "/api/activities", json=CALL)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, header)
    assert "error" in answer.json()
    assert app.db.execute("SELECT count(*) FROM activities").fetchone()[0] == 0
    assert app.get("/admin/faults")["struck"] == {fault: 1}


@pytest.mark.parametrize(("fault", "entries"), [("lost_answer", 1), ("dropped", 0)])
def test_a_connection_that_is_cut_tells_nothing_of_the_effect(app: App, fault: str, entries: int) -> None:
    """The answer breaks off either way; only the journal knows."""
    app.faults(**{fault: 1}, stall_s=5)
    with pytest.raises(AssertionError):  # the test's transport insists on a whole answer
        app.ask("POST", "/api/activities", json=CALL)
    assert app.db.execute("SELECT count(*) FROM activities").fetchone()[0] == entries


def test_a_lagging_index_finds_an_entry_later(app: App) -> None:
    """By its id it is there at once, by our call id only after the lag."""
    app.faults(index_lag_s=5)
    made = app.post("/api/activities", **CALL)
    assert app.get(f"/api/activities/{made['id']}") == made
    assert app.get("/api/activities", call_id="main:1")["items"] == []
    app.clock.advance(6)
    assert app.get("/api/activities", call_id="main:1")["items"] == [made]


def test_faults_outlive_a_restart(app: App, tmp_path: Path) -> None:
    """They are part of what a test set up."""
    app.faults(throttled=1)
    again = App(tmp_path)
    assert again.ask("GET", "/api/contacts").status_code == 429
    again.db.close()
