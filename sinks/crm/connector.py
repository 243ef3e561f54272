"""What a CRM must offer so that the ledger can keep its call journal: one value in one file, `sinks/crm/<name>.py`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from streams.clients.crm import PortalConfig
from streams.runtime.clock import Clock

C = TypeVar("C", bound=PortalConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as it stands in the CRM, its fields under our names (`sinks.crm.journal`)."""

    external_id: str
    fields: Mapping[str, str]


class Portal(Protocol):
    """An open session with one CRM; the ledger calls it, several calls at once, never two for one call.

    Every verb may raise `Retry` (nothing was done), `Reject` (never with this data) and `Fatal` (a person is needed).
    A verb sends one request, or several of which only the last has an effect; it never tries again by itself.
    """

    async def find_by_phone(self, number: str) -> Sequence[str]:
        """Ids of the contacts that have this number (E.164): all of them, also none."""
        ...

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        """Make an entry and return its id in the CRM.

        Raises `Unknown` when it may have been made or not, `UnknownContact` when the contact is not there.
        """
        ...

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        """Set these fields and no others; the same again changes nothing. Raises `Gone`, `UnknownContact`."""
        ...

    async def drop_call(self, external_id: str) -> None:
        """Take the entry away; raises `Gone` when it is not there."""
        ...

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        """Read back the entries of a call, oldest first, normally none or one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector(Generic[C]):
    """A CRM's way in: its configuration, and how a session with it is opened."""

    config: type[C]
    open: Callable[[C, Clock], AbstractAsyncContextManager[Portal]]
