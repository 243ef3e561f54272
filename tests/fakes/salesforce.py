"""A Salesforce org in memory as the connector meets it: OAuth, SOQL, SOSL, upserts by external id, the recycle bin.

Errors have Salesforce's shapes: a list with `errorCode`, a result for each record of a collection with `statusCode`,
and 403 when the requests of the day are spent. Every answer tells those, and Salesforce's time.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import httpx

from tests.fakes.soql import MalformedError, Query, parsed, searched

CLIENT_ID, VERSION, KEY = "consumer-key", "61.0", "PBX_Call_Id__c"
_ROOT = f"/services/data/v{VERSION}/"
_PHONES = ("Phone", "MobilePhone", "HomePhone", "OtherPhone")
_EMPTY: Mapping[str, Mapping[str, Any]] = {
    "Contact": dict.fromkeys(("Name", "AccountId", "OwnerId", "MasterRecordId", *_PHONES)),
    "Task": dict.fromkeys(
        (KEY, "WhoId", "Subject", "Status", "ActivityDate", "Description", "CallType", "CallDisposition")
    )
    | {"CallDurationInSeconds": None, "IsArchived": False},
}
_PREFIX = {"Contact": "003", "Task": "00T"}
_LONGEST = {"Subject": 255, "CallDisposition": 255, "Description": 32_000, KEY: 255}
_MOST = 200


def refused(status: int, code: str, text: str = "Zoë +33123456789") -> httpx.Response:
    """An error of the REST API; its text may hold what was sent."""
    return httpx.Response(status, json=[{"errorCode": code, "message": text}])


def not_upserted(code: str) -> httpx.Response:
    """A 200 whose one record was refused."""
    error = {"statusCode": code, "message": "Zoë +33123456789", "fields": []}
    return httpx.Response(200, json=[{"success": False, "errors": [error]}])


class RefusedError(Exception):
    """A record, or a request, is not taken; its text is the code."""


class Salesforce:
    """Records by kind and id; `now` (s) stamps what is written. `batch` is how many rows one answer holds."""

    def __init__(self, secret: str, now: Callable[[], int], *, batch: int = 2000) -> None:
        self._secret, self.now, self.batch = secret, now, batch
        self.tables: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _EMPTY}
        self.transport: httpx.AsyncBaseTransport = httpx.MockTransport(self.answer)
        self.asked: list[str] = []
        self.grants = self.used = 0
        self.limit = 100_000
        self.rotated = ""
        self._token = ""
        self._rest: dict[str, tuple[Query, list[Mapping[str, Any]]]] = {}

    def create(self, kind: str, /, *, stamp: int | None = None, **values: Any) -> str:
        """A new record; `stamp` is when it was saved (s)."""
        made = f"{_PREFIX[kind]}{len(self.tables[kind]) + 1:012d}AAA"
        self.tables[kind][made] = {"Id": made, "IsDeleted": False, "CreatedDate": _moment(self.now()), **_EMPTY[kind]}
        self.write(kind, made, stamp=stamp, **values)
        return made

    def write(self, kind: str, record: str, /, *, stamp: int | None = None, **values: Any) -> None:
        self.tables[kind][record].update(values, SystemModstamp=_moment(self.now() if stamp is None else stamp))

    def bin(self, kind: str, record: str) -> None:
        """Delete, as a person does."""
        self.write(kind, record, IsDeleted=True)

    def merge(self, master: str, loser: str) -> None:
        """Two contacts into one, and the tasks with it."""
        self.write("Contact", loser, IsDeleted=True, MasterRecordId=master)
        self.write("Contact", master)
        for task in self.tables["Task"].values():
            task["WhoId"] = master if task["WhoId"] == loser else task["WhoId"]

    def expire(self) -> None:
        """The session ends."""
        self._token = ""

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the org answers."""
        path = request.url.path.rstrip("/")
        if path == "/services/oauth2/token":
            form = {k: v[0] for k, v in parse_qs(request.content.decode()).items()}
            scheme, _, basic = request.headers.get("authorization", "").partition(" ")
            if scheme == "Basic":  # either way, RFC 6749 section 2.3.1
                form["client_id"], _, form["client_secret"] = b64decode(basic).decode().partition(":")
            return self._grant(form)
        self.asked.append(f"{request.method} {path.removeprefix(_ROOT)}")
        told = self._told(request, path.removeprefix(_ROOT))
        told.headers["date"] = formatdate(self.now(), usegmt=True)
        told.headers["sforce-limit-info"] = f"api-usage={self.used}/{self.limit}"
        return told

    def _told(self, request: httpx.Request, path: str) -> httpx.Response:
        if request.headers["authorization"] != f"Bearer {self._token}" or not self._token:
            return refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if self.used >= self.limit:
            return refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.used += 1
        try:
            return self._done(request.method, path.split("/"), request)
        except MalformedError:
            return refused(400, "MALFORMED_SEARCH" if path == "search" else "MALFORMED_QUERY")
        except KeyError as e:
            return refused(400, "INVALID_FIELD", str(e))
        except RefusedError as e:
            gone = str(e) in {"NOT_FOUND", "ENTITY_IS_DELETED"}
            return refused(404 if gone else 400, str(e))

    def _done(self, method: str, path: Sequence[str], request: httpx.Request) -> httpx.Response:
        match method, path:
            case "GET", ["query" | "queryAll" as verb]:
                query = parsed(request.url.params["q"])
                rows = [r for r in self.tables[query.kind].values() if verb == "queryAll" or _shown(r)]
                return self._rows(query, query.of(rows))
            case "GET", ["query" | "queryAll", rest]:
                if rest not in self._rest:
                    raise RefusedError("INVALID_QUERY_LOCATOR")
                return self._rows(*self._rest.pop(rest))
            case "GET", ["search"]:
                query = searched(request.url.params["q"], lambda r: [r[f] or "" for f in _PHONES])
                rows = [r for r in self.tables[query.kind].values() if _shown(r)]
                return httpx.Response(200, json={"searchRecords": _told_of(query, query.of(rows))})
            case "PATCH", ["composite", "sobjects", *at]:
                kind, key = at or ("Task", "Id")
                return httpx.Response(200, json=self._saved(json.loads(request.content)["records"], kind, key))
            case "PATCH" | "DELETE", ["sobjects", kind, record]:
                self._row(kind, record)
                if method == "DELETE":
                    self.bin(kind, record)
                else:
                    self._save(kind, record, json.loads(request.content))
                return httpx.Response(204)
        return refused(404, "NOT_FOUND", "The requested resource does not exist")

    def _grant(self, form: Mapping[str, str]) -> httpx.Response:
        match form:
            case {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}:
                good = (client, secret) == (CLIENT_ID, self._secret)
            case {"grant_type": "refresh_token", "client_id": client, "refresh_token": token}:
                good = (client, token) == (CLIENT_ID, "refresh-token")
            case _:
                return httpx.Response(400, json={"error": "unsupported_grant_type", "error_description": "x"})
        if not good:
            return httpx.Response(400, json={"error": "invalid_client", "error_description": "invalid credentials"})
        self.grants += 1
        self._token = f"session-{self.grants}"
        told = {"access_token": self._token, "instance_url": "https://elsewhere.test", "token_type": "Bearer"}
        return httpx.Response(200, json=told | ({"refresh_token": self.rotated} if self.rotated else {}))

    def _rows(self, query: Query, rows: list[Mapping[str, Any]]) -> httpx.Response:
        page, rest = rows[: self.batch], rows[self.batch :]
        body: dict[str, Any] = {"totalSize": len(rows), "done": not rest, "records": _told_of(query, page)}
        if rest:
            name = f"01g{len(self.asked):012d}-{self.batch}"
            self._rest[name] = (query, rest)
            body["nextRecordsUrl"] = f"{_ROOT}query/{name}"
        return httpx.Response(200, json=body)

    def _saved(self, records: Sequence[dict[str, Any]], kind: str, key: str) -> list[dict[str, Any]]:
        """A result for each record; a field that is not there fails them all. By `Id` nothing is made."""
        if len(records) > _MOST:
            raise RefusedError("EXCEEDED_MAX_SIZE_REQUEST")
        results: list[dict[str, Any]] = []
        for record in records:
            values = {k: v for k, v in record.items() if k != "attributes"}
            try:
                found = [r["Id"] for r in self.tables[kind].values() if _same(r, key, values[key])]
                if len(found) > 1:
                    raise RefusedError("DUPLICATE_EXTERNAL_ID")  # noqa: TRY301
                if key == "Id":
                    self._row(kind, values["Id"])
                self._check(values)
                made = found[0] if found else self.create(kind)
                self._save(kind, made, values)
                results.append({"id": made, "success": True, "errors": [], "created": not found})
            except RefusedError as e:
                error = {"statusCode": str(e), "message": "Zoë +33123456789", "fields": []}
                results.append({"success": False, "errors": [error]})
        return results

    def _row(self, kind: str, record: str) -> dict[str, Any]:
        if record not in self.tables[kind]:
            raise RefusedError("NOT_FOUND")
        if self.tables[kind][record]["IsDeleted"]:
            raise RefusedError("ENTITY_IS_DELETED")
        return self.tables[kind][record]

    def _check(self, values: Mapping[str, Any]) -> None:
        who = values.get("WhoId")
        if who and len(who) != len("003000000000001AAA"):
            raise RefusedError("MALFORMED_ID")
        if who and (who not in self.tables["Contact"] or self.tables["Contact"][who]["IsDeleted"]):
            raise RefusedError("INVALID_CROSS_REFERENCE_KEY")
        if any(len(values.get(field) or "") > most for field, most in _LONGEST.items()):
            raise RefusedError("STRING_TOO_LONG")

    def _save(self, kind: str, record: str, values: Mapping[str, Any]) -> None:
        for field in values:
            _ = self.tables[kind][record][field]
        self._check(values)
        self.write(kind, record, **values)


def _shown(row: Mapping[str, Any]) -> bool:
    """Whether `query` shows it."""
    return not row["IsDeleted"] and not row.get("IsArchived")


def _same(row: Mapping[str, Any], key: str, value: str) -> bool:
    return not row["IsDeleted"] and row[key] == value


def _told_of(query: Query, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"attributes": {"type": query.kind}, **{c: row[c] for c in query.columns}} for row in rows]


def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
