"""What stands around Bitrix24's methods: tokens, the leaky bucket, `operating`, batches and PHP's way to write arguments.

By bitrix24/b24restdocs: `limits.md`, `settings/oauth`, `settings/how-to-call-rest-api/batch.md`.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx

CLIENT, SECRET = "local.1", "app-secret"
_BURST, _PER_SECOND, _BATCH = 50, 2.0, 50
_BASKET, _BASKETS = 60, 10
_OPERATING = 480.0
_REFERENCE = re.compile(r"\$result\[(\w+)\]((?:\[\w+\])*)")
Method = Callable[[dict[str, Any]], Any]


class BitrixError(Exception):
    """An error by its code and HTTP status; some of Bitrix24's have no code."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.status = code, status


class Rest:
    """The door of one portal. `now` is its clock in seconds; `cost` is what a method takes of its operating time."""

    def __init__(self, access: str, now: Callable[[], float]) -> None:
        self.now = now
        self.access, self.refresh, self.expires = access, "refresh-1", now() + 3600
        self.renewals, self.single_use = 0, True
        self.methods: dict[str, Method] = {"batch": self._batch}
        self.cost: dict[str, float] = {}
        self.asked: list[str] = []
        self.breaches: Counter[str] = Counter()
        self.limited = False
        self._level, self._seen, self._issued = 0.0, now(), {access}
        self._baskets: dict[str, dict[int, float]] = defaultdict(dict)
        self._operated: dict[str, dict[str, Any]] = {}
        self.transport: httpx.AsyncBaseTransport = httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the portal, or the token server, answers."""
        if request.url.path.startswith("/oauth/token"):
            return self._renew(dict(request.url.params))
        named = json.loads(request.content or b"{}")
        method = request.url.path.removeprefix("/rest/").removesuffix(".json")
        try:
            self._drip()
            self._admit(str(named.pop("auth", "")))
            result = self._run(method, named)
        except BitrixError as e:
            return httpx.Response(e.status, json={"error": e.code, "error_description": "+33123456789 is bad"})
        time = self._operated[self.asked[-1]] if method.lower() != "batch" else self._time()
        return httpx.Response(200, json={**_listed(result), "time": time})

    def _renew(self, query: Mapping[str, str]) -> httpx.Response:
        if (query["client_id"], query["client_secret"]) != (CLIENT, SECRET):
            return httpx.Response(400, json={"error": "invalid_client", "error_description": "x"})
        if query["refresh_token"] != self.refresh and self.single_use:
            return httpx.Response(400, json={"error": "invalid_grant", "error_description": "x"})
        self.renewals += 1
        self.access, self.refresh = f"access-{self.renewals}", f"refresh-{self.renewals + 1}"
        self.expires = self.now() + 3600
        self._issued.add(self.access)
        body = {
            "access_token": self.access,
            "refresh_token": self.refresh,
            "expires": int(self.expires),
            "expires_in": 3600,
            "client_endpoint": "https://b24.test/rest/",
            "domain": "oauth.bitrix.info",
            "server_endpoint": "https://oauth.bitrix.info/rest/",
            "member_id": "m",
            "scope": "crm,telephony",
            "status": "L",
            "user_id": 1,
        }
        return httpx.Response(200, json=body)

    def _drip(self) -> None:
        """Each request is a drop, two drops a second run out; what is refused is a drop as well."""
        if not self.limited:
            return
        now = self.now()
        self._level = max(0.0, self._level - (now - self._seen) * _PER_SECOND) + 1
        self._seen = now
        if self._level > _BURST:
            self.breaches["QUERY_LIMIT_EXCEEDED"] += 1
            raise BitrixError("QUERY_LIMIT_EXCEEDED", 503)

    def _admit(self, token: str) -> None:
        if token != self.access:
            raise BitrixError("expired_token" if token in self._issued else "NO_AUTH_FOUND", 401)
        if self.now() >= self.expires:
            raise BitrixError("expired_token", 401)

    def _run(self, method: str, named: dict[str, Any]) -> Any:
        method = next((known for known in self.methods if known.lower() == method.lower()), "")
        if not method:
            raise BitrixError("ERROR_METHOD_NOT_FOUND", 404)
        self.asked.append(method)
        baskets = self._baskets[method]
        for minute in [m for m in baskets if m + _BASKETS <= self.now() // _BASKET]:
            del baskets[minute]
        if sum(baskets.values()) > _OPERATING:
            self.breaches["OPERATION_TIME_LIMIT"] += 1
            raise BitrixError("OPERATION_TIME_LIMIT", 429)
        result = self.methods[method](named)
        minute = int(self.now() // _BASKET)
        baskets[minute] = baskets.get(minute, 0.0) + self.cost.get(method, 0.0)
        oldest = (min(baskets) + _BASKETS) * _BASKET
        self._operated[method] = {**self._time(), "operating": sum(baskets.values()), "operating_reset_at": oldest}
        return result

    def _time(self) -> dict[str, Any]:
        now, stamp = self.now(), datetime.fromtimestamp(int(self.now()), UTC).isoformat()
        dates = {"date_start": stamp, "date_finish": stamp}
        return {"start": now, "finish": now, "duration": 0.1, "processing": 0.1, "operating": 0, **dates}

    def _batch(self, named: dict[str, Any]) -> dict[str, Any]:
        """Calls in order, up to the first error where `halt` says so; an empty object is [], as PHP writes it."""
        cmd = named["cmd"]
        if isinstance(cmd, list):
            cmd = {str(n): one for n, one in enumerate(cmd)}
        results: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        times: dict[str, Any] = {}
        for n, (key, line) in enumerate(cmd.items()):
            method, _, query = line.partition("?")
            try:
                _allow(n, method)
                inner = _listed(self._run(method, _resolved(_php(query), results)))
            except BitrixError as e:
                errors[key] = {"error": e.code, "error_description": "+33123456789 is bad"}
                if str(named.get("halt", 0)) in {"1", "True", "true"}:
                    break
            else:
                results[key], times[key] = inner["result"], self._operated[self.asked[-1]]
        parts = {"result": results, "result_error": errors, "result_time": times, "result_total": {}, "result_next": {}}
        return {"result": {name: part or [] for name, part in parts.items()}}


def _allow(place: int, method: str) -> None:
    """What a batch may hold."""
    if place >= _BATCH:
        raise BitrixError("ERROR_BATCH_LENGTH_EXCEEDED")
    if method == "batch":
        raise BitrixError("ERROR_BATCH_METHOD_NOT_ALLOWED", 405)


def _listed(result: Any) -> dict[str, Any]:
    """A method answers its result, or a whole body where it has `total` and `next` beside it."""
    return result if isinstance(result, dict) and "result" in result else {"result": result}


def _php(query: str) -> dict[str, Any]:
    """Arguments of a query, nested by their brackets; numbered ones are a list."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        head, *path = re.findall(r"[^\[\]]+", name)
        spot = tree
        for key, below in zip([head, *path], path, strict=False):
            spot = spot.setdefault(key, {})
            assert below
        spot[[head, *path][-1]] = value
    return {key: _lists(value) for key, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(part) for key, part in value.items()}
    return list(inner.values()) if list(inner) == [str(n) for n in range(len(inner))] else inner


def _resolved(value: Any, results: Mapping[str, Any]) -> Any:
    """References to former results replaced, wherever they stand; those to nothing are nothing."""
    if isinstance(value, dict):
        return {key: _resolved(part, results) for key, part in value.items()}
    if isinstance(value, list):
        return [_resolved(part, results) for part in value]

    def found(reference: re.Match[str]) -> str:
        spot: Any = results.get(reference[1])
        for key in re.findall(r"\[(\w+)\]", reference[2]):
            if isinstance(spot, list):
                spot = spot[int(key)] if key.isdecimal() and int(key) < len(spot) else None
            else:
                spot = spot.get(key) if isinstance(spot, dict) else None
        return "" if spot is None else str(spot)

    return _REFERENCE.sub(found, value) if isinstance(value, str) else value
