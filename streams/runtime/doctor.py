"""What is wrong with a running set-up, and how to mend it. Each check looks, and changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from confluent_kafka import KafkaException

from schemas.topics import manifest
from streams.clients.ami_probe import Door, Heard, listen
from streams.runtime import kafka, warehouse
from streams.runtime.clock import Clock
from streams.runtime.config import Pbx, Settings
from streams.runtime.errors import Fatal, Retry

MANAGER_CONF = """\
[general]
enabled = yes
timestampevents = yes

[{}]
secret = {}
read = system,call,agent,user,cdr
write = system,originate,call,agent,reporting
writetimeout = 5000
"""
_SKEW_S = 1.0
_NEEDED_ACTIONS = {"CoreShowChannels": "reporting", "QueueStatus": "", "Originate": "originate"}
_PLAN = """
SELECT count() AS calls, countIf(direction = '') AS undirected,
       countIf(customer_number = '' AND direction IN ('inbound', 'outbound') AND match != 'hidden') AS nameless
FROM (SELECT direction, customer_number, match FROM calls_latest
      WHERE pbx = {pbx:String} ORDER BY started_at DESC LIMIT 200)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer: well, or what is wrong and the fix."""

    part: str
    ok: bool
    what: str
    fix: str = ""


def examine(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Every check of the set-up, in the order of the road of the data."""
    for name, pbx in settings.pbx.items():
        if pbx.adapter == "asterisk_ami":
            yield from _pbx(name, pbx, clock)
    yield from _broker(settings)
    yield from _warehouse(settings)
    for name, crm in settings.crm.items():
        yield from _crm(name, dict(crm.model_extra or {}))


def _pbx(name: str, pbx: Pbx, clock: Clock) -> Iterator[Finding]:
    own: dict[str, Any] = dict(pbx.model_extra or {})
    secret = own.get("secret")
    user = str(own.get("username", ""))
    door = Door(
        host=str(own.get("host", "")),
        port=int(own.get("port", 5038)),
        username=user,
        secret=secret.get_secret_value() if secret else "",
    )
    ask = [{"Action": "ListCommands"}, {"Action": "UserEvent", "UserEvent": "TrunklineDoctor"}]
    try:
        heard = listen(door, ask, clock)
    except Retry as e:
        yield Finding(part=f"pbx.{name}", ok=False, what=str(e), fix="check host and port, `enabled = yes`, `bindaddr`")
        return
    except Fatal as e:
        lines = MANAGER_CONF.format(user, "<the secret>")
        yield Finding(part=f"pbx.{name}", ok=False, what=str(e), fix=f"manager.conf needs:\n{lines}")
        return
    yield Finding(part=f"pbx.{name}", ok=True, what=f"logged in; {heard.greeting}")
    yield from _rights(f"pbx.{name}", heard)
    yield _timestamps(f"pbx.{name}", heard)
    if heard.skew_s is not None:
        off = abs(heard.skew_s) > _SKEW_S
        fix = "run NTP on the PBX and here" if off else ""
        yield Finding(part=f"pbx.{name}", ok=not off, what=f"clock skew {heard.skew_s:+.3f} s", fix=fix)


def _rights(part: str, heard: Heard) -> Iterator[Finding]:
    listed = heard.answers.get("ListCommands")
    for action, right in _NEEDED_ACTIONS.items():
        if listed and listed.ok and action.lower() not in listed.fields:
            yield Finding(
                part=part, ok=False, what=f"the user may not {action}", fix=f"add {right} to its `write =` line"
            )


def _timestamps(part: str, heard: Heard) -> Finding:
    stamped = [e for e in heard.events if "timestamp" in e]
    if stamped:
        return Finding(part=part, ok=True, what="timestampevents is on")
    if not [e for e in heard.events if e.get("event") not in (None, "FullyBooted")]:
        return Finding(part=part, ok=True, what="timestampevents: cannot tell, no event came; try while a call rings")
    return Finding(
        part=part,
        ok=False,
        what="events carry no time: ids are not stable, so two adapters would double every event",
        fix="`timestampevents = yes` in [general] of manager.conf, then `manager reload`",
    )


def _broker(settings: Settings) -> Iterator[Finding]:
    try:
        there = kafka.admin(settings.kafka).list_topics(timeout=5).topics
    except KafkaException as e:
        fix = "`trunkline up` starts the embedded one; else check kafka.bootstrap"
        yield Finding(
            part="kafka", ok=False, what=f"no broker at {settings.kafka.bootstrap}: {e.args[0].str()}", fix=fix
        )
        return
    missing = [t for t in manifest().topics if settings.kafka.name(t) not in there]
    what = f"topics are missing: {', '.join(missing)}" if missing else f"{len(manifest().topics)} topics are there"
    yield Finding(part="kafka", ok=not missing, what=what, fix="`trunkline topics apply`" if missing else "")


def _warehouse(settings: Settings) -> Iterator[Finding]:
    try:
        client = warehouse.connect(settings.clickhouse)
        for name in settings.pbx:
            plan = next(warehouse.rows(client, _PLAN, {"pbx": name}))
            yield _number_plan(name, plan)
    except Fatal as e:
        yield Finding(part="clickhouse", ok=False, what=str(e), fix="`trunkline up`, or check clickhouse.url and user")
        return
    yield Finding(part="clickhouse", ok=True, what=f"answers at {settings.clickhouse.url}")


def _number_plan(name: str, plan: dict[str, Any]) -> Finding:
    part, calls = f"pbx.{name}.numbers", plan["calls"]
    if not calls:
        return Finding(part=part, ok=True, what="no call yet to hold the number plan against")
    bad = plan["undirected"] + plan["nameless"]
    what = f"of the last {calls} calls {plan['undirected']} have no direction, {plan['nameless']} no customer number"
    fix = f"check extensions, dids, country and trunk_contexts in [pbx.{name}.numbers]" if bad else ""
    return Finding(part=part, ok=not bad, what=what, fix=fix)


def _crm(name: str, own: dict[str, Any]) -> Iterator[Finding]:
    url = str(own.get("url", ""))
    token = own.get("token")
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    try:
        status = httpx.get(f"{url}/api/contacts?limit=1", headers=headers, timeout=5).status_code
    except httpx.HTTPError as e:
        yield Finding(part=f"crm.{name}", ok=False, what=f"no answer at {url}: {type(e).__name__}", fix="check its url")
        return
    denied = status in (401, 403)
    ok = status == httpx.codes.OK
    fix = "" if ok else "check its token" if denied else "look at its own log"
    yield Finding(part=f"crm.{name}", ok=ok, what=f"answers {status} at {url}", fix=fix)
