"""`make new-adapter NAME=…` and `make new-sink NAME=…`: the file and a first case that fails until it is filled."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

_ADAPTER = '''"""{title}: which events, over which protocol; the source of each protocol fact."""

from collections.abc import Iterator
from dataclasses import dataclass

from producers import feeds
from producers.adapter import Adapter, Context, Feed, Frame
from schemas.events import CallEvent
from streams.runtime.errors import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The keys of `[pbx.<name>]` beside `adapter` and `numbers`."""

    path: str
    """File that the PBX appends its records to."""


def feed(config: Config) -> Feed:
    """Choose a transport from `producers.feeds`."""
    raise NotImplementedError


def normalise(frame: Frame, context: Context[Config]) -> Iterator[CallEvent]:
    """The events of one frame; pure. Raises Reject when it cannot be read."""
    raise Reject("not written yet")


adapter = Adapter(config=Config, feed=feed, normalise=normalise)
'''

_CONNECTOR = '''"""{title}: which API, its limits and its idempotency; the source of each fact."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sinks.crm.connector import Connector, Portal
from streams.clients.crm import PortalConfig
from streams.runtime.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(PortalConfig):
    """The keys of `[crm.<name>]` beside `connector`."""


@asynccontextmanager
async def open_portal(config: Config, clock: Clock) -> AsyncIterator[Portal]:
    """A session with the CRM: the verbs of `Portal`."""
    raise NotImplementedError
    yield


connector = Connector(config=Config, open=open_portal)
'''

_CASES = {
    "adapter": ("producers/pbx", "tests/producers/pbx", _ADAPTER, ("answered_inbound", "frames.txt", "events.jsonl")),
    "sink": ("sinks/crm", "tests/sinks/crm", _CONNECTOR, ("all_accepted", "batch.jsonl", "outcome.json")),
}


def scaffold(root: Path, kind: str, name: str) -> list[Path]:
    """Write the module and an empty first case; returns what was written. ValueError names what is wrong."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"NAME={name!r}: lower-case letters, digits and _, beginning with a letter")
    module, cases, text, (case, *fixtures) = _CASES[kind]
    file = root / module / f"{name}.py"
    if file.exists():
        raise ValueError(f"{file.relative_to(root)} is there already")
    folder = root / cases / name / case
    folder.mkdir(parents=True, exist_ok=True)
    written = [file, *(folder / fixture for fixture in fixtures)]
    file.write_text(text.format(title=name.replace("_", " ").capitalize()), encoding="utf-8")
    for fixture in written[1:]:
        fixture.touch()  # empty: the laws fail until a recording is in it
    return written


def main() -> None:
    try:
        written = scaffold(ROOT, sys.argv[1], sys.argv[2])
    except ValueError as e:
        sys.exit(str(e))
    for file in written:
        print(file.relative_to(ROOT))  # noqa: T201 - this is a command
    print("fill them; `make test` tells what is missing")  # noqa: T201


if __name__ == "__main__":
    main()
