"""How a call reads in Bitrix24: lines of text in its activity, the columns of the call statistics. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from sinks.crm.journal import FIELDS

_LABELS = {
    "direction": "Direction",
    "started_at": "Started",
    "duration": "Duration (s)",
    "customer_number": "Number",
    "customer_name": "Customer",
    "participants": "Participants",
    "result": "Result",
    "queue": "Queue",
    "did": "Dialled",
    "recording": "Recording",
    "candidates": "Possible contacts",
    "notes": "Notes",
}
_FIELD_OF = {label: field for field, label in _LABELS.items()}
_LINE = re.compile(r"^([A-Z][A-Za-z ()]*): (.*(?:\n {2}.*)*)$", re.MULTILINE)
OURS = "Call"
"""Label of the line with our own id: an activity without it is one whose `finish` was done and nothing behind it."""
_DOLLAR, _HARMLESS = "$", "\uff04"
"""A batch replaces `$result[…]` wherever it stands, also in what a caller is named."""
KINDS = {"C": ("CONTACT", 3), "CO": ("COMPANY", 4)}
_SHORT = {"CONTACT": "C", "COMPANY": "CO"}


def entity(short: str) -> tuple[str, int, int] | None:
    """Type by name, by number, and id of C_1 or CO_1."""
    kind, _, number = short.partition("_")
    if kind not in KINDS or not number.isdecimal():
        return None
    return (*KINDS[kind], int(number))


def harmless(text: str) -> str:
    """Text as it may stand in a batch: it is read back with the sign that it had."""
    return text.replace(_DOLLAR, _HARMLESS)


def _line(label: str, text: str) -> str:
    return f"{label}: " + harmless(text).replace("\n", "\n  ")


def with_lines(description: str, fields: Mapping[str, str], call_id: str = "") -> str:
    """The description with these fields as they should read: lines are replaced, taken away or added."""
    wanted = {_LABELS[f]: fields[f] for f in FIELDS if f in fields and f in _LABELS}
    if call_id:
        wanted[OURS] = call_id
    description = description.replace("\r\n", "\n")
    there = {found[1] for found in _LINE.finditer(description)}

    def replaced(found: re.Match[str]) -> str:
        if found[1] not in wanted:
            return found[0]
        return _line(found[1], wanted[found[1]]) if wanted[found[1]] else "\0"

    kept = _LINE.sub(replaced, description).replace("\0\n", "").replace("\n\0", "").replace("\0", "")
    added = [_line(label, text) for label, text in wanted.items() if text and label not in there]
    return "\n".join([*([kept] if kept else []), *added])


def lines(activity: Mapping[str, Any]) -> dict[str, str]:
    """The text of each line of ours by its label."""
    text = str(activity["DESCRIPTION"] or "").replace("\r\n", "\n").replace(_HARMLESS, _DOLLAR)
    return {found[1]: found[2].replace("\n  ", "\n") for found in _LINE.finditer(text)}


def owner(activity: Mapping[str, Any], home: str) -> str:
    """The contact or company that an activity stands on, "" for `home` and for leads."""
    kind = next((k for k, (_, type_id) in KINDS.items() if str(type_id) == str(activity["OWNER_TYPE_ID"])), "")
    found = f"{kind}_{activity['OWNER_ID']}" if kind else ""
    return "" if found == home else found


def of_activity(activity: Mapping[str, Any], home: str) -> dict[str, str]:
    """The fields of an activity under our names."""
    fields = dict.fromkeys(FIELDS, "")
    fields |= {_FIELD_OF[label]: text for label, text in lines(activity).items() if label in _FIELD_OF}
    fields["subject"] = str(activity["SUBJECT"] or "").replace(_HARMLESS, _DOLLAR)
    fields["contact_id"] = owner(activity, home)
    return fields


def of_row(row: Mapping[str, Any]) -> dict[str, str]:
    """What the statistics alone tell of a call."""
    kind = _SHORT.get(str(row["CRM_ENTITY_TYPE"]), "")
    fields = dict.fromkeys(FIELDS, "")
    fields["contact_id"] = f"{kind}_{row['CRM_ENTITY_ID']}" if kind else ""
    fields["customer_number"], fields["duration"] = str(row["PHONE_NUMBER"]), str(row["CALL_DURATION"])
    return fields
