"""A Bitrix24 in memory as the connector meets it: telephony, activities, contacts, the queue of offline events.

By bitrix24/b24restdocs (`api-reference`): numbers come as text, `finish` is done once, `register` knows a call again for
half an hour, a page has 50, the queue keeps the last state of each object, and what is reserved is nobody else's.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.fakes.bitrix24_rest import BitrixError, Rest

CONTACT, COMPANY = 3, 4
_NAMES = {1: "LEAD", CONTACT: "CONTACT", COMPANY: "COMPANY"}
_TYPES = {name: number for number, name in _NAMES.items()}
_PAGE = 50
_AGAIN_S = 1800
_NOBODY = "0"


class Bitrix24(Rest):
    """Items by type and id; `now` (s) stamps what is written."""

    def __init__(self, access: str, now: Callable[[], float]) -> None:
        super().__init__(access, now)
        self.items: dict[int, dict[int, dict[str, Any]]] = {number: {} for number in _NAMES}
        self.calls: dict[str, dict[str, Any]] = {}
        self.statistics: list[dict[str, Any]] = []
        self.activities: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.bound: set[str] = set()
        self.confirms = "Y"
        self.shown = self.chatted = 0
        self._made = self._event = 0
        self.methods |= {
            "telephony.externalCall.register": self._register,
            "telephony.externalCall.finish": self._finish,
            "telephony.externalCall.attachRecord": self._attach,
            "telephony.externalCall.searchCrmEntities": self._search,
            "voximplant.statistic.get": self._statistics,
            "crm.activity.list": self._activities,
            "crm.activity.get": lambda a: self._activity(a["id"]),
            "crm.activity.update": self._update,
            "crm.activity.delete": self._delete,
            "crm.item.get": lambda a: {"item": self._item(int(a["entityTypeId"]), a["id"])},
            "crm.item.list": self._list,
            "event.get": lambda _: [{"event": e, "handler": "", "auth_type": "0", "offline": 1} for e in self.bound],
            "event.bind": self._bind,
            "event.offline.list": self._queue,
            "event.offline.get": self._take,
            "event.offline.clear": self._clear,
            "feature.get": lambda _: {"value": self.confirms},
            "server.time": lambda _: _moment(self.now()),
            "user.current": lambda _: {"ID": "1", "ACTIVE": True},
        }

    def create(self, kind: int, /, *phones: str, stamp: float | None = None, **values: Any) -> int:
        """A new contact or company."""
        made = max(self.items[kind], default=0) + 1
        fm = [{"id": n, "valueType": "WORK", "value": p, "typeId": "PHONE"} for n, p in enumerate(phones)]
        plain = {"name": "", "lastName": "", "companyId": 0} if kind == CONTACT else {"title": ""}
        self.items[kind][made] = {"id": made, "assignedById": 1, "fm": fm, **plain}
        self._changed(kind, made, "ADD", stamp, values)
        return made

    def write(self, kind: int, record: int, /, *, stamp: float | None = None, told: bool = True, **values: Any) -> None:
        """Change, as a person does; `told` is whether the queue hears of it."""
        self._changed(kind, record, "UPDATE" if told else "", stamp, values)

    def remove(self, kind: int, record: int, /, *, told: bool = True) -> None:
        """Delete, as a person does."""
        del self.items[kind][record]
        if told:
            self._tell(f"ONCRM{_NAMES[kind]}DELETE", record)

    def _changed(self, kind: int, record: int, how: str, stamp: float | None, values: Mapping[str, Any]) -> None:
        moment = self.now() if stamp is None else stamp
        self.items[kind][record].update(values, updatedTime=_moment(moment))
        if how:
            self._tell(f"ONCRM{_NAMES[kind]}{how}", record)

    def _tell(self, event: str, record: int) -> None:
        """The queue keeps one line for each object and kind of event that nobody has reserved."""
        if event not in self.bound:
            return
        data = {"FIELDS": {"ID": str(record)}}
        self.events = [e for e in self.events if (e["EVENT_NAME"], e["EVENT_DATA"]) != (event, data) or e["PROCESS_ID"]]
        self._event += 1
        line = {
            "ID": str(self._event),
            "TIMESTAMP_X": _moment(self.now()),
            "EVENT_NAME": event,
            "EVENT_DATA": data,
            "EVENT_ADDITIONAL": False,
            "MESSAGE_ID": f"m{self._event}",
            "PROCESS_ID": "",
        }
        self.events.append(line)

    def _register(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "USER_ID" not in asked or not asked.get("PHONE_NUMBER", "").lstrip("+").isdigit():
            raise BitrixError("ERROR_CORE")
        if asked.get("TYPE") not in {"1", "2", "3", "4", "5", 1, 2, 3, 4, 5}:
            raise BitrixError("ERROR_CORE")
        names = ("PHONE_NUMBER", "TYPE", "USER_ID", "LINE_NUMBER", "EXTERNAL_CALL_ID")
        same = {name: str(asked[name]) for name in names if name in asked}
        for call_id, call in self.calls.items():
            if call["same"] == same and self.now() - call["at"] < _AGAIN_S:
                return {"CALL_ID": call_id, "CRM_CREATED_LEAD": None, "CRM_CREATED_ENTITIES": []}
        kind, record = asked.get("CRM_ENTITY_TYPE"), int(asked.get("CRM_ENTITY_ID") or 0)
        if not kind:
            found = self._search({"PHONE_NUMBER": asked["PHONE_NUMBER"]})
            kind, record = (found[0]["CRM_ENTITY_TYPE"], found[0]["CRM_ENTITY_ID"]) if found else (None, 0)
        if not kind and str(asked.get("CRM_CREATE")) == "1":
            kind, record = "LEAD", self._lead()
        call_id = f"externalCall.{len(self.calls) + 1:032x}.{int(self.now())}"
        self.shown += str(asked.get("SHOW", 1)) == "1"
        self.chatted += str(asked.get("ADD_TO_CHAT", 1)) == "1"
        self.calls[call_id] = {"same": same, "at": self.now(), "asked": asked, "kind": kind, "record": record}
        return {"CALL_ID": call_id, "CRM_CREATED_LEAD": None, "CRM_CREATED_ENTITIES": [], "CRM_ENTITY_TYPE": kind}

    def _lead(self) -> int:
        made = max(self.items[1], default=0) + 1
        self.items[1][made] = {"id": made, "title": "Call", "fm": []}
        return made

    def _finish(self, asked: dict[str, Any]) -> dict[str, Any]:
        call = self.calls.get(asked.get("CALL_ID", ""))
        if call is None or call.get("finished"):
            raise BitrixError("ERROR_CORE")
        call["finished"] = True
        self.chatted += str(asked.get("ADD_TO_CHAT", 1)) == "1"
        register, duration = call["asked"], str(asked.get("DURATION", 0))
        row = {
            "ID": str(len(self.statistics) + 1),
            "PORTAL_USER_ID": str(asked["USER_ID"]),
            "PORTAL_NUMBER": register.get("LINE_NUMBER", ""),
            "PHONE_NUMBER": register["PHONE_NUMBER"],
            "CALL_ID": asked["CALL_ID"],
            "EXTERNAL_CALL_ID": register.get("EXTERNAL_CALL_ID"),
            "CALL_DURATION": duration,
            "CALL_START_DATE": register.get("CALL_START_DATE", _moment(call["at"])),
            "CALL_FAILED_CODE": asked.get("STATUS_CODE") or ("200" if duration != _NOBODY else "304"),
            "CALL_RECORD_URL": None,
            "CRM_ENTITY_TYPE": call["kind"],
            "CRM_ENTITY_ID": str(call["record"]) if call["kind"] else None,
            "CRM_ACTIVITY_ID": self._noted(call) if call["kind"] else None,
            "CALL_TYPE": str(register["TYPE"]),
        }
        self.statistics.append(row)
        activity = row["CRM_ACTIVITY_ID"]
        return {**row, "ID": int(row["ID"]), "CRM_ACTIVITY_ID": int(activity) if activity else None}

    def _noted(self, call: Mapping[str, Any]) -> str:
        self._made += 1
        self.activities[str(self._made)] = {
            "ID": str(self._made),
            "OWNER_ID": str(call["record"]),
            "OWNER_TYPE_ID": str(_TYPES[call["kind"]]),
            "TYPE_ID": "2",
            "PROVIDER_ID": "VOXIMPLANT_CALL",
            "SUBJECT": f"Call {call['asked']['PHONE_NUMBER']}",
            "DESCRIPTION": "",
            "DESCRIPTION_TYPE": "1",
            "RECORD": "",
        }
        return str(self._made)

    def _attach(self, asked: dict[str, Any]) -> dict[str, Any]:
        row = next((r for r in self.statistics if r["CALL_ID"] == asked.get("CALL_ID")), None)
        url = asked.get("RECORD_URL", "")
        if row is None or not url.endswith((".mp3", ".wav")):
            raise BitrixError("ERROR_CORE")
        row["CALL_RECORD_URL"] = url
        return {"FILE_ID": 1}

    def _search(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """By the last digits, as a portal that knows no countries would."""
        if not asked.get("PHONE_NUMBER"):
            raise BitrixError("ERROR_CORE")
        ending = _digits(asked["PHONE_NUMBER"])[-8:]
        return [
            {"CRM_ENTITY_TYPE": _NAMES[kind], "CRM_ENTITY_ID": i["id"], "ASSIGNED_BY_ID": 1, "NAME": i.get("name", "")}
            for kind, items in self.items.items()
            for i in items.values()
            if any(_digits(fm["value"]).endswith(ending) for fm in i["fm"])
        ]

    def _statistics(self, asked: dict[str, Any]) -> dict[str, Any]:
        by = asked.get("FILTER") or {}
        found = [r for r in self.statistics if all(r[name] == value for name, value in by.items())]
        return {"result": found[:_PAGE], "total": len(found)}

    def _activities(self, asked: dict[str, Any]) -> dict[str, Any]:
        """An empty filter shows everything."""
        ids = (asked.get("filter") or {}).get("ID") or list(self.activities)
        wanted = ids if isinstance(ids, list) else [ids]
        found = [a for i, a in self.activities.items() if i in map(str, wanted)]
        return {"result": found[:_PAGE], "total": len(found)}

    def _activity(self, record: str) -> dict[str, Any]:
        if str(record) not in self.activities:
            raise BitrixError("")
        return self.activities[str(record)]

    def _update(self, asked: dict[str, Any]) -> bool:
        activity = self._activity(asked["id"])
        if asked["fields"].get("SUBJECT", "x") == "":
            raise BitrixError("")
        activity.update(asked["fields"])
        return True

    def _delete(self, asked: dict[str, Any]) -> bool:
        self._activity(asked["id"])
        del self.activities[str(asked["id"])]
        return True

    def _item(self, kind: int, record: str) -> dict[str, Any]:
        if int(record) not in self.items[kind]:
            raise BitrixError("NOT_FOUND")
        return self.items[kind][int(record)]

    def _list(self, asked: dict[str, Any]) -> dict[str, Any]:
        by = asked.get("filter") or {}
        found = [i for i in self.items[int(asked["entityTypeId"])].values() if _fits(i, by)]
        column, direction = next(iter((asked.get("order") or {"id": "ASC"}).items()))
        found.sort(key=lambda i: i[column], reverse=direction == "DESC")
        start = max(0, int(asked.get("start") or 0))
        if "*" not in (asked.get("select") or ["*"]):
            found = [{k: v for k, v in i.items() if k != "fm"} for i in found]
        told = {"result": {"items": found[start : start + _PAGE]}}
        return told if str(asked.get("start")) == "-1" else {**told, "total": len(found)}

    def _bind(self, asked: dict[str, Any]) -> bool:
        if asked.get("event_type") != "offline":
            raise BitrixError("ERROR_EVENT_NOT_FOUND")
        self.bound.add(asked["event"].upper())
        return True

    def _take(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Reserved lines come again only to who names their process."""
        process = asked.get("process_id") or ""
        free = [e for e in self.events if e["PROCESS_ID"] == process][: int(asked.get("limit") or _PAGE)]
        if str(asked.get("clear", 1)) == "1":
            self.events = [e for e in self.events if e not in free]
            return {"process_id": None, "events": free}
        if not process and free:
            self._event += 1
            process = f"p{self._event}"
        for line in free:
            line["PROCESS_ID"] = process
        return {"process_id": process, "events": [dict(line) for line in free]}

    def _queue(self, asked: dict[str, Any]) -> dict[str, Any]:
        over = (asked.get("filter") or {}).get(">PROCESS_ID")
        found = [{**e, "ERROR": "0"} for e in self.events if over is None or e["PROCESS_ID"] > over]
        return {"result": found[:_PAGE], "total": len(found)}

    def _clear(self, asked: dict[str, Any]) -> bool:
        ids = asked.get("id")
        self.events = [
            e for e in self.events if e["PROCESS_ID"] != asked["process_id"] or (ids and e["ID"] not in map(str, ids))
        ]
        return True


def _fits(item: Mapping[str, Any], by: Mapping[str, Any]) -> bool:
    for name, value in by.items():
        if name.startswith("@") and str(item[name[1:]]) not in map(str, value):
            return False
        if name == ">id" and item["id"] <= int(value or 0):
            return False
        if name == ">=updatedTime" and datetime.fromisoformat(item["updatedTime"]) < datetime.fromisoformat(value):
            return False
    return True


def _digits(text: str) -> str:
    return "".join(c for c in text.partition("x")[0] if c.isdigit())  # an extension is left out


def _moment(second: float) -> str:
    return datetime.fromtimestamp(int(second), UTC).isoformat()
