"""The sandbox's pages for people: what they show, and that text in them stays text."""

import pytest

from streams.embedded.crm.pages import span
from tests.streams.embedded.crm.sandbox import App

HOSTILE = "\"><script>alert(1)</script>'{{7*7}}&lt;"


def test_a_contact_shows_its_calls(app: App) -> None:
    """Date, time, duration, participants, result and notes, newest first."""
    app.post("/api/contacts", id="C1", name="Zoë Čapková", numbers=["0470 12 34 99"], priority=1)
    app.post("/api/activities", call_id="a", contact_id="C1", started_at="2026-01-02T03:04:05Z", subject="First")
    app.post(
        "/api/activities",
        call_id="b",
        contact_id="C1",
        started_at="2026-01-03T04:05:06Z",
        subject="Second",
        duration=3725,
        participants="customer: Zoë\nagent: Ada (201)",
        result="no_answer",
        notes="Wants a call back.",
    )
    page = app.page("/contacts/C1")
    for text in ("Zoë Čapková", "VIP", "0470 12 34 99", "2026-01-03", "04:05:06", "1:02:05", "agent: Ada (201)"):
        assert text in page
    assert "no answer" in page
    assert "Wants a call back." in page
    assert page.index("Second") < page.index("First")
    assert "sandbox" in page


def test_text_from_outside_stays_text(app: App) -> None:
    """In every field of a contact and of a call, and in the search box."""
    company = app.post("/api/contacts", name=HOSTILE, kind="company")["id"]
    app.post(
        "/api/contacts", id="C1", name=HOSTILE, numbers=[HOSTILE], owner=HOSTILE, segment=HOSTILE, company_id=company
    )
    app.post("/api/contacts/C1/notes", author=HOSTILE, text=HOSTILE)
    texts = dict.fromkeys(
        ("subject", "customer_number", "customer_name", "participants", "result", "queue", "did", "recording", "notes"),
        HOSTILE,
    )
    app.post("/api/activities", call_id=HOSTILE, contact_id="C1", **texts)
    app.post("/api/activities", call_id="other", candidates=f"{HOSTILE}, C1", **texts)
    for path, query in (("/contacts/C1", {}), ("/journal", {}), ("/contacts", {}), ("/contacts", {"q": HOSTILE})):
        page = app.page(path, **query)
        assert "<script>" not in page
        assert "49" not in page.split("<main>")[1].replace("2649", "")
        assert "&lt;script&gt;" in page


def test_no_page_may_load_or_run_anything(app: App) -> None:
    """The browser is told so, and there is nothing to load."""
    answer = app.ask("GET", "/contacts", token="")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    style = app.ask("GET", "/style.css", token="")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("zoë", {"Zoë Čapková"}),
        ("ČAP", {"Zoë Čapková"}),
        ("0470 12 34 99", {"Zoë Čapková"}),
        ("%", {"100 % Wool"}),
        ("_", set()),
    ],
)
def test_the_search_takes_names_and_numbers_and_no_wildcards(app: App, text: str, found: set[str]) -> None:
    """Without regard to case in any script; % and _ mean themselves."""
    app.post("/api/contacts", name="Zoë Čapková", numbers=["+32470123499"])
    app.post("/api/contacts", name="100 % Wool")
    page = app.page("/contacts", q=text)
    assert {name for name in ("Zoë Čapková", "100 % Wool") if name in page} == found


def test_long_lists_are_turned_page_by_page(app: App) -> None:
    """Every contact is on one page; a page that is none shows the first or nothing, and no error."""
    app.post("/api/contacts/import", contacts=[{"name": f"Person {n:03d}"} for n in range(120)])
    pages = [app.page("/contacts", page=n) for n in (1, 2, 3)]
    assert [sum(f"Person {n:03d}" in page for n in range(120)) for page in pages] == [50, 50, 20]
    assert "page 2 of 3" in pages[1]
    for odd in ("0", "-1", "x", "99999999999999999999", "²"):
        app.page("/contacts", page=odd)


def test_a_merged_contact_leads_to_the_one_it_is_part_of(app: App) -> None:
    """And one that was deleted says so."""
    app.post("/api/contacts/import", contacts=[{"id": "C1", "name": "Old"}, {"id": "C2", "name": "New"}])
    app.post("/api/contacts/C1/merge", into="C2")
    assert "New" in app.page("/contacts/C1")
    assert app.ask("GET", "/contacts/C9", token="").status_code == 404


def test_the_journal_lists_who_is_not_assigned(app: App) -> None:
    """An ambiguous call names its candidates, each with a link."""
    app.post("/api/contacts/import", contacts=[{"id": "C1"}, {"id": "C2"}])
    app.post("/api/activities", call_id="a", candidates="C1, C2", customer_number="+32470123499")
    page = app.page("/journal")
    assert 'href="/contacts/C1"' in page
    assert 'href="/contacts/C2"' in page
    assert "+32470123499" in page


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "—"), (0, "0:00"), (7, "0:07"), (725, "12:05"), (3723, "1:02:03")]
)
def test_a_duration_reads_as_people_write_it(seconds: int | None, text: str) -> None:
    """Hours only when there are some."""
    assert span(seconds) == text
