"""The open calls of one merge scope (a PBX): which call an event is about, and when two calls are one."""

from collections.abc import Iterator

from streams.processors.folding import bounds, wire
from streams.processors.folding.calls import Known, OpenCall, Row, Told
from streams.processors.folding.coverage import Coverage, Snapshot
from streams.processors.folding.legs import PSEUDO, age, technology
from streams.processors.folding.past import Past
from streams.processors.folding.sources import DOUBTS, LONGER, Names, matters, on_channel, take
from streams.processors.folding.steps import BEGIN, OWN, STEPS, born, talkative
from streams.processors.folding.times import MICRO

_IDS = ("leg_id", "call_id", "peer_leg_id", "peer_call_id")
_NATIVE = frozenset({"call_id", "peer_call_id"})
_ALONE = frozenset({"leg.updated"})
"""Its peer is no part of the call: a supervisor who listens in."""
_LINKING = frozenset({"bridge.joined", "leg.live", "transfer.completed", "transfer.failed"})
"""Types that name more than the four ids."""
_LEGS_OF_TRANSFER = ("by_leg", "second_by_leg", "transferee_leg", "target_leg")

SKEWED = "clock-skew"
EARLY = 256
"""Names under which events wait for their call to begin."""
Waiting = tuple[Row, bytes, int]
"""An event, its tail, its offset."""


