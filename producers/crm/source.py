"""What a CRM must offer so that its contacts can be followed: one value in one file, `producers/crm/<name>.py`."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from streams.clients.crm import PortalConfig
from streams.runtime.clock import Clock

C = TypeVar("C", bound=PortalConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A contact as the CRM has it."""

    contact_id: str
    kind: str = "person"
    """person or company."""
    name: str = ""
    company_id: str = ""
    numbers: tuple[str, ...] = ()
    """As people typed them."""
    owner: str = ""
    priority: int = 0
    segment: str = ""
    updated_at: int
    """Microseconds, by the CRM's clock, as exact as the CRM tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a scan."""

    found: tuple[Found, ...]
    cursor: str
    """Where the next page begins; "" when this was the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed behind a token, each contact in its last state."""

    updated: tuple[Found, ...]
    gone: tuple[str, ...]
    """Ids of contacts that were deleted, or merged into others."""
    token: str
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Now, as the CRM sees it: the token that the change feed goes on from, and its clock in microseconds."""

    token: str
    at: int


class Contacts(Protocol):
    """An open session with one CRM, used by one task. Every verb may raise `Retry`, `Reject` and `Fatal`."""

    async def mark(self) -> Mark:
        """The present end of the change feed."""
        ...

    async def page(self, cursor: str, since: int | None) -> Page:
        """A page of all contacts, or of those updated at or after `since` (µs); the first one at cursor "".

        A contact that stays and does not change while all pages are read is in one of them.
        """
        ...

    async def changes(self, token: str) -> Changes:
        """What happened behind the token; raises `Expired` when the feed no longer reaches back so far."""
        ...

    async def get(self, contact_id: str) -> Found:
        """One contact; raises `Gone`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactSource(Generic[C]):
    """A CRM's contacts: its configuration, and how a session with it is opened."""

    config: type[C]
    open: Callable[[C, Clock], AbstractAsyncContextManager[Contacts]]
