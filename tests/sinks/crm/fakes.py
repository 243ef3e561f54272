"""A CRM and a ledger in memory whose every effect is listed, and where the process can die at any of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.events import Call, CrmWrite
from sinks.crm.connector import Entry
from sinks.crm.journal import FIELDS
from streams.clients.crm import Gone, Unknown, UnknownContact
from streams.runtime.errors import Retry


class Crash(BaseException):
    """The process died."""


@dataclass
class World:
    """What outlives a process: the CRM's entries, the ledger's records; and the list of effects in order.

    `crash_at` names the effects (counted from 0) around which the process dies: before it (x.0) or after it (x.5).
    """

    crash_at: tuple[float, ...] = ()
    entries: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    records: list[CrmWrite] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    made: int = 0

    def effect(self, what: str) -> None:
        """To be called before an effect takes place."""
        at = len(self.effects)
        self.effects.append(what)
        if float(at) in self.crash_at:
            self.effects[-1] += " (not done: died)"
            raise Crash

    def after(self) -> None:
        """To be called after an effect has taken place and before anybody hears of it."""
        at = len(self.effects) - 1
        if at + 0.5 in self.crash_at:
            self.effects[-1] += " (done, then died)"
            raise Crash

    def of(self, call_id: str) -> list[dict[str, str]]:
        """The entries of a call in the CRM."""
        return [fields for call, fields in self.entries.values() if call == call_id]


class FakePortal:
    """A CRM that never deduplicates.

    `answers` are what the next requests meet: an exception, "lost" for an effect that is done and never answered, or ""
    for a plain success.
    """

    def __init__(
        self, world: World, answers: Sequence[Exception | str] = (), contacts: Sequence[str] = ("C1",)
    ) -> None:
        self.world, self.answers, self.contacts = world, list(answers), set(contacts)
        self.phones: dict[str, list[str]] = {}

    def _meet(self, *, repeatable: bool = True) -> str:
        answer = self.answers.pop(0) if self.answers else ""
        if isinstance(answer, Unknown) and repeatable:
            raise Retry(str(answer))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def find_by_phone(self, number: str) -> Sequence[str]:
        self._meet()
        return self.phones.get(number, [])

    async def put_call(self, call_id: str, fields: Mapping[str, str]) -> str:
        self.world.effect("put")
        answer = self._meet(repeatable=False)
        if fields.get("contact_id") and fields["contact_id"] not in self.contacts:
            raise UnknownContact
        self.world.made += 1
        made = f"a{self.world.made}"
        self.world.entries[made] = (call_id, {f: fields.get(f, "") for f in FIELDS})
        self.world.after()
        if answer == "lost":
            raise Unknown("no answer")
        return made

    async def patch_call(self, external_id: str, fields: Mapping[str, str]) -> None:
        self.world.effect(f"patch {' '.join(sorted(fields))}")
        self._meet()
        if external_id not in self.world.entries:
            raise Gone
        self.world.entries[external_id][1].update(fields)
        self.world.after()

    async def drop_call(self, external_id: str) -> None:
        self.world.effect("drop")
        self._meet()
        if self.world.entries.pop(external_id, None) is None:
            raise Gone
        self.world.after()

    async def confirm(self, call_id: str) -> Sequence[Entry]:
        self._meet()
        found = [(k, f) for k, (call, f) in self.world.entries.items() if call == call_id]
        return [Entry(external_id=k, fields=dict(f)) for k, f in found]


class FakeLog:
    """The ledger as a new process finds it: what was acknowledged, and nothing else."""

    def __init__(self, world: World, *, owned_since: int = 0, forgets: bool = False) -> None:
        self.world, self._since, self._forgets = world, owned_since, forgets
        self._known = {} if forgets else {write.call_id: write for write in world.records}

    @property
    def owned_since(self) -> int:
        return self._since

    def last(self, call_id: str) -> CrmWrite | None:
        return self._known.get(call_id)

    def forgotten(self, call: Call) -> bool:
        return self._forgets and call.call_id not in self._known

    async def append(self, write: CrmWrite) -> None:
        self.world.effect(write.state)
        self.world.records.append(write)
        self.world.after()
        self._known[write.call_id] = write
