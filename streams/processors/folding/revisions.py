"""What is said of calls: a revision when one is due, the last one after the grace, and once more when a late fact comes."""

from dataclasses import dataclass, field

from streams.processors.folding import doubts, gaps, late, weigh, wire
from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.compare import FLAG
from streams.processors.folding.past import Key, Past, Record
from streams.processors.folding.record import record
from streams.processors.folding.scope import Scope
from streams.processors.folding.times import MICRO
from streams.runtime import config, metrics
from streams.runtime.pipeline import Output

MILESTONE = ("state", "agent", "reached_number", "native_ids")
"""While the call goes on, a revision is emitted only when one of these changed."""
LONG = 200
"""Events of a call that is told of less often."""
REVISION = frozenset({"rev", "updated_at", "events"})
"""What tells two revisions apart that say the same."""


@dataclass(slots=True, eq=False)
class Revisions:
    """Of the calls of one partition: computes their records, and says what is new in them."""

    rules: config.Fold
    scopes: dict[str, Scope]
    past: Past
    ending: dict[OpenCall, None] = field(default_factory=dict)
    """Calls that are over and wait for the grace to pass, by the time of their last event."""
    out: list[Output] = field(default_factory=list)

    def taken(self) -> list[Output]:
        """What has been said since it was last asked for."""
        out, self.out = self.out, []
        return out

    def await_end(self, call: OpenCall) -> None:
        """The grace begins anew with every event of a call that is over."""
        if call.over:
            self.ending.pop(call, None)
            self.ending[call] = None
        elif call in self.ending:
            del self.ending[call]

    def record(self, call: OpenCall) -> Row:
        """The record as it is now, said or not."""
        missed = gaps.uncovered(self.scopes[call.merge_key], call)
        if call.told is None:
            return record(call, self.rules.short_abandon_seconds, missed)
        return weigh.record(call, self.rules.short_abandon_seconds, missed)

    def revise(self, call: OpenCall, now: int) -> None:
        """Say the record if it has something new to say."""
        row, said = self.record(call), call.said
        call.next_due = call.events + (call.events // 8 if call.events > LONG else 0)
        if said is not None:
            keys = row.keys() - REVISION if row["state"] == "ended" else MILESTONE
            if all(row[key] == said[key] for key in keys):
                return
        self._emit(call, row, now)

    def merge(self, scope: Scope, gone: OpenCall, now: int, *, silent: bool) -> None:
        """A call that was found to be part of an older one says so, if anything was said of it."""
        self.ending.pop(gone, None)
        if gone.said is None:
            return
        if not silent:
            into = scope.into(gone)
            self._emit(gone, {**gone.said, "state": "merged", "merged_into": into.id}, now)
        self._put_away(gone, now)

    def finish(self, now: int) -> None:
        """Calls whose grace has passed are final."""
        grace, longer = (round(s * MICRO) for s in (self.rules.grace_seconds, self.rules.records_grace_seconds))
        for call in list(self.ending):
            if now - call.touched < grace:
                break
            scope = self.scopes[call.merge_key]
            if scope.expects_more(call, now, grace, longer) or gaps.waits(scope, call, now):
                continue
            row = dict(call.said) if call.said is not None and not call.changed else self.record(call)
            row["state"] = "final"
            told = call.told is not None and "gap_resolved" not in row["quality"]
            if told and weigh.contradicted(call, gaps.uncovered(scope, call)):
                row["quality"] = sorted({*row["quality"], FLAG})
                metrics.CALLS_DIFFER.labels(call.pbx).inc()
            if doubts.FLAG in row["quality"]:
                metrics.CALLS_INCOMPLETE.labels(call.pbx).inc()
            self._emit(call, row, now)
            del self.ending[call]
            scope.forget(call)
            self._put_away(call, now)

    def amend(self, key: Key, finished: Record, event: Row, now: int) -> None:
        """A late fact of a finished call: the whole record again, one revision on."""
        row = wire.read_call(finished.value)
        if late.amend(row, event):
            self.say_again(key, row, 1, now)

    def say_again(self, key: Key, row: Row, events: int, now: int) -> None:
        """The record of a finished call, changed by so many late events."""
        row["rev"] += 1
        row["updated_at"], row["events"] = now, row["events"] + events
        value = wire.write_call(row)
        self.past.put(key, value, wire.read_said(value), now)
        self.out.append(Output(key=key[1].encode(), value=value))

    def _emit(self, call: OpenCall, row: Row, now: int) -> None:
        call.rev += 1
        row["rev"], row["updated_at"], row["events"] = call.rev, now, call.events
        call.said, call.said_bytes, call.changed = row, wire.write_call(row), False
        self.out.append(Output(key=call.id.encode(), value=call.said_bytes))

    def _put_away(self, call: OpenCall, now: int) -> None:
        self.past.put((call.merge_key, call.id), call.said_bytes, wire.read_said(call.said_bytes), now or None)
