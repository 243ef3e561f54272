"""What is wrong with a running set-up, and how to mend it. Each check looks, and changes nothing."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from confluent_kafka import KafkaException

from schemas.topics import manifest
from streams.clients.ami_probe import Door, Heard, listen
from streams.runtime import kafka, warehouse
from streams.runtime.clock import Clock
from streams.runtime.config import Settings
from streams.runtime.connectors import configured, faults, load
from streams.runtime.errors import Fatal, Reject, Retry

MANAGER_CONF = """\
[general]
enabled = yes
timestampevents = yes

[{}]
secret = {}
read = system,call,agent,user,cdr
write = system,originate,call,agent,reporting,user
writetimeout = 5000
"""
OTHER_CONF = """\
; cdr_manager.conf: the PBX's own record of each call, beside its events
[general]
enabled = yes

; cel.conf: the only sure sign that a caller was in voicemail, and who hung up. With the sample's line of
; cel_custom.conf uncommented also a file that completes what was missed, read by the adapter asterisk_cel
[general]
enable = yes
apps = dial,park,queue,voicemail
events = ALL
[manager]
enabled = yes
"""
_RECORDS = {
    "asterisk_cdr": "cdr_csv makes it at the first call (cdr.conf: enable = yes)",
    "asterisk_cel": "cel_custom makes it at the first call (cel.conf: enable = yes, events = ALL, apps = "
    "dial,park,queue,voicemail; cel_custom.conf: the sample's line under [mappings])",
    "asterisk_queue_log": "app_queue makes it when it starts (logger.conf: queue_log = yes)",
}
"""Adapters of records, and who makes their file."""
_SKEW_S = 1.0
_ODD = 0.05
"""Share of the calls that may be odd without the number plan being at fault."""
_NOBODY = "+3220000000"
"""A number to look up; whether a CRM has it does not matter."""
_NEEDED_ACTIONS = {"CoreShowChannels": "reporting", "Filter": "system", "Originate": "originate", "UserEvent": "user"}
_TABLES = "SELECT name FROM system.tables WHERE database = {database:String}"
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
    wrong = [Finding(part=part, ok=False, what=told, fix="mend the configuration") for part, told in faults(settings)]
    yield from wrong
    unusable = {finding.part for finding in wrong}
    for name, pbx in settings.pbx.items():
        if f"pbx.{name}" not in unusable:
            yield from _pbx(f"pbx.{name}", pbx.adapter, configured(settings, "pbx", name), clock)
    yield from _broker(settings)
    yield from _warehouse(settings)
    for name, crm in settings.crm.items():
        if f"crm.{name}" not in unusable:
            yield _crm(f"crm.{name}", load("crm", crm.connector), configured(settings, "crm", name), clock)


def _pbx(part: str, adapter: str, config: Any, clock: Clock) -> Iterator[Finding]:
    if adapter == "asterisk_ami":
        yield from _manager(part, config, clock)
    elif adapter in _RECORDS and config.database:
        yield _table(part, config)
    elif adapter in _RECORDS:
        there = os.access(config.path, os.R_OK)
        fix = "" if there else f"check path, and that this user may read it; {_RECORDS[adapter]}"
        what = f"{config.path} is {'there' if there else 'not there, or not for us to read'}"
        yield Finding(part=part, ok=there, what=what, fix=fix)


def _table(part: str, config: Any) -> Finding:
    try:  # the layer above knows how a database is asked; this one finds it at run time
        newest = import_module("producers.pbx._asterisk.records").newest(config)
    except (Retry, Fatal) as e:
        fix = "check database, username, password, table and key, and that the database lets this machine in"
        return Finding(part=part, ok=False, what=str(e), fix=fix)
    what = f"{config.table} is there and {'empty' if newest is None else 'has rows'}"
    return Finding(part=part, ok=True, what=what)


def _manager(part: str, config: Any, clock: Clock) -> Iterator[Finding]:
    # The layer above knows how its certificates are checked; this one finds it at run time.
    tls = import_module("producers.feeds").tls(config.tls_ca, verify=config.tls_verify) if config.tls else None
    secret = config.secret.get_secret_value()
    door = Door(host=config.host, port=config.port, username=config.username, secret=secret, tls=tls, md5=config.md5)
    ask = [{"Action": "ListCommands"}, {"Action": "UserEvent", "UserEvent": "TrunklineDoctor"}]
    try:
        heard = listen(door, ask, clock)
    except Retry as e:
        fix = "check host, port and tls here; `enabled = yes` and `bindaddr` in manager.conf"
        yield Finding(part=part, ok=False, what=str(e), fix=fix)
        return
    except Fatal as e:
        lines = MANAGER_CONF.format(config.username, "<the secret>")
        yield Finding(part=part, ok=False, what=str(e), fix=f"manager.conf needs:\n{lines}")
        return
    yield Finding(part=part, ok=True, what=f"logged in; {heard.greeting}")
    yield from _rights(part, heard)
    yield _timestamps(part, heard)
    if heard.skew_s is not None:
        off = abs(heard.skew_s) > _SKEW_S
        fix = "run NTP on the PBX and here" if off else ""
        yield Finding(part=part, ok=not off, what=f"clock skew {heard.skew_s:+.3f} s", fix=fix)


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
    except Fatal as e:
        yield Finding(part="clickhouse", ok=False, what=str(e), fix="`trunkline up`, or check clickhouse.url and user")
        return
    try:
        tables = {row["name"] for row in warehouse.rows(client, _TABLES, {"database": settings.clickhouse.database})}
        if "calls_latest" not in tables:
            fix = "`trunkline up` or `trunkline run sink clickhouse` makes it"
            yield Finding(part="clickhouse", ok=False, what="answers, but has no table of calls yet", fix=fix)
            return
        yield Finding(part="clickhouse", ok=True, what=f"answers at {settings.clickhouse.url}")
        for name in settings.pbx:
            yield _number_plan(name, next(warehouse.rows(client, _PLAN, {"pbx": name})))
    except Fatal as e:
        yield Finding(part="clickhouse", ok=False, what=str(e), fix="check the user's rights in the database")
    finally:
        client.close()


def _number_plan(name: str, plan: dict[str, Any]) -> Finding:
    part, calls = f"pbx.{name}.numbers", plan["calls"]
    if not calls:
        return Finding(part=part, ok=True, what="no call yet to hold the number plan against")
    off = plan["undirected"] + plan["nameless"] > calls * _ODD
    what = f"of the last {calls} calls {plan['undirected']} have no direction, {plan['nameless']} no customer number"
    fix = f"check extensions, dids, country and trunk_contexts in [pbx.{name}.numbers]" if off else ""
    return Finding(part=part, ok=not off, what=what, fix=fix)


def _crm(part: str, connector: Any, config: Any, clock: Clock) -> Finding:
    try:
        asyncio.run(_look(connector, config, clock))
    except Retry as e:
        return Finding(part=part, ok=False, what=str(e), fix="check its url, and whether it is up")
    except (Fatal, Reject) as e:
        return Finding(part=part, ok=False, what=str(e), fix="check its token and the rights that go with it")
    return Finding(part=part, ok=True, what="lets us in and looks up numbers")


async def _look(connector: Any, config: Any, clock: Clock) -> None:
    async with connector.open(config, clock) as portal:
        await portal.find_by_phone(_NOBODY)
