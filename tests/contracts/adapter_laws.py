"""What must hold for every PBX adapter, whatever its protocol. `test_adapters.py` runs each law on each adapter.

A recording is a folder under tests/producers/pbx/<adapter>/, named after what happened:

    frames.txt            what the source sent: messages closed by an empty line; or a line each:
    *.csv, *_log, rows.jsonl  a file of records, the rows of a table as its feed gives them
    events.jsonl          the events that it must give, without what is the same in all of them and what is empty
    rejects.jsonl         what must be refused, when anything is: the place of the message and the reason
    truth.json, calls.txt what happened, as those know it who made the recording, or as a person reads it from the
                          messages: what becomes of the events is compared with it in tests/streams/processors
    site.toml             the house it comes from; here or one folder up: [numbers] as in the configuration, [config]

`python -m tests.contracts.record` writes the two .jsonl files anew; their difference is to be read as prose.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from producers.adapter import Adapter, Context, Frame, Ordinals
from producers.numbers import NumberPlan
from schemas import codec
from schemas.events import CallEvent
from schemas.taxonomy import EVENT_TYPES
from streams.runtime import plugins
from streams.runtime.errors import Reject
from streams.runtime.reference import docs, reference

PACKAGE = "producers.pbx"
FOLDER = Path(__file__).parents[1] / "producers" / "pbx"
REFERENCE = Path(__file__).parents[2] / "deploy" / "config" / "reference.toml"
RECEIVED_AT = 1_800_000_000_000_000
_SHARED = ("tenant", "pbx", "merge_key", "received_at", "seq", "ts_precision")
_RECORDINGS = ("frames.txt", "*.csv", "rows.jsonl", "*_log")
_E164 = re.compile(r"(\+[0-9]{3,15})?")


def adapter(name: str) -> Adapter[Any]:
    loaded: Adapter[Any] = plugins.load(PACKAGE, name, Adapter)
    return loaded


def recordings(name: str) -> list[Path]:
    """The cases of an adapter."""
    return sorted(case for case in (FOLDER / name).iterdir() if case.is_dir() and not case.name.startswith("_"))


def messages(case: Path) -> list[bytes]:
    """A recording, cut as its source cuts it."""
    (file,) = [path for kind in _RECORDINGS for path in case.glob(kind)]
    data = file.read_bytes()
    if file.suffix != ".txt":
        return data.splitlines()
    return [part.strip(b"\r\n") for part in data.split(b"\r\n\r\n") if part.strip()]


def frames(case: Path, *, received_at: int = RECEIVED_AT) -> list[Frame]:
    """A recording as a feed would give it."""
    ordinals = Ordinals()
    return [Frame(raw, received_at, seq, ordinals.of(raw)) for seq, raw in enumerate(messages(case), start=1)]


def site(name: str, case: Path) -> Context[Any]:
    """The house that a recording comes from."""
    given_by = next(p for p in (case / "site.toml", case.parent / "site.toml") if p.exists())
    told = tomllib.loads(given_by.read_text(encoding="utf-8"))
    config = TypeAdapter(adapter(name).config).validate_python(told.get("config", {}))
    numbers: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told.get("numbers", {}).items()}
    return Context(tenant="acme", pbx="main", numbers=NumberPlan(**numbers), config=config)


def outcome(name: str, case: Path) -> tuple[list[CallEvent], list[tuple[int, str]]]:
    """(events, refused) of a recording; a refused one as the place of its message, from 1, and the reason."""
    normalise, context = adapter(name).normalise, site(name, case)
    events: list[CallEvent] = []
    refused: list[tuple[int, str]] = []
    for frame in frames(case):
        try:
            events += normalise(frame, context)
        except Reject as e:
            refused.append((frame.seq, str(e)))
    return events, refused


def told(event: CallEvent) -> dict[str, Any]:
    """An event as events.jsonl has it."""
    row = {"message": event.seq, **codec.as_row(event)}
    row["event_id"] = event.event_id.hex()
    row["data"] = dict(sorted(event.data.items()))
    empty = {f.name: f.default for f in fields(CallEvent)} | {"data": {}}
    return {key: value for key, value in row.items() if key not in _SHARED and value != empty.get(key, "")}


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join([orjson.dumps(row) + b"\n" for row in rows])


# The laws


def has_recordings(name: str) -> None:
    """An adapter without a recording of its system is a guess."""
    assert recordings(name), f"{FOLDER / name} holds no recording"
    for case in recordings(name):
        assert messages(case), f"{case} is empty"


def gives_exactly_its_events(name: str, case: Path) -> None:
    """Each recording gives the events beside it, and refuses what stands beside it."""
    events, refused = outcome(name, case)
    assert lines([told(e) for e in events]) == (case / "events.jsonl").read_bytes()
    beside = case / "rejects.jsonl"
    assert lines([{"message": m, "reason": r} for m, r in refused]) == (beside.read_bytes() if beside.exists() else b"")


def ids_are_stable(name: str, case: Path) -> None:
    """Read again, by another process at another time, the same message gives the same ids; two messages never do."""
    normalise, context = adapter(name).normalise, site(name, case)
    first = {e.event_id: e for e in outcome(name, case)[0]}
    again = frames(case, received_at=RECEIVED_AT + 3_600_000_000)
    assert len(first) == len(outcome(name, case)[0])
    for frame in reversed(again):
        moved = Frame(frame.raw, frame.received_at, frame.seq + 1000, frame.ordinal)
        twin = Frame(frame.raw, frame.received_at, frame.seq, frame.ordinal + 1)
        stable = [e for e in _readable(normalise, moved, context) if e.ts_precision != "arrival"]
        assert all(e.event_id in first for e in stable)
        assert not {e.event_id for e in stable} & {e.event_id for e in _readable(normalise, twin, context)}


def keeps_order(name: str, case: Path) -> None:
    """Events come in the order of their messages, and say which one they come from."""
    seqs = [e.seq for e in outcome(name, case)[0]]
    assert seqs == sorted(seqs)


def speaks_the_contract(name: str, case: Path) -> None:
    """Every event encodes and decodes to itself, has a published type, and namespaced ids of this PBX."""
    for event in outcome(name, case)[0]:
        assert codec.decode(CallEvent, codec.encode(event)) == event
        assert event.type in EVENT_TYPES
        assert (event.tenant, event.pbx, event.merge_key) == ("acme", "main", "acme/main")
        assert all(i == "" or i.startswith("main:") for i in (event.call_id, event.leg_id, event.peer_leg_id))
        assert _E164.fullmatch(event.customer_number)
        assert event.direction in ("", "inbound", "outbound", "internal")


def refuses_only(name: str) -> None:
    """Arbitrary bytes, and recordings with arbitrary bytes in them, raise nothing but Reject, and what is read encodes."""
    case = recordings(name)[0]
    normalise, context = adapter(name).normalise, site(name, case)
    known = [frame.raw for each in recordings(name) for frame in frames(each)]

    @given(st.one_of(st.binary(max_size=400), _damaged(known)), st.integers(0, 3))
    def law(raw: bytes, ordinal: int) -> None:
        for event in _readable(normalise, Frame(raw, RECEIVED_AT, 1, ordinal), context):
            codec.encode(event)

    law()


def documents_its_keys(name: str) -> None:
    """Every key of the configuration is explained, and stands in the reference."""
    config = adapter(name).config
    explained = docs(config)
    keys = [f.name for f in fields(config) if f.init]
    assert [key for key in keys if not explained.get(key)] == []
    text = REFERENCE.read_text(encoding="utf-8") if REFERENCE.exists() else reference()
    assert [key for key in keys if not re.search(rf"^#?{key}(_file)? =", text, re.MULTILINE)] == []


@st.composite
def _damaged(draw: st.DrawFn, known: list[bytes]) -> bytes:
    """A recorded message with some pieces overwritten, doubled or cut out."""
    raw = draw(st.sampled_from(known))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        until = draw(st.integers(at, min(len(raw), at + 40)))
        piece = draw(st.one_of(st.binary(max_size=12), st.sampled_from([b"", b"\r\n", b": ", b",", b'"', raw[:40]])))
        raw = raw[:at] + piece + raw[until:]
    return raw


def _readable(normalise: Any, frame: Frame, context: Context[Any]) -> Iterator[CallEvent]:
    try:
        yield from normalise(frame, context)
    except Reject:
        return
