"""Records of calls that are final: gathered until no more come, for they come row by row, and from several files."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from streams.processors.folding import wire
from streams.processors.folding.calls import OpenCall, Row, Told
from streams.processors.folding.compare import FLAG
from streams.processors.folding.complete import complete
from streams.processors.folding.legs import age
from streams.processors.folding.past import Key, Past
from streams.processors.folding.sources import LONGER, take
from streams.processors.folding.weigh import record
from streams.runtime import metrics


@dataclass(slots=True, eq=False)
class Belated:
    """By finished call, what records tell of it since."""

    calls: dict[Key, OpenCall] = field(default_factory=dict)

    def take(self, key: Key, row: Row, source: str, offset: int, now: int) -> None:
        call = self.calls.get(key)
        if call is None:
            call = self.calls[key] = OpenCall(
                id=key[1],
                age=age(key[1], row["ts"]),
                tenant=row["tenant"],
                pbx=row["pbx"],
                merge_key=row["merge_key"],
                low=offset,
                touched=now,
                told=Told(),
            )
        if row["event_id"] not in call.seen and call.told is not None:
            call.seen.add(row["event_id"])
            call.events += 1
            call.touched = now
            take(call, call.told, row, source)

    def wake(self, now: int) -> None:
        """After a replay: what was gathered waits anew."""
        for call in self.calls.values():
            call.touched = now

    def completed(self, past: Past, now: int, grace: int, short_abandon_s: float) -> Iterator[tuple[Key, Row, int]]:
        """Records that what was gathered changes, with how many events did, once no more came for the grace.

        While CEL has not told the end of a leg that it told of, its next row is waited for longer.
        """
        for at in [
            key for key, call in self.calls.items() if now - call.touched >= grace * (1 if call.over else LONGER)
        ]:
            call = self.calls.pop(at)
            found = past.final(*at)
            if found is None:
                continue
            key, finished = found
            if call.told is not None:
                call.told.given_up = (
                    True  # no more is waited for: what has no end in them, ends where it was last told of
                )
            row, before = wire.read_call(finished.value), wire.read_call(finished.value)
            complete(row, record(call, short_abandon_s))
            if row != before:
                if FLAG in row["quality"] and FLAG not in before["quality"]:
                    metrics.CALLS_DIFFER.labels(call.pbx).inc()
                yield key, row, call.events
