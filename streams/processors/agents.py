"""agents: what queues, telephones and calls say of an agent to one state, told at each change.

A record says all that the state follows from (see `schemas.events.AgentState`), so a new owner of a partition reads the
last record of each agent and goes on. Only a snapshot that is being read is looked at again: `low_water`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from schemas import codec
from schemas.codec import UndecodableError
from schemas.events import AgentState, Membership
from streams.processors.folding import wire
from streams.processors.presence import steps
from streams.processors.presence.person import Person, Row
from streams.processors.presence.site import Site
from streams.runtime import config
from streams.runtime.clock import Clock
from streams.runtime.pipeline import Message, Output, Refused, Stage, Task

NAME = "agents"
OF_AGENTS = frozenset(
    """agent.state agent.connected agent.completed hold.started hold.ended bridge.joined
    leg.created leg.ringing leg.answered leg.live leg.ended""".split()  # noqa: SIM905 - a table
)
OF_SOURCES = frozenset({"source.up", "source.down", "gap.resolved"})
WANTED = OF_AGENTS | OF_SOURCES | {""}
WHOLE_LOG = 10 * 366 * 86_400.0
"""The topic is compacted: all of it is the last record of each agent, and a few days more."""
REMEMBERED = 8192
"""Event ids against copies; enrichment has dropped all that it knew before."""

Key = tuple[str, str, str]


@dataclass(slots=True, eq=False)
class Agents:
    """The Task of one partition: the agents of its PBXs."""

    rules: config.Agents
    people: dict[Key, Person] = field(default_factory=dict)
    sites: dict[tuple[str, str], Site] = field(default_factory=dict)
    wrapping: dict[bytes, Person] = field(default_factory=dict)
    """Those whose wrap-up may end by the clock."""
    recalled: dict[bytes, bytes] = field(default_factory=dict)
    seen: dict[bytes, None] = field(default_factory=dict)

    def recall(self, value: bytes) -> None:
        self.recalled[_whose(value)] = value

    def replay(self, messages: Sequence[Message]) -> None:
        self._begin(0)
        for message in messages:
            value = message.value() or b""
            with suppress(UndecodableError):
                if wire.event_type(value) in WANTED:
                    row, _ = wire.read_event(value)
                    self._site(row).note(row, message.offset())

    def process(self, messages: Sequence[Message], now: int) -> Iterator[Output | Refused]:
        self._begin(now)
        for message in messages:
            value = message.value() or b""
            if wire.event_type(value) not in WANTED:
                continue
            try:
                row, _ = wire.read_event(value)
            except UndecodableError as e:
                yield Refused(message=message, reason=str(e), stage=NAME)
                continue
            if row["type"] in WANTED and not self._again(codec.event_id(value)):
                yield from self._take(row, message.offset(), now)

    def tick(self, now: int) -> Iterator[Output]:
        self._begin(now)
        for site in self.sites.values():
            site.trim()
        for person in list(self.wrapping.values()):
            yield from self._lapse(person, self.sites[person.tenant, person.pbx].now(now), now)

    def low_water(self) -> int | None:
        return min((low for site in self.sites.values() for low in site.lows()), default=None)

    def _begin(self, now: int) -> None:
        """After the recall: everybody is as he was said to be."""
        recalled, self.recalled = self.recalled, {}
        for value in recalled.values():
            said = codec.decode(AgentState, value)
            person = self._person(said.tenant, said.pbx, said.agent_id)
            person.resume(said)
            self._watch(person)
            self.sites.setdefault((said.tenant, said.pbx), Site()).hear(said.since, now)

    def _again(self, event_id: bytes) -> bool:
        if event_id in self.seen:
            return True
        self.seen[event_id] = None
        if len(self.seen) > REMEMBERED:
            del self.seen[next(iter(self.seen))]
        return False

    def _take(self, row: Row, offset: int, now: int) -> Iterator[Output]:
        site = self._site(row)
        if row["type"] in OF_SOURCES:
            site.hear(row["ts"], now)
            yield from self._of_source(site, row)
            return
        record = row["data"].get("source") in steps.RECORDS
        covered = record and site.covers(row["ts"])  # live events of that time were read, and tell it better
        if not record:
            site.live(row["ts"])
        site.hear(row["ts"], now)
        site.note(row, offset)
        if not row["agent"] or (covered and row["type"] != "agent.completed"):
            return
        person = self._person(row["tenant"], row["pbx"], row["agent"])
        yield from self._lapse(person, row["ts"], row["received_at"])
        if covered:
            steps.forget_records(person, row)
        else:
            steps.apply(person, row, self._wrapup)
        yield from self._say(person, row, estimated=row["synthetic"] and not record, precision=row["ts_precision"])

    def _of_source(self, site: Site, row: Row) -> Iterator[Output]:
        """What a snapshot does not show is over; who is in no queue of it any more, only if no other reader saw that."""
        data, members = row["data"], site.source(row)
        attended = row["type"] == "gap.resolved" and site.attended(row)
        if "live" not in data or attended:
            return
        alive = {f"{row['pbx']}:{native.replace('%20', ' ')}" for native in data["live"].split()}
        at = int(data.get("audit_us") or row["ts"])
        for person in [p for p in self.people.values() if (p.tenant, p.pbx) == (row["tenant"], row["pbx"])]:
            for leg in [leg for leg in person.legs.values() if leg.leg_id not in alive and leg.at < at]:
                steps.end(person, leg.leg_id, leg.interface, at, shown=True)
            for member in list(person.memberships.values()) if members else ():
                if member.active and member.queue and member.at < at and (person.id, member.queue) not in members:
                    steps.leave(person, member.queue, at)
            said = person.revise(at, row["received_at"], estimated=True)
            if said is not None:
                yield Output(person.key, codec.encode(said))

    def _lapse(self, person: Person, ts: int, received_at: int) -> Iterator[Output]:
        """The end of a wrap-up, of which the PBX tells nothing: when its time is over."""
        if person.wrapup is None or person.wrapup[1] > ts:
            return
        self.wrapping.pop(person.key, None)
        if person.said is not None and person.said.state == "wrapup":
            said = person.revise(person.wrapup[1], received_at, estimated=True)
            if said is not None:
                yield Output(person.key, codec.encode(said))

    def _say(self, person: Person, row: Row, *, estimated: bool, precision: str = "us") -> Iterator[Output]:
        said = person.revise(row["ts"], row["received_at"], estimated=estimated, precision=precision)
        self._watch(person)
        if said is not None:
            yield Output(person.key, codec.encode(said))

    def _watch(self, person: Person) -> None:
        if person.wrapup is not None:
            self.wrapping[person.key] = person

    def _site(self, row: Row) -> Site:
        return self.sites.setdefault((row["tenant"], row["pbx"]), Site())

    def _person(self, tenant: str, pbx: str, agent: str) -> Person:
        key = tenant, pbx, agent
        found = self.people.get(key)
        if found is None:
            found = self.people[key] = Person(tenant, pbx, agent)
        return found

    def _wrapup(self, queue: str, member: Membership | None) -> float:
        own = member.wrapup_s if member is not None else None
        return own or self.rules.queue_wrapup_seconds.get(queue, self.rules.wrapup_seconds)


def _whose(value: bytes) -> bytes:
    """Tenant, PBX and agent of a framed AgentState as they stand in it, not decoded."""
    at = codec.HEADER
    for _ in range(3):
        size = shift = 0
        while True:
            byte = value[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - Avro's continuation bit
                break
        at += size >> 1
    return value[codec.HEADER : at]


def open_stage(settings: config.Settings, clock: Clock) -> Stage:  # noqa: ARG001 - every stage is opened alike
    """The stage that `trunkline run stream agents` runs."""
    rules = settings.streams.agents

    def task(_: int) -> Task:
        return Agents(rules)

    return Stage(
        name=NAME,
        source=settings.kafka.name("call-events-enriched"),
        target=settings.kafka.name("agent-states"),
        window_s=WHOLE_LOG,
        open=task,
    )
