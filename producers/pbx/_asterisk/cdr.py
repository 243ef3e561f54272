"""A call detail record of Asterisk: cdr_manager's event, a line of Master.csv, or a table's row. One shape, `cdr.final`.

Times are the PBX's local time, whole seconds (cdr/cdr_csv.c, cdr/cdr_manager.c, cdr/cdr_adaptive_odbc.c). Without a
configured zone it is measured from the record's own uniqueid (`zone`), unless its part of the call began a quarter of
an hour after its channel: set `zone` where that matters.
"""

import re
from collections.abc import Mapping
from datetime import UTC

from producers.pbx._asterisk import zone
from producers.pbx._asterisk.channels import Facts, Site, extension, known, number, scoped

COLUMNS = (
    *("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata"),
    *("start", "answer", "end", "duration", "billsec", "disposition", "amaflags"),
)
LAYOUTS = (
    COLUMNS,
    (*COLUMNS, "uniqueid"),
    (*COLUMNS, "uniqueid", "userfield"),
    (*COLUMNS, "peeraccount", "linkedid", "sequence"),
    (*COLUMNS, "uniqueid", "peeraccount", "linkedid", "sequence"),
    (*COLUMNS, "uniqueid", "userfield", "peeraccount", "linkedid", "sequence"),
)
"""How many columns a line has tells which options of cdr.conf are on: loguniqueid, loguserfield, newcdrcolumns."""
_EVENT = {
    "accountcode": "accountcode",
    "source": "src",
    "destination": "dst",
    "destinationcontext": "dcontext",
    "callerid": "clid",
    "channel": "channel",
    "destinationchannel": "dstchannel",
    "lastapplication": "lastapp",
    "lastdata": "lastdata",
    "starttime": "start",
    "answertime": "answer",
    "endtime": "end",
    "duration": "duration",
    "billableseconds": "billsec",
    "disposition": "disposition",
    "amaflags": "amaflags",
    "uniqueid": "uniqueid",
    "userfield": "userfield",
}
_NAME = re.compile(r'^"(.*)" <.*>$')
_TABLE = {"calldate": "start"}
"""Names that tables give to columns."""
_DISPOSITIONS = {"0": "NO ANSWER", "1": "NO ANSWER", "2": "FAILED", "4": "BUSY", "8": "ANSWERED", "16": "CONGESTION"}
"""As a table with a column of numbers has them (include/asterisk/cdr.h)."""


def from_event(fields: Mapping[str, str]) -> dict[str, str]:
    """The record behind a `Cdr` event, under the names of Master.csv, with the dialplan's own additions kept."""
    own = {key for key in fields if key not in ("event", "privilege", "timestamp", "systemname")}
    return {_EVENT.get(key, key): fields[key] for key in sorted(own)}


def from_row(row: Mapping[str, str]) -> dict[str, str]:
    """The record in a table's row, whose columns have the names of Master.csv, some of them missing."""
    record = {_TABLE.get(name, name): value for name, value in row.items() if name != "id"}
    if "disposition" in record:
        record["disposition"] = _DISPOSITIONS.get(record["disposition"], record["disposition"])
    return record


def facts(site: Site, record: Mapping[str, str]) -> Facts:
    """cdr.final. Its linkedid, where the source has it, is the call's id; the uniqueid is the leg's."""
    numbers = site.numbers
    source, destination = known(record.get("src", "")), known(record.get("dst", ""))
    name = _NAME.match(record.get("clid", ""))
    data = {key: value for key, value in record.items() if value}
    data |= {f"{key}_us": str(at) for key, at in times(record, site.config.zone).items()}
    data["source"] = "cdr"
    channel, context = record.get("channel", ""), record.get("dcontext", "")
    outside = numbers.dialled(destination)
    inside = extension(site, channel) or numbers.is_extension(source)
    if numbers.is_hidden(source):
        data["hidden"] = "1"
    if context in numbers.closed_contexts:
        data["closed"] = "1"
    data |= forwarded(site, record)
    return {
        "type": "cdr.final",
        "call_id": scoped(site, record.get("linkedid", "")),
        "leg_id": scoped(site, record.get("uniqueid", "")),
        "channel": channel,
        "direction": "inbound" if not inside and (numbers.is_trunk(context) or numbers.is_did(destination)) else "",
        "did": outside if numbers.is_did(destination) and not inside else "",
        "caller_raw": source,
        "caller_e164": numbers.e164(source),
        "caller_name": name[1] if name else "",
        "callee_raw": destination,
        "callee_e164": outside,
        "customer_number": numbers.customer(outside) if inside else numbers.customer(source, outside),
        "data": data,
    }


def forwarded(site: Site, record: Mapping[str, str]) -> Facts:
    """The number outside that was dialled, where the other channel is no telephone of the house."""
    if record.get("lastapp", "").lower() != "dial" or extension(site, record.get("dstchannel", "")):
        return {}
    outside = site.numbers.outside(record.get("lastdata", "").partition(",")[0])
    return {"outside": outside} if outside else {}


def times(record: Mapping[str, str], configured: str) -> dict[str, int]:
    """`start`, `answer` and `end` in µs UTC, as far as the record has them.

    A table without `end` (as FreePBX makes it) has the whole seconds after `start`: duration and billsec.
    """
    uniqueids = (record.get("uniqueid", ""), record.get("linkedid", ""))
    local = zone.of(configured, "", record.get("start", ""), uniqueids) or UTC
    made = zone.created(*uniqueids)
    read = {key: zone.moment(record.get(key, ""), local, made) for key in ("start", "answer", "end")}
    found = {key: at[0] for key, at in read.items() if at}
    if "start" in found and "end" not in record and (lasted := number(record.get("duration", ""))) is not None:
        found["end"] = found["start"] + lasted * 1_000_000
        talked = number(record.get("billsec", ""))
        if "answer" not in record and talked and record.get("disposition") == "ANSWERED":
            found["answer"] = found["end"] - talked * 1_000_000
    return found
