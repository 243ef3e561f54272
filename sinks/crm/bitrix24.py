"""Bitrix24: a call is a call of its telephony, with an activity in the history of its contact, company or lead.

`register` opens it, `finish` writes it once into the call statistics and makes the activity: a second `finish` of the
same call is refused, and the statistics are found by our own id (EXTERNAL_CALL_ID), also after a lost answer. All of a
call goes in one request: register, finish, then what telephony has no field for, and the recording.

What stands in the statistics can be changed by nobody: number, direction, duration and result stay as they were first
written. So every field stands in the activity too, a line each of its description, and a later revision replaces its own
lines there (`crm.activity.update`, which Bitrix24 keeps working for calls but develops no further; its successor
`crm.activity.todo.update` takes no calls). Whatever else a person wrote into the description stays.

Nothing pops up and no chat is written to (SHOW=0, ADD_TO_CHAT=0): a call is written when it is over, or long after.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sinks.crm.bitrix24_text import KINDS, OURS, entity, harmless, lines, of_activity, of_row, owner, with_lines
from sinks.crm.connector import Connector, Entry, Portal
from streams.clients.bitrix24 import Batch, Bitrix24Client, Config, connect
from streams.clients.crm import Gone, Unknown, UnknownContact, e164
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Reject

_TYPES = {"outbound": 1}
_INBOUND = 2
_STATUS = {"answered": "200", "busy": "486", "failed": "OTHER", "rejected": "603"}
_MISSED = "304"
_PLAIN = 1
_LEAD = "lead"
_REFUSALS = 4
"""ERROR_CORE of `finish` is said of a call that was finished before, which the statistics show, and of bad data."""
_KNOWN_AGAIN_S = 1500.0
"""Somewhat less than Bitrix24's 30 minutes."""
_NOT_THERE = {"NOT_FOUND", "ACCESS_DENIED"}
_Calls = dict[str, tuple[str, Mapping[str, Any]]]