class Scope:
    """Union-find by hand: a token (leg, native call, talk bridge) points straight at its open call.

    Calls have few tokens, so a merge points them anew, and finding a call is one look-up.
    """

    def __init__(self, merge_key: str, past: Past) -> None:
        self.merge_key = merge_key
        self.past = past
        self.calls: dict[str, OpenCall] = {}
        self.latest = 0
        """The PBX's clock as far as it was heard."""
        self.heard_at = 0
        """When it was heard last, by our clock."""
        self.clock_wrong = False
        """The PBX's clock is off by more than a second, as a reading session measured it."""
        self.coverage = Coverage()
        self.snapshots: list[Snapshot] = []
        """Those whose missing legs are not closed yet."""
        self._of: dict[str, OpenCall] = {}
        self._serving: dict[tuple[str, str], OpenCall] = {}
        """(queue, agent) of an AgentConnect that is not complete: AgentComplete may come without any id."""
        self._early: dict[str, list[Waiting]] = {}
        self.found: list[Waiting] = []
        """Events that came before their call began, and now have one."""
        self.names = Names()

    def find(self, row: Row) -> OpenCall | None:
        """The open call that the event names, if there is one."""
        of = self._of
        call = of.get(row["leg_id"]) or of.get(row["call_id"]) or of.get(row["peer_leg_id"])
        if call is None and row["type"] == "agent.completed" and not row["leg_id"] and not row["peer_leg_id"]:
            return self._serving.get((row["queue"], row["agent"]))
        return call

    def hear_clock(self, row: Row) -> None:
        """`source.up` tells what the PBX's clock is ahead of ours: calls of that time have wrong moments, right lengths."""
        skew = row["data"].get("skew_us", "")
        if not skew.removeprefix("-").isdecimal():
            return
        self.clock_wrong = abs(int(skew)) > MICRO
        for call in self.calls.values() if self.clock_wrong else ():
            if SKEWED not in call.flags:
                call.flags.add(SKEWED)
                call.changed = True

    def early(self, row: Row, tail: bytes, offset: int) -> None:
        """An event that begins no call, of a call that is not known: kept for the case that the beginning is only late."""
        for key in _IDS:
            if row[key]:
                self._early.setdefault(row[key], []).append((row, tail, offset))
        while len(self._early) > EARLY:
            del self._early[next(iter(self._early))]

    def begin(self, row: Row, native: str, offset: int, now: int) -> OpenCall:
        """A new open call under that native id; what was said of it before a restart is taken up again."""
        call = OpenCall(
            id=native,
            age=age(native, row["ts"]),
            tenant=row["tenant"],
            pbx=row["pbx"],
            merge_key=self.merge_key,
            low=offset,
            touched=now,
        )
        call.natives.add(native)
        if self.clock_wrong:
            call.flags.add(SKEWED)
        recalled = self.past.pop((self.merge_key, native))
        if recalled is not None:
            call.said = wire.read_call(recalled.value)
            call.said_bytes, call.rev = recalled.value, call.said["rev"]
        self.calls[native] = call
        self._name(call, native)
        return call

    def apply(self, call: OpenCall, row: Row, tail: bytes, now: int) -> bool:
        """Take the event into its call (`find` or `begin` gave it). Tells whether a revision may be due.

        Raises UndecodableError, with nothing taken, when the tail is broken.
        """
        number = row["customer_number"]
        if number and tail[:5] != _NO_MATCH:
            _recognise(call.known, number, row, tail)
        call.seen.add(row["event_id"])
        call.events += 1
        call.since_room += 1
        call.changed = True
        call.touched = now
        kind, ts, leg_id = row["type"], row["ts"], row["leg_id"]
        call.last_at = max(call.last_at, ts)
        leg = call.legs.get(leg_id)
        if leg is not None:
            leg.last_at = max(leg.last_at, ts)
        elif leg_id and kind in OWN and technology(row["channel"]) not in PSEUDO:
            leg = call.legs[leg_id] = born(row)
            call.open_legs += 1
        if kind == "agent.connected":
            self._serving[row["queue"], row["agent"]] = call
        elif kind == "agent.completed":
            self._serving.pop((row["queue"], row["agent"]), None)
        return STEPS[kind](call, leg, row)

    def bound(self, call: OpenCall, most: int) -> None:
        """The call has had as many events as one may: it makes room, or takes in no more."""
        gone = bounds.make_room(call)
        for leg in gone:
            self._of.pop(leg, None)
        call.tokens = [token for token in call.tokens if token not in gone]
        call.since_room = bounds.kept(call)
        call.full = bounds.full(call, most)

    def hear_told(self, call: OpenCall, row: Row, tail: bytes, source: str, now: int) -> bool:
        """`apply` for an event from records: it changes nothing of what was heard live."""
        told = call.told = call.told or Told()
        if row["customer_number"] and tail[:5] != _NO_MATCH:
            _recognise(told.known, row["customer_number"], row, tail)
        due = take(call, told, row, source)
        if source == "cdr":
            self.names.add(call, row)
        call.seen.add(row["event_id"])
        call.events += 1
        call.since_room += 1
        call.changed = call.changed or matters(call, row, source)
        call.touched = self.heard_at = now
        self.latest = max(self.latest, row["ts"])
        return due

    def settled(self, call: OpenCall, row: Row) -> bool:
        """Whether the event joins nothing that is not joined already: so it is for nearly all."""
        of = self._of
        for key in _IDS:
            token = row[key]
            if token and of.get(token) is not call:
                return False
        return row["type"] not in _LINKING and (not row["call_id"] or row["call_id"] in call.natives)

    def unite(self, call: OpenCall, row: Row, offset: int, now: int) -> Iterator[OpenCall]:
        """Join what the event joins; yields each call that was absorbed by an older one.

        `call` is where the event belongs; afterwards `find` gives the survivor. Calls that are final are left alone: what
        was said of them stands.
        """
        for token, native in self._tokens(row):
            known = self._of.get(token)
            others = [known]
            if native and (known is None or token not in known.natives):
                if self.past.final(self.merge_key, token):
                    continue
                others.append(self.begin(row, token, offset, now))
            elif known is None:
                self._name(call, token)
            for other in others:
                if other is None or other is call:
                    continue
                if call.full or other.full:  # who comes to a conference of thousands has a record of his own
                    call.flags.add(bounds.FLAG)
                    continue
                call, gone = (call, other) if call.age <= other.age else (other, call)
                self._absorb(call, gone)
                yield gone

    def expects_more(self, call: OpenCall, now: int, grace: int, longer: int) -> bool:
        """While a backlog is read, the PBX's own clock must have passed the grace too; it is longer for records alone."""
        passed = self.latest - call.latest_at
        if call.told is not None:
            lags = call.told.cel is not None and call.told.cel.open_legs > 0 and not call.told.given_up
            if lags and call.said is not None and DOUBTS.intersection(call.said["quality"]):
                return now - call.touched < longer * LONGER  # it will tell what is missing
            if not call.legs:
                return passed < longer and now - call.touched < longer
        return passed < grace and now - self.heard_at < grace

    def named(self, row: Row) -> OpenCall | None:
        """The call that a CDR is about, by its channels and its time, where it has no id that is known."""
        return next(self.names.find(row), None) or next(on_channel(self.calls.values(), row), None)

    def meet(self, call: OpenCall, row: Row) -> Iterator[OpenCall]:
        """As `unite`, for calls that other CDRs told of under a channel of this one. What live events keep apart stays so."""
        for other in list(self.names.find(row)):
            call = self.calls.get(call.id) or self.into(call)
            if other is not call and other.id in self.calls and not (other.legs and call.legs):
                call, gone = (call, other) if call.age <= other.age else (other, call)
                self._absorb(call, gone)
                yield gone

    def into(self, gone: OpenCall) -> OpenCall:
        """The call that an absorbed one is part of now."""
        return self._of[gone.id]

    def _absorb(self, call: OpenCall, gone: OpenCall) -> None:
        call.absorb(gone)
        for token in gone.tokens:
            self._of[token] = call
        if gone.told is not None:
            self.names.drop(gone, call)
        for key, serving in self._serving.items():
            if serving is gone:
                self._serving[key] = call
        del self.calls[gone.id]

    def _tokens(self, row: Row) -> Iterator[tuple[str, bool]]:
        """Every name of a call in the event, and whether it is a native call id."""
        kind, data = row["type"], row["data"]
        for key in _IDS if kind not in _ALONE else _IDS[:2]:
            if row[key]:
                yield row[key], key in _NATIVE
        if kind in ("bridge.joined", "leg.live"):
            if data.get("bridge") and talkative(data):
                yield f"bridge {data['bridge']}", False
        elif kind in ("transfer.completed", "transfer.failed"):
            for key in _LEGS_OF_TRANSFER:
                if data.get(key):
                    yield data[key], False

    def _name(self, call: OpenCall, token: str) -> None:
        self._of[token] = call
        call.tokens.append(token)
        if self._early:
            self.found += self._early.pop(token, ())

    def forget(self, call: OpenCall) -> None:
        """The call is final: no event finds it any more."""
        del self.calls[call.id]
        if call.told is not None:
            self.names.drop(call)
        for token in call.tokens:
            if self._of.get(token) is call:
                del self._of[token]
        for key in [key for key, serving in self._serving.items() if serving is call]:
            del self._serving[key]


_NO_MATCH = b"\x08none"


def _recognise(book: dict[str, Known], number: str, row: Row, tail: bytes) -> None:
    known = book.get(number)
    if known is None or (row["ts"], row["seq"]) < known[:2]:
        book[number] = Known(row["ts"], row["seq"], wire.read_tail(tail))


def begins(row: Row) -> bool:
    """Whether the event may open a call: it proves a leg that a person could be behind."""
    return row["type"] in BEGIN and row["leg_id"] != "" and technology(row["channel"]) not in PSEUDO
