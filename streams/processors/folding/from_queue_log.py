"""What the lines of queue_log say of a call that other sources tell of: its queues, their agents, why it left them.

A line names the caller's leg, the agent by a name of the queue's own, and the agent's leg only when he takes the call
(apps/app_queue.c). Which leg an attempt was is found by who was dialled for the caller, and by the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from streams.processors.folding.calls import Fact, OpenCall, Row
from streams.processors.folding.legs import Leg, Stay

ABOUT_US = 2_000_000
"""Lines have whole seconds."""
_UNANSWERED = frozenset({"agent.ring_no_answer", "agent.cancelled", "agent.declined"})


class Lines:
    """Adds the lines, in their order, to a call whose legs and facts it may change."""

    def __init__(self, call: OpenCall) -> None:
        self._call = call
        self._dialled: dict[str, list[str]] = {}
        for fact in call.facts:
            if fact.type == "dial.started":
                self._dialled.setdefault(fact.leg, []).append(fact.peer)
        self._matched: set[str] = set()
        self._serving: dict[tuple[str, str, str], str] = {}

    def add(self, rows: Iterable[Row]) -> None:
        for row in sorted(rows, key=itemgetter("ts", "seq")):
            if row["leg_id"] not in self._call.legs:
                self._leg(row["leg_id"], row, "")
            caller = self._call.legs[row["leg_id"]]
            if caller.ended_at is None:
                caller.last_at = max(caller.last_at, row["ts"])
            steps = {"queue": self._queue, "agent": self._agent, "transfer": self._transfer}
            facts = [*steps[row["type"].partition(".")[0]](row)]
            self._call.facts += facts

    def _queue(self, row: Row) -> Iterator[Fact]:
        said = row["data"].get("reason", "") if row["type"] == "queue.left" else ""
        known = self._alike(row["type"], row["leg_id"], row["queue"], row["ts"])
        if known is None:
            if said and not self._entered(row):
                yield _began(row)
            yield _fact(row, row["type"], row["ts"], said=said)
        elif said:
            yield known._replace(seq=known.seq + 1, data={"said": said})

    def _entered(self, row: Row) -> bool:
        mine = (row["leg_id"], row["queue"])
        return any(fact.type == "queue.entered" and (fact.leg, fact.queue) == mine for fact in self._call.facts)

    def _alike(self, kind: str, leg: str, queue: str, ts: int) -> Fact | None:
        alike = [
            fact
            for fact in self._call.facts
            if (fact.type, fact.leg, fact.queue) == (kind, leg, queue) and abs(fact.ts - ts) <= ABOUT_US
        ]
        return min(alike, key=lambda fact: abs(fact.ts - ts), default=None)

    def _agent(self, row: Row) -> Iterator[Fact]:
        key = (row["leg_id"], row["queue"], row["agent"])
        kind, ts = row["type"], row["ts"]
        done = kind == "agent.completed"
        leg = self._call.legs.get(self._serving.pop(key, "")) if done else self._find(row)
        if kind == "agent.connected":
            if leg is None:
                leg = self._served(row)
            self._serving[key] = leg.id
        if leg is not None and kind == "agent.cancelled":
            self._cancel({leg.id, self._behind(leg).id})
        if leg is not None and not leg.name and not row["agent"].isdecimal():
            self._behind(leg).name = row["agent"]
        yield _fact(row, kind, ts)._replace(peer=leg.id if leg is not None else "", agent=self._name(leg, row["agent"]))
        if done and leg is not None and leg.ended_at is None:
            leg.ended_at = ts

    def _cancel(self, legs: set[str]) -> None:
        """The queue took the call back: somebody else has it, or the caller is gone. A CDR says NO ANSWER there."""
        self._call.facts = [
            fact._replace(data={"status": "CANCEL"}) if fact.type == "dial.ended" and fact.peer in legs else fact
            for fact in self._call.facts
        ]

    def _find(self, row: Row) -> Leg | None:
        legs = self._call.legs
        if row["peer_leg_id"] in legs:
            self._matched.add(row["peer_leg_id"])
            return legs[row["peer_leg_id"]]
        answered = row["type"] not in _UNANSWERED
        ours = [
            legs[name] for name in self._dialled.get(row["leg_id"], ()) if name in legs and name not in self._matched
        ]
        near = [
            leg
            for leg in ours
            if (self._behind(leg).answered_at is not None) == answered
            and abs(((leg.answered_at if answered else leg.ended_at) or 0) - row["ts"]) <= ABOUT_US
        ]
        named = [leg for leg in near if row["agent"] in {leg.agent, leg.name, self._behind(leg).agent}] or near
        found = min(named, key=lambda leg: (leg.created_at, leg.id), default=None)
        if found is not None:
            self._matched.add(found.id)
        return found

    def _served(self, row: Row) -> Leg:
        """The leg of an agent of whom nothing else tells; how long he talked is told when he is done."""
        leg = self._leg(row["peer_leg_id"] or f"{row['pbx']}:{row['queue']} {row['agent']}", row, row["agent"])
        leg.answered_at = row["ts"]
        for one in (self._call.legs[row["leg_id"]], leg):
            one.stays.append(Stay(row["ts"], row["seq"], f"queue {row['queue']} {row['ts']}", joined=True))
        return leg

    def _leg(self, leg_id: str, row: Row, agent: str) -> Leg:
        leg = self._call.legs[leg_id] = Leg(id=leg_id, created_at=row["ts"], last_at=row["ts"], agent=agent)
        leg.number = agent or row["caller_raw"]
        if not agent:
            leg.e164, leg.customer = row["caller_e164"], row["customer_number"]
            leg.direction = "inbound" if leg.external else ""
        return leg

    def _behind(self, leg: Leg) -> Leg:
        """The telephone that a Local channel leads to."""
        if not leg.local:
            return leg
        legs = self._call.legs
        halves = [half.id for half in legs.values() if half.local == leg.local and half is not leg]
        phones = [legs[name] for half in halves for name in self._dialled.get(half, ()) if name in legs]
        return max(phones, key=lambda phone: phone.answered_at or 0, default=leg)

    def _name(self, leg: Leg | None, agent: str) -> str:
        if leg is None:
            return agent
        phone = self._behind(leg)
        return phone.agent or phone.endpoint or agent

    def _transfer(self, row: Row) -> Iterator[Fact]:
        served = [
            leg
            for (caller, _, agent), leg in self._serving.items()
            if caller == row["leg_id"] and agent == row["agent"]
        ]
        leg = self._call.legs.get(served[-1]) if served else None
        known = [fact for fact in self._call.facts if fact.type == row["type"] and abs(fact.ts - row["ts"]) <= ABOUT_US]
        if not known:
            yield _fact(row, row["type"], row["ts"])._replace(agent=self._name(leg, row["agent"]))


def _fact(row: Row, kind: str, ts: int, **data: str) -> Fact:
    return Fact(ts, row["seq"], kind, row["leg_id"], "", row["queue"], row["agent"], row["by"], {**row["data"], **data})


def _began(row: Row) -> Fact:
    """The beginning of a visit that no line told: how long it was is in its end, and a full queue lets nobody in."""
    waited = row["data"].get("wait_s", "")
    return _fact(row, "queue.entered", row["ts"] - (int(waited) * 1_000_000 if waited.isdecimal() else 0))._replace(
        seq=-1
    )


def said(facts: Sequence[Fact], rows: Iterable[Row]) -> list[Fact]:
    """The facts of live events with what only queue_log knows: why a caller left, or was not let into, a queue."""
    changed = list(facts)
    for row in sorted(rows, key=itemgetter("ts", "seq")):
        reason = row["data"].get("reason", "") if row["type"] == "queue.left" else ""
        if reason in ("", "connected"):
            continue
        mine = (row["leg_id"], row["queue"])
        near = [
            at
            for at, fact in enumerate(changed)
            if fact.type == "queue.left" and (fact.leg, fact.queue) == mine and abs(fact.ts - row["ts"]) <= ABOUT_US
        ]
        for at in near:
            changed[at] = changed[at]._replace(data={**changed[at].data, "said": reason})
        if not near and not any(fact.type == "queue.entered" and (fact.leg, fact.queue) == mine for fact in facts):
            changed += [_began(row), _fact(row, "queue.left", row["ts"], said=reason)]
    return changed
