"""An Odoo in memory as the connector meets it: `load` with external ids, errors inside a 200, times in whole seconds.

What it does was measured on Odoo 14. It answers on JSON-RPC and on `/json/2`.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

DATABASE, LOGIN, UID = "crm", "trunkline", 7
_CONTACT, _NOTE = "res.partner", "mail.message"
_USER, _TASK = "res.users", "mail.activity"
_MODELS = {_CONTACT, _NOTE, _USER, _TASK}
_EMPTY: Mapping[str, Mapping[str, Any]] = {
    _CONTACT: {
        "name": "",
        "phone": False,
        "mobile": False,
        "is_company": False,
        "parent_id": False,
        "user_id": False,
        "active": True,
    },
    _USER: {"login": "", "partner_id": False},
    _TASK: {"summary": False, "date_deadline": False, "res_id": 0, "user_id": False},
    _NOTE: {"subject": False, "date": False, "model": False, "res_id": 0, "body": "", "message_id": False},
}
_CONFLICT = "could not serialize access due to concurrent update\n"


class OdooError(Exception):
    """An exception of the server, by its Python class."""


def rpc(result: object) -> httpx.Response:
    """A JSON-RPC answer."""
    return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": result})


def rpc_error(name: str) -> httpx.Response:
    """An error of JSON-RPC: inside a 200."""
    data = {"name": name, "message": "Zoë +33123456789", "arguments": [], "debug": "Traceback", "context": {}}
    return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "error": {"code": 200, "message": "x", "data": data}})


def not_saved(message: str = _CONFLICT) -> dict[str, Any]:
    """What `load` returns when it saved nothing."""
    return {"ids": False, "messages": [{"type": "error", "message": message, "record": 0}]}


class Odoo:
    """Records by model and id; `now` (s) stamps what is written."""

    def __init__(self, password: str, now: Callable[[], int]) -> None:
        self._password, self.now = password, now
        self.tables: dict[str, dict[int, dict[str, Any]]] = {model: {} for model in _MODELS}
        self.xmlids: dict[str, tuple[str, int]] = {}
        self.transport: httpx.AsyncBaseTransport = httpx.MockTransport(self.answer)
        self.asked: list[str] = []

    def create(self, model: str, /, *, stamp: int | None = None, **values: Any) -> int:
        """A new record; `stamp` is when its transaction began."""
        made = max(self.tables[model], default=0) + 1
        self.tables[model][made] = {"id": made, **_EMPTY[model]}
        self.write(model, made, stamp=stamp, **values)
        return made

    def write(self, model: str, record: int, /, *, stamp: int | None = None, **values: Any) -> None:
        moment = self.now() if stamp is None else stamp
        self.tables[model][record].update(values, write_date=_moment(moment))

    def unlink(self, model: str, record: int) -> None:
        """Delete, as a person does."""
        self.tables[model].pop(record, None)
        self.xmlids = {name: of for name, of in self.xmlids.items() if of != (model, record)}

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the server answers."""
        body = json.loads(request.content)
        if not request.url.path.startswith("/json/2/"):
            return self._rpc(body["params"]["service"], body["params"]["method"], body["params"]["args"])
        if request.headers["authorization"] != f"bearer {self._password}":
            return httpx.Response(401, json={"name": "werkzeug.exceptions.Unauthorized", "message": "Invalid apikey"})
        _, _, _, model, method = request.url.path.split("/")
        ids = body.pop("ids", [])
        return httpx.Response(200, json=self._call(model, method, ids, body))

    def _rpc(self, service: str, method: str, args: Sequence[Any]) -> httpx.Response:
        match service, method, args:
            case "common", "login", [database, login, password]:
                good = (database, login, password) == (DATABASE, LOGIN, self._password)
                return rpc(UID if good else False)
            case "object", "execute_kw", [database, uid, password, model, verb, on, named]:
                if (database, uid, password) != (DATABASE, UID, self._password):
                    return rpc_error("odoo.exceptions.AccessDenied")
                try:
                    return rpc(self._call(model, verb, on[0] if on else [], named))
                except OdooError as e:
                    return rpc_error(str(e))
        return rpc_error("builtins.AttributeError")

    def _call(self, model: str, method: str, ids: Sequence[int], named: Mapping[str, Any]) -> object:
        self.asked.append(f"{model}.{method}")
        match method:
            case "search_read":
                return self._search_read(model, **named)
            case "load":
                return self._load(model, **named)
            case "write":
                return self._write(model, ids, **named)
            case "unlink":
                for record in ids:
                    self.unlink(model, record)
                return True
        raise OdooError("builtins.AttributeError")

    def _search_read(
        self,
        model: str,
        *,
        domain: Sequence[Any],
        fields: Sequence[str],
        order: str = "id",
        limit: int | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        hidden = model == _CONTACT and (context or {}).get("active_test", True) and "active" not in str(domain)
        table = self._external_ids() if model == "ir.model.data" else self.tables[model]
        found = [r for r in table.values() if _fits(r, list(domain)) and not (hidden and not r["active"])]
        column, _, direction = order.partition(" ")
        found.sort(key=lambda r: r[column], reverse=direction == "desc")
        return [{"id": r["id"], **{f: r[f] for f in fields}} for r in found[:limit]]

    def _external_ids(self) -> dict[int, dict[str, Any]]:
        named = enumerate(sorted((*name.split("."), model, of) for name, (model, of) in self.xmlids.items()))
        return {n: {"id": n, "module": m, "name": x, "model": model, "res_id": of} for n, (m, x, model, of) in named}

    def _load(
        self,
        model: str,
        fields: Sequence[str],
        data: Sequence[Sequence[str]],
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """All rows or none. The user that we are has no mail address, so its activities must be quiet ones."""
        if model == _TASK and not (context or {}).get("mail_activity_quick_update"):
            return not_saved("Unable to log message, please configure the sender's email address.")
        rows = [dict(zip(fields, row, strict=True)) for row in data]
        for row in rows:
            if int(row["res_id"]) not in self.tables[row.get("model", _CONTACT)]:
                return not_saved("The requested operation cannot be completed due to security restrictions.")
        ids = []
        for row in rows:
            name = row.pop("id")
            values = {k.removesuffix("/.id"): v or False for k, v in row.items() if not k.endswith("/id")} | {
                "res_id": int(row["res_id"])
            }
            if name not in self.xmlids:
                self.xmlids[name] = model, self.create(model)
            _, record = self.xmlids[name]
            self._write(model, [record], values)
            ids.append(record)
        return {"ids": ids, "messages": []}

    def _write(self, model: str, ids: Sequence[int], vals: Mapping[str, Any]) -> bool:
        for record in ids:
            if record not in self.tables[model]:
                raise OdooError("odoo.exceptions.MissingError")
            if vals.get("model") and vals["res_id"] not in self.tables[vals["model"]]:
                raise OdooError("odoo.exceptions.AccessError")
            if "model" in vals and not self.tables[model][record]["model"] and "message_id" not in vals:
                raise OdooError("builtins.KeyError")  # Odoo 14 cannot move a note that stands on nothing
            self.write(model, record, **vals)
        return True


def _fits(record: Mapping[str, Any], domain: list[Any]) -> bool:
    """A domain in prefix notation; terms that no operator joins must all hold."""

    def term() -> bool:
        head = domain.pop(0)
        if head == "|":
            one, other = term(), term()
            return one or other
        field, how, value = head
        return _holds(record[field], how, value)

    while domain:
        if not term():
            return False
    return True


def _holds(found: Any, how: str, value: Any) -> bool:
    match how:
        case "=":
            return bool(found == value)
        case "in":
            return found in value
        case ">":
            return bool(found > value)
        case ">=":
            return bool(found >= value)
        case "=ilike":
            pattern = "".join(".*" if c == "%" else re.escape(c) for c in value)
            return re.fullmatch(pattern, str(found or ""), re.IGNORECASE) is not None
    raise OdooError("builtins.ValueError")


def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