class Bitrix24Portal:
    """Calls in one Bitrix24. A contact's id is as Bitrix24 shortens it: C_1 for contact 1, CO_1 for company 1."""

    def __init__(self, client: Bitrix24Client, config: Config, clock: Clock) -> None:
        if config.unknown_on not in ("", _LEAD) and entity(config.unknown_on) is None:
            raise Fatal("`unknown_on` of this CRM must be C_ or CO_ and an id, or lead")
        self._client, self._config, self._clock = client, config, clock
        self._halves: dict[str, str] = {}
        self._refused: Counter[str] = Counter()

    async def find_by_phone(self, number: str) -> Sequence[str]:
        """Contacts and companies that Bitrix24 finds, each then compared in E.164; leads have no history to keep."""
        named = {"PHONE_NUMBER": number}
        found = await self._client.call("telephony.externalCall.searchCrmEntities", named)
        lists: _Calls = {}
        for kind, (name, type_id) in KINDS.items():
            if ids := [f["CRM_ENTITY_ID"] for f in found if f["CRM_ENTITY_TYPE"] == name]:
                lists[kind] = (
                    "crm.item.list",
                    {"entityTypeId": type_id, "filter": {"@id": ids}, "select": ["*"], "order": {"id": "ASC"}},
                )
        results = (await self._client.batch(lists)).whole() if lists else {}
        return [
            f"{kind}_{item['id']}"
            for kind, result in results.items()
            for item in result["items"]
            if number in {e164(str(fm["value"]), self._config.country) for fm in item["fm"] if fm["typeId"] == "PHONE"}
        ]

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        """One request; where a former one ended between its parts, what is left of it.

        `register` knows a call again for 30 minutes; one that is older is looked for in the statistics first.
        """
        if self._halves.get(call_id) is None and self._old(fields) and await self.confirm(call_id):
            raise Unknown("the call is in Bitrix24 already")
        if half := self._halves.get(call_id):
            await self._complete(call_id, half, fields)
            return half
        told = await self._client.batch(self._written(call_id, fields), repeatable=False)
        if isinstance(made := told.results.get("finish"), Mapping):
            return await self._finished(call_id, told, made, fields)
        if told.failed == "contact" and told.code in _NOT_THERE:
            raise UnknownContact(fields["contact_id"])
        if told.failed == "finish" and isinstance(told.error, Reject):
            self._refused[call_id] += 1
            if self._refused[call_id] < _REFUSALS:
                raise Unknown("Bitrix24 did not finish the call, or had finished it before")
        self._refused.pop(call_id, None)
        told.whole()
        raise Unknown("Bitrix24 told nothing of the finished call")

    async def _finished(self, call_id: str, told: Batch, made: Mapping[str, Any], fields: Mapping[str, str]) -> str:
        """The call is in the statistics; what failed behind that is done again on its own.

        A recording that Bitrix24 cannot fetch is no reason to refuse the call: its address stands in the text.
        """
        done = str(made["CALL_ID"])
        self._refused.pop(call_id, None)
        if told.error is None or (told.failed == "record" and isinstance(told.error, Reject)):
            return done
        self._halves[call_id] = done
        if made.get("CRM_ACTIVITY_ID"):
            raise told.error
        await self._complete(call_id, done, fields)
        return done

    def _old(self, fields: Mapping[str, str]) -> bool:
        started = fields.get("started_at")
        if not started:
            return True
        ended = datetime.fromisoformat(started).timestamp() + float(fields.get("duration") or 0)
        return self._clock.now() / 1_000_000 - ended > _KNOWN_AGAIN_S

    def _written(self, call_id: str, fields: Mapping[str, str]) -> _Calls:
        """The parts of a new call, in order."""
        contact, home = fields.get("contact_id", ""), self._config.unknown_on
        if contact and not entity(contact):
            raise UnknownContact(contact)
        register = self._registered(call_id, fields)
        calls: _Calls = {}
        if on := entity(contact) or entity(home):
            register |= {"CRM_ENTITY_TYPE": on[0], "CRM_ENTITY_ID": on[2]}
            calls["contact"] = ("crm.item.get", {"entityTypeId": on[1], "id": on[2]})
        finish = {
            "CALL_ID": "$result[register][CALL_ID]",
            "USER_ID": self._config.user_id,
            "DURATION": fields.get("duration") or 0,
            "ADD_TO_CHAT": 0,
        }
        if result := fields.get("result"):
            finish["STATUS_CODE"] = _STATUS.get(result, _MISSED)
        written: dict[str, Any] = {"DESCRIPTION": with_lines("", fields, call_id), "DESCRIPTION_TYPE": _PLAIN}
        if subject := fields.get("subject"):
            written["SUBJECT"] = harmless(subject)
        calls["register"] = ("telephony.externalCall.register", register)
        calls["finish"] = ("telephony.externalCall.finish", finish)
        calls["text"] = ("crm.activity.update", {"id": "$result[finish][CRM_ACTIVITY_ID]", "fields": written})
        return calls | _record("$result[register][CALL_ID]", fields)

    def _registered(self, call_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """What `register` takes; the same again within 30 minutes gives the same call."""
        number = fields.get("customer_number", "")
        number = self._config.hidden_as if number in ("", "hidden") else number
        if not number:
            raise Reject("Bitrix24 takes no call without a number: set `hidden_as` of this CRM")
        register: dict[str, Any] = {
            "USER_ID": self._config.user_id,
            "PHONE_NUMBER": harmless(number),
            "TYPE": _TYPES.get(fields.get("direction", ""), _INBOUND),
            "EXTERNAL_CALL_ID": harmless(call_id),
            "CRM_CREATE": int(self._config.unknown_on == _LEAD and not fields.get("contact_id")),
            "SHOW": 0,
            "ADD_TO_CHAT": 0,
        }
        if started := fields.get("started_at"):
            register["CALL_START_DATE"] = started.replace("Z", "+00:00")
        if self._config.line:
            register["LINE_NUMBER"] = self._config.line
        return register

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        """The description is read, and its other lines are written as they were."""
        row, activity = await self._there(external_id)
        if activity is None and fields.keys() - {"recording"}:
            raise Reject("the call stands in Bitrix24's call statistics alone: set `unknown_on` of this CRM")
        await self._change(row, activity, fields)

    async def drop_call(self, external_id: str) -> None:
        """The activity goes. Nobody can delete what stands in the statistics: a call without an activity stays."""
        _, activity = await self._there(external_id)
        if activity is not None:
            told = await self._client.batch({"drop": ("crm.activity.delete", {"id": activity["ID"]})})
            await self._whole(told, external_id)

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        """What the statistics know under our id. A call without our text is not an entry yet: `put_call` completes it."""
        entries = []
        for row, activity in await self._rows({"EXTERNAL_CALL_ID": harmless(call_id)}):
            if not int(row["CRM_ACTIVITY_ID"] or 0):
                entries.append(Entry(external_id=row["CALL_ID"], fields=of_row(row)))
            elif activity is not None and lines(activity).get(OURS) is None:
                self._halves[call_id] = row["CALL_ID"]
            elif activity is not None:
                fields = of_activity(activity, self._config.unknown_on)
                entries.append(Entry(external_id=row["CALL_ID"], fields=fields))
        return entries

    async def _complete(self, call_id: str, external_id: str, fields: Mapping[str, str]) -> None:
        """Write what `finish` takes no part of, in a call that has it not yet."""
        with suppress(Gone):  # deleted since: it is not made again
            await self._change(*await self._there(external_id), fields, call_id)
        self._halves.pop(call_id, None)

    async def _change(
        self, row: Mapping[str, Any], activity: Mapping[str, Any] | None, fields: Mapping[str, str], call_id: str = ""
    ) -> None:
        calls = self._changes(activity, fields, call_id) if activity is not None else {}
        calls |= _record(row["CALL_ID"], fields)
        if not calls:
            return
        told = await self._client.batch(calls)
        if told.failed == "contact" and told.code in _NOT_THERE:
            raise UnknownContact(fields["contact_id"])
        if told.failed != "record" or not isinstance(told.error, Reject):
            await self._whole(told, str(row["CALL_ID"]))

    async def _whole(self, told: Batch, external_id: str) -> None:
        """Raise what a failure asks for. That an activity is not there is told without a code: it is looked for."""
        if isinstance(told.error, Reject):
            await self._there(external_id)
        told.whole()

    def _changes(self, activity: Mapping[str, Any], fields: Mapping[str, str], call_id: str) -> _Calls:
        """What brings an activity to these fields."""
        home, contact = self._config.unknown_on, fields.get("contact_id", "")
        written: dict[str, Any] = {
            "DESCRIPTION": with_lines(activity["DESCRIPTION"] or "", fields, call_id),
            "DESCRIPTION_TYPE": _PLAIN,
        }
        if fields.get("subject"):
            written["SUBJECT"] = harmless(fields["subject"])
        calls: _Calls = {}
        if "contact_id" in fields and contact != owner(activity, home):
            if contact and not entity(contact):
                raise UnknownContact(contact)
            if on := entity(contact) or entity(home):
                calls["contact"] = ("crm.item.get", {"entityTypeId": on[1], "id": on[2]})
                written |= {"OWNER_TYPE_ID": on[1], "OWNER_ID": on[2]}
        return calls | {"text": ("crm.activity.update", {"id": activity["ID"], "fields": written})}

    async def _there(self, external_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
        """The call and its activity, None where it never had one; raises Gone."""
        for row, activity in await self._rows({"CALL_ID": external_id}):
            if activity is None and int(row["CRM_ACTIVITY_ID"] or 0):
                break
            return row, activity
        raise Gone(external_id)

    async def _rows(self, by: Mapping[str, str]) -> list[tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
        """Calls of the statistics, oldest first, each with its activity where it is there.

        `crm.activity.get` of one that is not there has an error without a code; `list` simply lacks it.
        """
        calls: _Calls = {
            "rows": ("voximplant.statistic.get", {"FILTER": by, "SORT": "ID", "ORDER": "ASC"}),
            "first": ("crm.activity.list", {"filter": {"ID": "$result[rows][0][CRM_ACTIVITY_ID]"}, "select": ["*"]}),
        }
        results = (await self._client.batch(calls)).whole()
        rows, found = results["rows"], {a["ID"]: a for a in results["first"]}
        wanted = {str(row["CRM_ACTIVITY_ID"]) for row in rows[1:] if int(row["CRM_ACTIVITY_ID"] or 0)}
        if wanted:
            more = await self._client.call("crm.activity.list", {"filter": {"ID": sorted(wanted)}, "select": ["*"]})
            found |= {a["ID"]: a for a in more}
        return [(row, found.get(str(row["CRM_ACTIVITY_ID"]))) for row in rows]


def _record(external_id: str, fields: Mapping[str, str]) -> _Calls:
    """Bitrix24 fetches the first recording that has an address, and replaces the one before."""
    for line in fields.get("recording", "").splitlines():
        if line.startswith(("https://", "http://")) and urlsplit(line).path.endswith((".mp3", ".wav")):
            named = {"CALL_ID": external_id, "RECORD_URL": harmless(line)}
            return {"record": ("telephony.externalCall.attachRecord", named)}
    return {}


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the journal's share of the rate limit."""
    async with connect(config, clock, rate=config.rate_per_s, burst=config.burst) as client:
        yield Bitrix24Portal(client, config, clock)


connector = Connector(config=Config, open=open_portal)
