"""An amoCRM in memory as the connector meets it: page numbers, empty 204s, seven requests a second, then 429, then 403.

Built after the vendor's documentation and its PHP library, not measured. Where they say nothing it does the worse:
a list's `from` leaves its own second out, params are replaced whole, only those that the vendor names are kept, and what
is not given reads as null and is refused as null. Lists of cards take no notice of filters, unless `filters` is on.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import httpx

PARAMS = {"uniq", "duration", "source", "link", "phone", "call_result", "call_status", "call_responsible"}
PER_SECOND, PATIENCE, BLOCKED_S = 7, 3, 600
CLIENT = {"client_id": "an-id", "client_secret": "a-secret", "redirect_uri": "https://pbx.test/amo"}
LIFE_S = 86_400


def problem(status: int, *codes: str) -> httpx.Response:
    """An error as the API tells it."""
    told: dict[str, Any] = {"title": "Bad Request", "status": status, "detail": "+33123456789 is bad"}
    if codes:
        errors = [{"code": code, "path": "0", "detail": "Zoë +33123456789"} for code in codes]
        told["validation-errors"] = [{"request_id": "0", "errors": errors}]
    return httpx.Response(status, json=told, headers={"content-type": "application/problem+json"})


class Amo:
    """One account; `now` (s) stamps what is written."""

    def __init__(self, now: Callable[[], float], token: str = "") -> None:
        self.now = now
        self.tables: dict[str, dict[int, dict[str, Any]]] = {}
        self.access, self.refresh = {token}, {"first"}
        self.asked: list[str] = []
        self.limited = self.spent = 0
        self.moves, self.filters = True, False
        self.transport: httpx.AsyncBaseTransport = httpx.MockTransport(self.answer)
        self._recent: deque[float] = deque()
        self._blocked_until = 0.0

    def create(self, path: str, *, stamp: int | None = None, phones: tuple[str, ...] = (), **values: Any) -> int:
        """A new row."""
        table = self.tables.setdefault(path, {})
        made = max(table, default=0) + 1
        values = {"name": "", "responsible_user_id": 9, **values} if not path.endswith("notes") else values
        if phones:
            enum = [{"value": phone, "enum_code": "WORK"} for phone in phones]
            values["custom_fields_values"] = [{"field_code": "EMAIL", "values": [{"value": "a@b.test"}]}]
            values["custom_fields_values"] += [{"field_code": "PHONE", "values": enum}]
        table[made] = {"id": made}
        self.write(path, made, stamp=stamp, **values)
        return made

    def write(self, path: str, row: int, *, stamp: int | None = None, **values: Any) -> None:
        self.tables[path][row].update(values, updated_at=int(self.now()) if stamp is None else stamp)

    def delete(self, path: str, *rows: int) -> None:
        """As a person does; the API cannot."""
        for row in rows:
            del self.tables[path][row]

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the portal answers."""
        if limited := self._limit():
            self.limited += 1
            return limited
        if request.url.path == "/oauth2/access_token":
            return self._pair(json.loads(request.content))
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.access:
            return problem(401)
        path = request.url.path.removeprefix("/api/v4/")
        self.asked.append(f"{request.method} {path}")
        return self._called(request, path)

    def _called(self, request: httpx.Request, path: str) -> httpx.Response:
        body: Any = json.loads(request.content) if request.content else None
        one = re.fullmatch(r"(.+)/(\d+)", path)
        match request.method:
            case "GET" if one:
                row = self.tables.get(one[1], {}).get(int(one[2]))
                return httpx.Response(200, json=row) if row else httpx.Response(204)
            case "GET":
                return self._list(path, dict(request.url.params))
            case "POST" if path.endswith("/notes"):
                return self._note(path, body)
            case "PATCH" if one:
                return self._edit(one[1], int(one[2]), body)
        return problem(405)

    def _limit(self) -> httpx.Response | None:
        now = self.now()
        if now < self._blocked_until:
            return httpx.Response(403, text="<html>Forbidden</html>", headers={"content-type": "text/html"})
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        self._recent.append(now)
        if len(self._recent) <= PER_SECOND:
            self.spent = 0
            return None
        self.spent += 1
        if self.spent > PATIENCE:
            self._blocked_until = now + BLOCKED_S
        return httpx.Response(429, text="Too many requests")

    def _pair(self, body: Mapping[str, str]) -> httpx.Response:
        """A refresh token is good once; the access token before stays good as long as it lives."""
        if {k: body.get(k) for k in CLIENT} != CLIENT or body["grant_type"] != "refresh_token":
            return problem(400)
        if body["refresh_token"] not in self.refresh:
            return problem(401)
        self.refresh.remove(body["refresh_token"])
        number = len(self.access)
        self.access.add(f"access-{number}")
        self.refresh.add(f"refresh-{number}")
        pair = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
        return httpx.Response(200, json={"token_type": "Bearer", "expires_in": LIFE_S, **pair})

    def _list(self, path: str, query: Mapping[str, str]) -> httpx.Response:
        rows = list(self.tables.get(path, {}).values())
        since = query.get("filter[updated_at][from]")
        if since and (self.filters or path.endswith("/notes")):
            rows = [r for r in rows if r["updated_at"] > int(since)]
        if types := {v for k, v in query.items() if k.startswith("filter[note_type]")}:
            rows = [r for r in rows if r["note_type"] in types]
        if text := query.get("query"):
            rows = [r for r in rows if text in re.sub(r"\D", "", json.dumps(r.get("custom_fields_values", "")))]
        for key in ("id", "updated_at"):
            if how := query.get(f"order[{key}]"):
                rows.sort(key=lambda r: r[key], reverse=how == "desc")
        size = min(int(query["limit"]), 250)
        first = (int(query["page"]) - 1) * size
        shown = rows[first : first + size]
        if not shown:
            return httpx.Response(204)
        return httpx.Response(200, json={"_page": 1, "_embedded": {path.rpartition("/")[2]: shown}})

    def _note(self, path: str, body: list[dict[str, Any]]) -> httpx.Response:
        (note,) = body
        if note["entity_id"] not in self.tables.get(path.removesuffix("/notes"), {}):
            return problem(400, "NotSupportedChoice")
        if None in note["params"].values():
            return problem(400, "NotNullable")
        params = {k: note["params"].get(k) for k in PARAMS}
        made = self.create(path, entity_id=note["entity_id"], note_type=note["note_type"], params=params)
        told = {"id": made, "entity_id": note["entity_id"], "request_id": "0"}
        return httpx.Response(200, json={"_embedded": {"notes": [told]}})

    def _edit(self, path: str, row: int, body: dict[str, Any]) -> httpx.Response:
        if row not in self.tables.get(path, {}):
            return problem(404)
        card = body["entity_id"] if self.moves else self.tables[path][row]["entity_id"]
        if card not in self.tables[path.removesuffix("/notes")]:
            return problem(400, "NotSupportedChoice")
        if None in body["params"].values():
            return problem(400, "NotNullable")
        self.write(path, row, entity_id=card, params={k: body["params"].get(k) for k in PARAMS})
        return httpx.Response(200, json={"id": row, "entity_id": card, "updated_at": int(self.now())})
