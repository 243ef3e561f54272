"""The fold at work, watched: its records before and after each event."""

from collections.abc import Iterable, Mapping, Sequence

from schemas import codec
from schemas.events import EnrichedCallEvent
from streams.processors.explaining.changes import changes, united
from streams.processors.fold import Fold
from streams.processors.folding import gaps, weigh, wire
from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.legs import Leg
from streams.runtime import config
from streams.runtime.pipeline import Record, Refused

Told = Mapping[str, Sequence[str]]
"""What changed, in sentences, by call id."""


class _Message:
    """An input record as the fold reads it."""

    def __init__(self, value: bytes, offset: int) -> None:
        self._value, self._offset = value, offset

    def value(self) -> bytes:
        return self._value

    def key(self) -> bytes:
        return b""

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return (0, 0)


class Watch:
    """Feeds a fold of its own and keeps the record of every call as it was last, said or not."""

    def __init__(self, rules: config.Fold) -> None:
        self.task = Fold(rules, 0)
        self.rows: dict[str, Row] = {}
        self.calls: dict[str, OpenCall] = {}
        """Also those that are final: what their records were made of."""
        self.legs: dict[str, list[Leg]] = {}
        """Their legs, as all sources together tell them."""
        self.into: dict[str, str] = {}
        """By the id of a call that turned out to be part of another: that other's id."""

    def feed(self, event: EnrichedCallEvent, offset: int, now: int) -> tuple[list[Row], Told]:
        """The records that were emitted because of the event, and what it changed."""
        answers = self.task.process([_Message(codec.encode(event), offset)], now)
        return self._after(each[1] for each in answers if not isinstance(each, Refused))

    def tick(self, now: int) -> tuple[list[Row], Told]:
        """As `feed`, of what the passing of time alone does."""
        return self._after(value for _, value in self.task.tick(now))

    def pass_by(self, event: EnrichedCallEvent, offset: int, now: int) -> None:
        """As `feed`, without a look at what it changes: only what is emitted is kept."""
        self._keep(self.task.process([_Message(codec.encode(event), offset)], now))

    def pass_time(self, now: int) -> None:
        """As `tick`, the same way."""
        self._keep(self.task.tick(now))

    def _keep(self, answers: Iterable[Record | Refused]) -> None:
        for each in answers:
            if not isinstance(each, Refused):
                row = wire.read_call(each[1] or b"")
                self.rows[row["call_id"]] = row
                if row["merged_into"]:
                    self.into[row["call_id"]] = row["merged_into"]

    def survivor(self, name: str) -> str:
        """The call that a call is part of now."""
        while name in self.into:
            name = self.into[name]
        return name

    def named(self, name: str) -> str | None:
        """The id of the call that has this id, native id or leg; None when there is no such call."""
        if self.survivor(name) in self.rows:
            return self.survivor(name)
        return next((row["call_id"] for row in self.rows.values() if name in names_of(row)), None)

    def _after(self, values: Iterable[bytes | None]) -> tuple[list[Row], Told]:
        revisions = [wire.read_call(value or b"") for value in values]
        look = list(self.task.look())
        self.calls |= {call.id: call for call, _ in look}
        self.legs |= {call.id: self._legs(call) for call, _ in look}
        rows = {call.id: wire.read_call(wire.write_call({**row, "rev": call.rev})) for call, row in look}
        rows |= {row["call_id"]: row for row in revisions if row["state"] != "merged"}
        told = {name: self._changed(name, row, rows) for name, row in rows.items()}
        self.rows |= rows
        for gone in self.into:
            self.rows.pop(gone, None)
        return revisions, told

    def _legs(self, call: OpenCall) -> list[Leg]:
        missed = gaps.uncovered(self.task.scopes[call.merge_key], call)
        return list(weigh.legs(call, missed).values())

    def _changed(self, name: str, row: Row, rows: Mapping[str, Row]) -> list[str]:
        before = self.rows.get(name)
        gone = [other for other in row["native_ids"] if other in self.rows and other not in rows]
        lines = []
        for other in gone:
            self.into[other] = name
            lines.append(united(other, name))
            before = _together(before or self.rows[other], self.rows[other])
        return lines + changes(before, row)


_LISTS = ("segments", "queue_visits", "transfers", "parks", "diversions", "holds", "recordings", "notes", "quality")


def _together(row: Row, gone: Row) -> Row:
    """What was known of two calls before they were found to be one."""
    lists = {key: row[key] if row is gone else row[key] + gone[key] for key in _LISTS}
    return {**row, **lists}


def names_of(row: Row) -> set[str]:
    """Every id under which a record can be asked for."""
    legs = {each["leg_id"] for key in ("segments", "participants") for each in row[key]}
    return {row["call_id"], *row["native_ids"], *legs} - {""}
