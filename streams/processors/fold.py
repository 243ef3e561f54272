"""fold: events of a PBX to one record per call, revised as the call goes on.

Per event little is done: it is put where its call is. The record is computed from everything that is known of the call
only when a revision may be due: it rings, it waits, somebody talks, it is over, it is final.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from schemas.codec import UndecodableError
from streams.processors.folding import bounds, gaps, sources, wire
from streams.processors.folding.belated import Belated
from streams.processors.folding.calls import OpenCall, Row
from streams.processors.folding.past import Past
from streams.processors.folding.revisions import Revisions
from streams.processors.folding.scope import Scope, begins
from streams.processors.folding.steps import STEPS
from streams.processors.folding.times import MICRO
from streams.runtime import config, metrics
from streams.runtime.clock import Clock
from streams.runtime.pipeline import Message, Output, Refused, Stage, Task

NAME = "fold"
UNRELATED = frozenset({"agent.state", "dtmf"})
"""A third of a PBX's events: they change no call, so they are not even decoded."""
SWEEP_US = 60 * MICRO
LIVE = frozenset(STEPS) - {"cdr.final"}
"""What the PBX says while the call goes on."""


@dataclass(slots=True, eq=False)
class Fold:
    """The Task of one partition: the open calls of its merge scopes, and what was said of finished ones."""

    rules: config.Fold
    partition: int
    scopes: dict[str, Scope] = field(default_factory=dict)
    past: Past = field(init=False)
    revisions: Revisions = field(init=False)
    belated: Belated = field(default_factory=Belated)
    silent: bool = True
    """Until the first new input: what is replayed was answered before."""
    swept_at: int = 0

    def __post_init__(self) -> None:
        self.past = Past(round(self.rules.amend_seconds * MICRO), self.rules.amend_mb * 1024 * 1024)
        self.revisions = Revisions(self.rules, self.scopes, self.past)

    def recall(self, value: bytes) -> None:
        said = wire.read_said(value)
        self.past.put((said.merge_key, said.call_id), value, said)

    def replay(self, messages: Sequence[Message]) -> None:
        for message in messages:
            value = message.value() or b""
            if wire.event_type(value) not in UNRELATED:
                with suppress(UndecodableError):  # it was refused when it was new
                    row, tail = wire.read_event(value)
                    self._take(row, tail, message.offset(), 0)

    def process(self, messages: Sequence[Message], now: int) -> Iterator[Output | Refused]:
        self._begin(now)
        for message in messages:
            value = message.value() or b""
            if wire.event_type(value) in UNRELATED:
                continue
            try:
                row, tail = wire.read_event(value)
                self._take(row, tail, message.offset(), now)
            except UndecodableError as e:
                yield Refused(message=message, reason=str(e), stage=NAME)
            if self.revisions.out:
                yield from self.revisions.taken()

    def tick(self, now: int) -> Iterable[Output]:
        self._begin(now)
        for scope in self.scopes.values():
            for call in gaps.settle(scope, now):
                self._over(call, now)
        self.revisions.finish(now)
        grace = round(self.rules.records_grace_seconds * MICRO)
        for key, row, events in self.belated.completed(self.past, now, grace, self.rules.short_abandon_seconds):
            self.revisions.say_again(key, row, events, now)
        if now - self.swept_at >= SWEEP_US:
            self.swept_at = now
            for scope in list(self.scopes.values()):
                for call in gaps.sweep(scope, now, round(self.rules.ghost_hours * 3600 * MICRO)):
                    self._over(call, now)
                gaps.trim(scope)
                if not scope.calls and now - scope.heard_at >= SWEEP_US:
                    del self.scopes[scope.merge_key]  # a merge scope can be a single call of a vendor
        metrics.OPEN_CALLS.labels(self.partition).set(sum(len(scope.calls) for scope in self.scopes.values()))
        self.past.trim(now)
        return self.revisions.taken()

    def low_water(self) -> int | None:
        lows = [call.low for scope in self.scopes.values() for call in scope.calls.values()]
        lows += [call.low for call in self.belated.calls.values()]
        return min(lows, default=None)

    def look(self) -> Iterator[tuple[OpenCall, Row]]:
        """Every open call and its record as it is now, said or not: for who explains it."""
        for scope in self.scopes.values():
            for call in scope.calls.values():
                yield call, self.revisions.record(call)

    def _begin(self, now: int) -> None:
        """After recall and replay: calls that ended meanwhile wait for their grace again."""
        if not self.silent:
            return
        self.silent = False
        self.belated.wake(now)
        for scope in self.scopes.values():
            scope.coverage.wake(now)
            for call in list(scope.calls.values()):
                call.touched = now
                if call.over and call.said is None:
                    self.revisions.ending.pop(call, None)
                    scope.forget(call)  # it was final before the window that was recalled
                elif call.over:
                    self.revisions.ending.setdefault(call)

    def _take(self, row: Row, tail: bytes, offset: int, now: int) -> None:
        """One event: find its call, join what it joins, let it change the call, say what is due."""
        scope = self.scopes.get(row["merge_key"]) or self._scope(row["merge_key"])
        if (row["synthetic"] or row["type"] not in LIVE) and self._apart(scope, row, tail, offset, now):
            return
        scope.heard_at = now
        scope.latest = max(scope.latest, row["ts"])
        call = scope.find(row)
        if call is None:
            call = self._unknown(scope, row, tail, offset, now)
            if call is None:
                return
        elif row["event_id"] in call.seen:
            return
        if self._bounded(scope, call, row, now):
            return
        merged = False
        if not scope.settled(call, row):
            for gone in scope.unite(call, row, offset, now):
                merged = True
                self.revisions.merge(scope, gone, now, silent=self.silent)
            call = scope.find(row) or call
        due = scope.apply(call, row, tail, now)
        self.revisions.await_end(call)
        if (due or merged) and not self.silent and self._worth(call):
            self.revisions.revise(call, now)
        if scope.found:
            self._take_early(scope, call, now)

    def _scope(self, merge_key: str) -> Scope:
        scope = self.scopes[merge_key] = Scope(merge_key, self.past)
        return scope

    def _bounded(self, scope: Scope, call: OpenCall, row: Row, now: int) -> bool:
        """Keep the call within its bound. Tells whether the event is counted, and no more."""
        if call.since_room >= self.rules.call_events:
            scope.bound(call, self.rules.call_events)
        return call.full and bounds.passed_over(call, row, now)

    def _take_early(self, scope: Scope, call: OpenCall, now: int) -> None:
        """What came before its call began, and has found it now."""
        while scope.found:
            row, tail, offset = scope.found.pop()
            call = scope.find(row) or call
            call.low = min(call.low, offset)
            self._take(row, tail, offset, now)

    def _worth(self, call: OpenCall) -> bool:
        """Whether to compute the record: that of a long talk with many comings and goings costs by its length."""
        return call.over or call.events >= call.next_due or call.said is None or call.said["state"] != "connected"

    def _apart(self, scope: Scope, row: Row, tail: bytes, offset: int, now: int) -> bool:
        """Events about the source itself, and those that come from records. Tells whether it was one."""
        if row["type"] not in STEPS:
            self._source(scope, row, now)
            return True
        source = sources.source_of(row)
        if source:
            self._take_told(scope, row, source, tail, offset, now)
        return source != ""

    def _take_told(self, scope: Scope, row: Row, source: str, tail: bytes, offset: int, now: int) -> None:  # noqa: PLR0917 - as `_take`
        """An event from records: of an open call, late for a finished one, or all there is."""
        sources.identify(row)
        call = scope.find(row) or (scope.named(row) if source == "cdr" else None)
        if call is None:
            late_for = self.past.named(scope.merge_key, row["leg_id"], row["call_id"])
            if late_for is not None:
                self.belated.take(late_for[0], row, source, offset, now)
            if late_for is not None or not sources.begins(row, source):
                return
            call = scope.begin(row, row["call_id"] or row["leg_id"], offset, now)
        elif row["event_id"] in call.seen or self._bounded(scope, call, row, now):
            return
        merged = False
        if source == "cdr" or not scope.settled(call, row):
            for gone in [*scope.unite(call, row, offset, now), *scope.meet(call, row)]:
                merged = True
                self.revisions.merge(scope, gone, now, silent=self.silent)
            call = scope.find(row) or call
        due = scope.hear_told(call, row, tail, source, now)
        self.revisions.await_end(call)
        if not self.silent and (due or merged):
            self.revisions.revise(call, now)

    def _unknown(self, scope: Scope, row: Row, tail: bytes, offset: int, now: int) -> OpenCall | None:
        """An event of no open call: it begins one, is late for a finished one, or is about none."""
        native = row["call_id"] or row["leg_id"]
        found = self.past.final(scope.merge_key, row["leg_id"]) or self.past.final(scope.merge_key, native)
        if found is None:
            if begins(row):
                return scope.begin(row, native, offset, now)
            scope.early(row, tail, offset)
            return None
        key, finished = found
        if begins(row) and key[1] != row["leg_id"] and row["ts"] > self.past.ended_at(finished):
            # A new leg under the name of a call that was over: it cannot be put into a record whose events are gone.
            return scope.begin(row, row["leg_id"], offset, now)
        if not self.silent:
            self.revisions.amend(key, finished, row, now)
        return None

    def _source(self, scope: Scope, row: Row, now: int) -> None:
        scope.hear_clock(row)
        for call in gaps.hear(scope, row, now):
            if not self.silent:
                self._over(call, now)

    def _over(self, call: OpenCall, now: int) -> None:
        call.touched = now
        self.revisions.await_end(call)
        self.revisions.revise(call, now)


def open_stage(settings: config.Settings, clock: Clock) -> Stage:  # noqa: ARG001 - every stage is opened alike
    """The stage that `trunkline run stream fold` runs."""
    rules = settings.streams.fold

    def task(partition: int) -> Task:
        return Fold(rules, partition)

    return Stage(
        name=NAME,
        source=settings.kafka.name("call-events-enriched"),
        target=settings.kafka.name("calls"),
        window_s=rules.amend_seconds,
        open=task,
    )
