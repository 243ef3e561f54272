"""The sandbox's pages for a person: contacts with search, one contact with its call journal, the journal of everybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from streams.embedded.crm.activities import Activities
from streams.embedded.crm.contacts import Contacts, UnknownContactError
from streams.embedded.crm.notebook import Notebook

_SIZE = 50
_MOST_PAGES = 1_000_000
_ENGINE = Environment(
    loader=PackageLoader("streams.embedded.crm"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def span(seconds: int | None) -> str:
    """A duration as people read it: 0:07, 12:05, 1:02:03; — when it is not known."""
    if seconds is None:
        return "—"
    hours, rest = divmod(seconds, 3600)
    clock = f"{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
    return f"{hours}:{clock}" if hours else clock


_ENGINE.filters["span"] = span
_ENGINE.filters["day"] = lambda text: text[:10] or "—"
_ENGINE.filters["hour"] = lambda text: text[11:19] or "—"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Read-only pages; every text in them is escaped by the engine."""

    contacts: Contacts
    activities: Activities
    notebook: Notebook

    def routes(self) -> list[Route]:
        return [
            Route("/", self.home),
            Route("/contacts", self.list_contacts),
            Route("/contacts/{id}", self.contact),
            Route("/journal", self.journal),
            Route("/style.css", self.style),
        ]

    async def home(self, _request: Request) -> Response:
        return RedirectResponse("/contacts")

    async def list_contacts(self, request: Request) -> Response:
        text, page = request.query_params.get("q", "")[:100], _page(request)
        rows, total = self.contacts.search(text, page, _SIZE)
        return _html("contacts.html", {"rows": rows, "q": text, **_turning(page, total)})

    async def contact(self, request: Request) -> Response:
        contact, page = request.path_params["id"], _page(request)
        try:
            found = self.contacts.get(contact)
        except UnknownContactError:
            survivor = self.contacts.survivor(contact)
            if survivor:
                return RedirectResponse(f"/contacts/{survivor}")
            return _html("missing.html", {}, status=404)
        rows, total = self.activities.history(contact, page, _SIZE)
        notes = self.notebook.of(contact)
        return _html("contact.html", {"contact": found, "rows": rows, "notes": notes, **_turning(page, total)})

    async def journal(self, request: Request) -> Response:
        page = _page(request)
        rows, total = self.activities.history(None, page, _SIZE)
        return _html("journal.html", {"rows": rows, **_turning(page, total)})

    async def style(self, _request: Request) -> Response:
        source = _ENGINE.get_template("style.css").render()
        return Response(source, media_type="text/css", headers=_HEADERS)


def _page(request: Request) -> int:
    text = request.query_params.get("page", "1")
    return min(max(int(text), 1), _MOST_PAGES) - 1 if text.isascii() and text.isdecimal() else 0


def _turning(page: int, total: int) -> dict[str, int]:
    return {"page": page + 1, "pages": max(1, -(-total // _SIZE)), "total": total}


def _html(template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    return HTMLResponse(_ENGINE.get_template(template).render(values), status, _HEADERS)
