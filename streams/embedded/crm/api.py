"""The sandbox's HTTP API, JSON in and out. Errors are `{"error": {"code": …, "message": …}}`; clients go by the code.

GET    /api/contacts?cursor=&limit=&updated_since=     page of contacts, `next` is the next cursor or null
GET    /api/contacts?phone=                            contacts with a number that ends alike
POST   /api/contacts              PATCH, DELETE, GET /api/contacts/{id}
POST   /api/contacts/{id}/merge   {"into": id}         POST, GET /api/contacts/{id}/notes
POST   /api/contacts/import       {"contacts": […]}    created, or replaced where the id exists
GET    /api/changes?token=&limit=                      what changed since; 410 when the feed reaches back less far
GET    /api/changes/mark                               the token of now
GET    /api/activities?call_id=   or ?cursor=&limit=   POST; PATCH, DELETE, GET /api/activities/{id}
POST   /api/webhooks              {"url", "secret"}    GET; DELETE /api/webhooks/{id}
GET    /admin/faults, PUT /admin/faults                see `faults.Settings`; never struck by a fault itself
"""

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streams.embedded.crm.activities import Activities, ActivityIn, UnknownActivityError
from streams.embedded.crm.contacts import ContactIn, Contacts, Id, UnknownContactError
from streams.embedded.crm.faults import Faults, Settings
from streams.embedded.crm.hooks import HookIn
from streams.embedded.crm.notebook import Notebook, NoteIn
from streams.embedded.crm.store import iso, seconds
from streams.runtime.clock import Clock

M = TypeVar("M", bound=BaseModel)
_MOST_BYTES = 4_000_000
_LIMIT, _MOST = 100, 500
_MOST_IMPORTED = 5_000

Endpoint = Callable[[Request], Awaitable[Response]]


class ImportIn(BaseModel):
    """Many contacts at once, one transaction."""

    model_config = ConfigDict(extra="forbid")
    contacts: list[ContactIn] = Field(max_length=_MOST_IMPORTED)


class MergeIn(BaseModel):
    """What a contact shall be part of."""

    model_config = ConfigDict(extra="forbid")
    into: Id


class RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Everything the endpoints need."""

    contacts: Contacts
    activities: Activities
    notebook: Notebook
    faults: Faults
    clock: Clock
    token: str

    def routes(self) -> list[Route]:
        """The table of the API; every endpoint asks for the token."""
        table: list[tuple[str, str, Endpoint]] = [
            ("GET", "/api/contacts", self.list_contacts),
            ("POST", "/api/contacts", self.add_contact),
            ("POST", "/api/contacts/import", self.import_contacts),
            ("GET", "/api/contacts/{id}", self.get_contact),
            ("PATCH", "/api/contacts/{id}", self.patch_contact),
            ("DELETE", "/api/contacts/{id}", self.delete_contact),
            ("POST", "/api/contacts/{id}/merge", self.merge_contact),
            ("GET", "/api/contacts/{id}/notes", self.list_notes),
            ("POST", "/api/contacts/{id}/notes", self.add_note),
            ("GET", "/api/changes", self.list_changes),
            ("GET", "/api/changes/mark", self.mark),
            ("GET", "/api/activities", self.list_activities),
            ("POST", "/api/activities", self.add_activity),
            ("GET", "/api/activities/{id:int}", self.get_activity),
            ("PATCH", "/api/activities/{id:int}", self.patch_activity),
            ("DELETE", "/api/activities/{id:int}", self.delete_activity),
            ("GET", "/api/webhooks", self.list_hooks),
            ("POST", "/api/webhooks", self.add_hook),
            ("DELETE", "/api/webhooks/{id:int}", self.delete_hook),
            ("GET", "/admin/faults", self.get_faults),
            ("PUT", "/admin/faults", self.put_faults),
        ]
        return [Route(path, self._guarded(endpoint), methods=[verb]) for verb, path, endpoint in table]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
                return _error(401, "unauthorized", "Authorization: Bearer TOKEN is needed")
            try:
                return await endpoint(request)
            except RefusedError as e:
                return _error(e.status, e.code, str(e))
            except UnknownContactError as e:
                return _error(422 if "/activities" in request.url.path else 404, "unknown_contact", f"no contact {e}")
            except UnknownActivityError as e:
                return _error(404, "unknown_activity", f"no activity {e}")

        return guarded

    async def list_contacts(self, request: Request) -> Response:
        query = request.query_params
        if phone := query.get("phone"):
            return JSONResponse({"items": self.contacts.by_phone(phone), "next": None})
        try:
            since = seconds(query["updated_since"]) if "updated_since" in query else 0
        except ValueError:
            raise RefusedError(422, "invalid", "updated_since is no time") from None
        items, after = self.contacts.page(_number(request, "cursor", 0), _limit(request), since)
        return JSONResponse({"items": items, "next": None if after is None else str(after)})

    async def add_contact(self, request: Request) -> Response:
        given = await _body(request, ContactIn)
        if given.id and self._exists(given.id):
            raise RefusedError(409, "exists", f"there is a contact {given.id}")
        stamp = await self._begun()
        (contact,) = self.contacts.put([given], stamp=stamp)
        return JSONResponse(self.contacts.get(contact), 201)

    async def import_contacts(self, request: Request) -> Response:
        given = await _body(request, ImportIn)
        stamp = await self._begun()
        return JSONResponse({"ids": self.contacts.put(given.contacts, stamp=stamp)}, 201)

    async def get_contact(self, request: Request) -> Response:
        contact = request.path_params["id"]
        if survivor := self.contacts.survivor(contact):
            return JSONResponse({"error": {"code": "merged", "message": "merged", "into": survivor}}, 404)
        return JSONResponse(self.contacts.get(contact))

    async def patch_contact(self, request: Request) -> Response:
        contact, given = request.path_params["id"], await _body(request, ContactIn)
        self.contacts.patch(contact, given, stamp=await self._begun())
        return JSONResponse(self.contacts.get(contact))

    async def delete_contact(self, request: Request) -> Response:
        self.contacts.delete(request.path_params["id"])
        return Response(status_code=204)

    async def merge_contact(self, request: Request) -> Response:
        contact, into = request.path_params["id"], (await _body(request, MergeIn)).into
        if contact == into:
            raise RefusedError(422, "invalid", "a contact cannot be merged into itself")
        self.contacts.merge(contact, into, stamp=await self._begun())
        return JSONResponse(self.contacts.get(into))

    async def list_notes(self, request: Request) -> Response:
        return JSONResponse({"items": self.notebook.of(request.path_params["id"])})

    async def add_note(self, request: Request) -> Response:
        self.contacts.get(request.path_params["id"])
        return JSONResponse(self.notebook.add(request.path_params["id"], await _body(request, NoteIn)), 201)

    async def list_changes(self, request: Request) -> Response:
        answer = self.contacts.changes(_number(request, "token", 0), _limit(request))
        if answer is None:
            raise RefusedError(410, "expired", "the feed no longer reaches back to this token: scan everything")
        return JSONResponse(answer)

    async def mark(self, _request: Request) -> Response:
        return JSONResponse({"token": str(self.contacts.mark()), "time": iso(self.clock.now() // 1_000_000)})

    async def list_activities(self, request: Request) -> Response:
        if call := request.query_params.get("call_id"):
            return JSONResponse({"items": self.activities.of_call(call), "next": None})
        items, after = self.activities.page(_number(request, "cursor", 0), _limit(request))
        return JSONResponse({"items": items, "next": None if after is None else str(after)})

    async def add_activity(self, request: Request) -> Response:
        return JSONResponse(self.activities.post(await _activity(request)), 201)

    async def get_activity(self, request: Request) -> Response:
        return JSONResponse(self.activities.get(request.path_params["id"]))

    async def patch_activity(self, request: Request) -> Response:
        return JSONResponse(self.activities.patch(request.path_params["id"], await _activity(request)))

    async def delete_activity(self, request: Request) -> Response:
        self.activities.delete(request.path_params["id"])
        return Response(status_code=204)

    async def list_hooks(self, _request: Request) -> Response:
        return JSONResponse({"items": self.notebook.hooks()})

    async def add_hook(self, request: Request) -> Response:
        return JSONResponse({"id": self.notebook.add_hook(await _body(request, HookIn))}, 201)

    async def delete_hook(self, request: Request) -> Response:
        self.notebook.delete_hook(request.path_params["id"])
        return Response(status_code=204)

    async def get_faults(self, _request: Request) -> Response:
        return JSONResponse({"settings": self.faults.now.model_dump(), "struck": dict(self.faults.struck)})

    async def put_faults(self, request: Request) -> Response:
        self.faults.switch(await _body(request, Settings))
        return await self.get_faults(request)

    def _exists(self, contact: str) -> bool:
        try:
            self.contacts.get(contact)
        except UnknownContactError:
            return False
        return True

    async def _begun(self) -> int:
        """The time of a write (s): when it began, however long its transaction takes."""
        stamp = self.clock.now() // 1_000_000
        if lag := self.faults.now.commit_lag_s:
            await self.clock.pause(lag)
        return stamp


async def _body(request: Request, model: type[M]) -> M:
    if int(request.headers.get("content-length") or 0) > _MOST_BYTES:
        raise RefusedError(413, "too_large", f"at most {_MOST_BYTES} bytes")
    try:
        return model.model_validate(json.loads(await request.body()))
    except ValidationError as e:
        first = e.errors()[0]
        raise RefusedError(422, "invalid", f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise RefusedError(400, "not_json", "the body must be JSON") from None


async def _activity(request: Request) -> ActivityIn:
    given = await _body(request, ActivityIn)
    try:
        return given.checked()
    except ValueError:
        raise RefusedError(422, "invalid", "started_at is no time") from None


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 18):  # noqa: PLR2004 - fits SQLite's integer
        raise RefusedError(422, "invalid", f"{name} is no number")
    return int(text) if text else default


def _limit(request: Request) -> int:
    return max(1, min(_number(request, "limit", _LIMIT), _MOST))


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
