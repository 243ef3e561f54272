"""The house that the bench builds: its telephones, the numbers it can be reached under, and how they read."""

from collections.abc import Mapping

from producers.numbers import NumberPlan

TELEPHONES = range(201, 260)
"""Extensions. Their direct numbers end in the same two digits: 025550231 is 231."""
SIPP: Mapping[int, str] = {246: "127.0.0.4", 247: "127.0.0.5", 249: "127.0.0.6"}
"""Telephones that sipp plays, each at an address of its own; the outside's Asterisk plays the others."""
_SCRIPTED = "127.0.0.3"
_NAMES = {201: "Anna Peeters", 202: "Bram Claes", 203: "Chloé Lambert", 204: "Dora Maes", 205: "Emil Čapek"}
LINES = tuple(f"0255501{line:02}" for line in range(20)) + tuple(f"0255502{line % 100:02}" for line in TELEPHONES)
"""What can be dialled from outside."""
PLAN = NumberPlan(
    country="BE",
    extensions=r"2\d\d",
    dids=LINES,
    trunk_contexts=("from-trunk",),
    closed_contexts=("closed",),
    outside_prefix="9",
)

_DEVICE = """
[{number}](telephone)
aors = {number}
callerid = {name} <{number}>
mailboxes = {mailboxes}

[{number}]
type = aor
contact = sip:{number}@{host}:{port}
"""
_SCRIPT = """
[{number}](telephone)
from_user = {number}
"""


def name_of(extension: str) -> str:
    """The name that the PBX has for a telephone of the house, or ""."""
    number = int(extension) if PLAN.is_extension(extension) else 0
    return _NAMES.get(number, f"Agent {number}" if number else "")


def devices(port: str) -> str:
    """The PBX's part: where each telephone is reached."""
    return "".join(
        _DEVICE.format(
            number=number,
            name=name_of(str(number)),
            mailboxes="203@default" if number == 203 else "",
            host=SIPP.get(number, _SCRIPTED),
            port=port,
        )
        for number in TELEPHONES
    )


def scripted() -> str:
    """The outside's part: the telephones that it calls from."""
    return "".join(_SCRIPT.format(number=number) for number in TELEPHONES if number not in SIPP)
