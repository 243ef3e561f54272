"""A house with an Asterisk, and single AMI events as its adapter reads them."""

from collections.abc import Mapping

from pydantic import SecretStr

from producers.adapter import Context, Frame
from producers.numbers import NumberPlan
from producers.pbx.asterisk_ami import Config, normalise
from schemas.events import CallEvent

HOUSE = Context(
    tenant="acme",
    pbx="main",
    numbers=NumberPlan(country="BE", extensions=r"2\d\d", dids=("025550101",), outside_prefix="9"),
    config=Config(
        host="",
        username="",
        secret=SecretStr(""),
        ivr_events=("Menu",),
        note_events=("Remark",),
        zone="Europe/Brussels",
    ),
)
STAMP = "1795519805.356696"


def leg(
    prefix: str, uniqueid: str, linkedid: str = "", name: str = "PJSIP/trunk-00000001", **more: str
) -> dict[str, str]:
    """A channel's block, as an event has it."""
    block = {
        "Channel": name,
        "CallerIDNum": "+32470123401",
        "ConnectedLineNum": "201",
        "Uniqueid": uniqueid,
        "Linkedid": linkedid or uniqueid,
        **more,
    }
    return {prefix + key: value for key, value in block.items()}


def read(name: str, fields: Mapping[str, str], context: Context[Config] = HOUSE) -> list[CallEvent]:
    lines = {"Event": name, "Privilege": "call,all", "Timestamp": STAMP, **fields}
    raw = "\r\n".join([f"{key}: {value}" for key, value in lines.items()]).encode()
    return list(normalise(Frame(raw, 9, 1), context))


def one(name: str, fields: Mapping[str, str]) -> CallEvent:
    (event,) = read(name, fields)
    return event
