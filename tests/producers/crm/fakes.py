"""A CRM's contacts and the topic in memory, whose every effect is listed."""

from collections.abc import Callable, Collection

from producers.crm.source import Changes, Found, Mark, Page
from producers.crm.topic import ContactTopic, Position
from schemas.events import Contact
from streams.clients.crm import Expired, Gone
from streams.runtime.clock import Clock

MICROS = 1_000_000


class FakeContacts:
    """Contacts of a CRM with whole seconds; `between` runs before every page of a scan, as time goes on there too."""

    def __init__(self, clock: Clock, *, size: int = 2) -> None:
        self.clock, self.size = clock, size
        self.order: list[str] = []
        self.rows: dict[str, Found] = {}
        self.log: list[tuple[str, str]] = []
        self.oldest = 0
        self.between: list[Callable[[], None]] = []
        self.asked: list[str] = []
        self.hidden: set[str] = set()

    def put(self, contact_id: str, *, at: int | None = None, told: bool = True, **fields: object) -> None:
        """Create or change; `at` is when its transaction began (s), `told` whether the change feed hears of it."""
        stamp = self.clock.now() // MICROS if at is None else at
        if contact_id not in self.rows:
            self.order.append(contact_id)
        self.rows[contact_id] = Found(contact_id=contact_id, updated_at=stamp * MICROS, **fields)  # type: ignore[arg-type]
        if told:
            self.log.append(("updated", contact_id))

    def delete(self, contact_id: str, *, told: bool = True) -> None:
        del self.rows[contact_id]
        if told:
            self.log.append(("gone", contact_id))

    async def mark(self) -> Mark:
        self.asked.append("mark")
        return Mark(token=str(len(self.log)), at=self.clock.now() // MICROS * MICROS)

    async def page(self, cursor: str, since: int | None) -> Page:
        self.asked.append("scan" if since is None else "sweep")
        if self.between:
            self.between.pop(0)()
        first = int(cursor or "0")
        ids = self.order[first : first + self.size]
        rows = [self.rows[i] for i in ids if i in self.rows and i not in self.hidden]
        found = tuple(row for row in rows if since is None or row.updated_at >= since)
        end = first + self.size
        return Page(found=found, cursor=str(end) if end < len(self.order) else "")

    async def changes(self, token: str) -> Changes:
        first = int(token)
        if first < self.oldest:
            raise Expired
        part = self.log[first : first + self.size]
        last = {contact_id: kind for kind, contact_id in part}
        return Changes(
            updated=tuple(self.rows[i] for i, kind in last.items() if kind == "updated" and i in self.rows),
            gone=tuple(i for i, kind in last.items() if kind == "gone"),
            token=str(first + len(part)),
            more=len(part) == self.size,
        )

    async def get(self, contact_id: str) -> Found:
        self.asked.append(f"get {contact_id}")
        if contact_id not in self.rows:
            raise Gone
        return self.rows[contact_id]


class FakeTopic(ContactTopic):
    """The topic and the position, durable up to what was settled."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.says: dict[str, Contact] = {}
        self.position: Position | None = None

    def known(self) -> Collection[str]:
        return self.says.keys()

    def put(self, contact: Contact) -> None:
        self.effects.append(f"put {contact.contact_id}")
        self.says[contact.contact_id] = contact

    def remove(self, contact_id: str) -> None:
        if self.says.pop(contact_id, None) is not None:
            self.effects.append(f"remove {contact_id}")

    def settle(self, position: Position) -> None:
        self.effects.append("settle")
        self.position = position
