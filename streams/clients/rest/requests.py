"""A request of a mapping, and how a list is read with it."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.clients.rest import template

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(Table):
    """One request. {names} stand for values, in path, query and body."""

    method: Method = "GET"
    path: str = Field(pattern=r"^/[^?#\s]*$")
    """Behind the `url` of the CRM; each value in it is quoted as one segment."""
    query: dict[str, str] = {}
    """Parameters; one whose value there is not is left out."""
    body: dict[str, Any] | None = None
    """JSON; a text that is one {name} alone becomes the value with its type."""
    repeatable: bool | None = None
    """Whether the same again does no more than once; where it is not said, so is everything but a POST."""

    @property
    def safe(self) -> bool:
        return self.method != "POST" if self.repeatable is None else self.repeatable

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for part in (self.path, self.query, self.body):
            list(template.names(part))
        return self


class Pages(Table):
    """How a long list is read; the request says where with {cursor}, a number where pages or items are counted."""

    kind: Literal["token", "last", "number", "offset"]
    """token: the answer names the next; last: the last item names it; number: 1, 2, 3; offset: 0, size, twice size.

    Numbers and offsets lose what moves up when something before it is deleted meanwhile: take them only where nothing
    else is offered.
    """
    next: str = ""
    """Path of the next cursor, in the answer (token) or in an item (last)."""
    first: str = ""
    """Cursor of the first page; empty: none is sent for a token, 1 or 0 for numbers and offsets."""
    size: int = Field(default=0, ge=0)
    """Items of a full page, where a shorter one is the last; 0: an empty page is. Not for a token."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind in {"token", "last"}) != bool(self.next):
            raise ValueError(f"pages: kind {self.kind} {'needs' if not self.next else 'has no'} `next`")
        if self.kind in {"number", "offset"} and self.first and not self.first.isdecimal():
            raise ValueError(f"pages: first is no {self.kind}")
        return self


class Search(Request):
    """A request for a list."""

    items: str = ""
    """Path of the list in the answer; empty: the answer is the list."""
    id: str = "id"
    """Path of an item's id."""
    where: dict[str, str] = {}
    """Items count only where the value at this path reads so: for a search that finds too much."""
    contains: dict[str, str] = {}
    """The same, where the text at this path has this in it."""
    newest_first: bool = False
    """Whether the answer is in that order; the journal wants the oldest first."""
    pages: Pages | None = None

    @model_validator(mode="after")
    def _turns(self) -> Self:
        turned = "cursor" in {name for part in (self.path, self.query, self.body) for name in template.names(part)}
        if turned != (self.pages is not None):
            raise ValueError("pages and {cursor} come together, or not at all")
        return self


def known_names(verb: str, request: Request, known: set[str], *, needs: str = "") -> None:
    """Raise ValueError where a request asks for another name than these, or not for the one it needs."""
    more = (request.where, request.contains) if isinstance(request, Search) else ()
    asked = {name for part in (request.path, request.query, request.body, *more) for name in template.names(part)}
    if wrong := sorted(asked - known):
        raise ValueError(f"{verb}: there is no {{{wrong[0]}}} here; there are: {', '.join(sorted(known)) or 'none'}")
    if needs and needs not in asked:
        raise ValueError(f"{verb}: it says nowhere {{{needs}}}")
