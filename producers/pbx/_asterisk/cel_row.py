"""A row of channel event logging under the names of the AMI event `CEL`, whoever wrote it, and what its extra holds."""

from collections.abc import Mapping

import orjson

from streams.runtime.errors import Reject

_NAMES = {
    "eventtype": "eventname",
    "name": "calleridname",
    "cid_name": "calleridname",
    "cidname": "calleridname",
    "num": "calleridnum",
    "cid_num": "calleridnum",
    "cidnum": "calleridnum",
    "channame": "channel",
    "appname": "application",
    "bridgepeer": "peer",
    "eventextra": "extra",
    "usereventname": "userdeftype",
}
"""What cel_custom and tables call a field, and what AMI calls it."""
_NUMBERS = dict(
    enumerate(
        """
        CHAN_START CHAN_END HANGUP ANSWER APP_START APP_END BRIDGE_ENTER BRIDGE_EXIT PARK_START PARK_END BLINDTRANSFER
        ATTENDEDTRANSFER USER_DEFINED LINKEDID_END PICKUP FORWARD LOCAL_OPTIMIZE LOCAL_OPTIMIZE_BEGIN STREAM_BEGIN
        STREAM_END DTMF
        """.split(),  # noqa: SIM905 - a table is read by lines
        start=1,
    )
)
"""A table whose eventtype is a number has these, since Asterisk 12."""
Extra = Mapping[str, str]
"""The row's own fields; the bare text of the old dialect stands under ""."""


def from_row(row: Mapping[str, str]) -> dict[str, str]:
    """A line or a table's row under the names of the AMI event."""
    fields = {_NAMES.get(name.lower(), name.lower()): value for name, value in row.items()}
    kind = fields.setdefault("eventname", fields.get("eventenum", ""))
    if kind.isascii() and kind.isdigit():
        fields["eventname"] = _NUMBERS.get(int(kind) if len(kind) < 4 else 0, kind)  # noqa: PLR2004 - two digits
    return fields


def particulars(text: str) -> Extra:
    if not text.startswith("{"):
        return {"": text}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as e:
        raise Reject("extra begins with { and is no JSON") from e
    return {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in found.items()}
