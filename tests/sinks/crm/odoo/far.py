"""What stands between the laws and an Odoo, in memory or real: contacts called C1 and C2, and a log-in off the road."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx

from sinks.crm.connector import Entry, Portal


class LoggedIn(httpx.AsyncBaseTransport):
    """Lets the log-in through, and sends everything else on the road."""

    def __init__(self, direct: httpx.AsyncBaseTransport, road: httpx.AsyncBaseTransport) -> None:
        self._direct, self._road = direct, road

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        on = self._direct if b'"common"' in await request.aread() else self._road
        return await on.handle_async_request(request)


class Lettered:
    """A portal whose contacts have the laws' names; `ids` are Odoo's by name."""

    def __init__(self, portal: Portal, ids: Mapping[str, str]) -> None:
        self._portal, self._ids, self._names = portal, ids, {found: name for name, found in ids.items()}

    async def find_by_phone(self, number: str) -> Sequence[str]:
        return [self._names[found] for found in await self._portal.find_by_phone(number)]

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        return await self._portal.put_call(call_id, self._numbered(fields))

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        await self._portal.patch_call(external_id, self._numbered(fields))

    async def drop_call(self, external_id: str) -> None:
        await self._portal.drop_call(external_id)

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        found = await self._portal.confirm(call_id)
        return [replace(entry, fields=self._lettered(entry.fields)) for entry in found]

    def _lettered(self, fields: Mapping[str, str]) -> dict[str, str]:
        return {k: self._names.get(v, v) if k == "contact_id" else v for k, v in fields.items()}

    def _numbered(self, fields: Mapping[str, str]) -> dict[str, str]:
        return {k: self._ids.get(v, v) if k == "contact_id" else v for k, v in fields.items()}
