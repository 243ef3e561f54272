"""The sandbox's call journal. Like many CRMs it does not deduplicate: the same POST twice makes two entries."""

import sqlite3
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from streams.embedded.crm.contacts import Contacts, UnknownContactError
from streams.embedded.crm.faults import Faults
from streams.embedded.crm.store import Now, iso, seconds, transaction

Line = Annotated[str, StringConstraints(max_length=500)]
Long = Annotated[str, StringConstraints(max_length=20_000)]


class ActivityIn(BaseModel):
    """A call as a client sends it; in a PATCH only the given fields count."""

    model_config = ConfigDict(extra="forbid")
    call_id: Line = ""
    """The client's own id of the call: searchable, not unique."""
    contact_id: Line = ""
    subject: Line = ""
    direction: Literal["inbound", "outbound", "internal", ""] = ""
    started_at: Line = ""
    """RFC 3339."""
    duration: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Seconds."""
    customer_number: Line = ""
    customer_name: Line = ""
    participants: Long = ""
    result: Line = ""
    queue: Line = ""
    did: Line = ""
    recording: Long = ""
    candidates: Long = ""
    notes: Long = ""

    def checked(self) -> "ActivityIn":
        """Itself; raises ValueError when the time is none."""
        if self.started_at:
            seconds(self.started_at)
        return self


_FIELDS = tuple(ActivityIn.model_fields)
_INSERT = (
    f"INSERT INTO activities({', '.join(_FIELDS)}, created_at, updated_at)"
    f" VALUES({', '.join('?' for _ in _FIELDS)}, ?, ?)"
)
_UPDATE = f"UPDATE activities SET {', '.join(f'{f} = ?' for f in _FIELDS)}, updated_at = ? WHERE id = ?"  # noqa: S608


class UnknownActivityError(LookupError):
    """There is no such activity."""


class Activities:
    """Entries of the journal, each perhaps in the history of one contact."""

    def __init__(self, db: sqlite3.Connection, now: Now, faults: Faults, contacts: Contacts) -> None:
        self._db, self._now, self._faults, self._contacts = db, now, faults, contacts

    def post(self, given: ActivityIn) -> dict[str, Any]:
        """A new entry, whatever there is already; raises UnknownContactError."""
        cells = self._assigned(given).model_dump()
        stamp = self._now() // 1_000_000
        with transaction(self._db):
            done = self._db.execute(_INSERT, (*(cells[f] for f in _FIELDS), stamp, stamp))
        return self.get(done.lastrowid or 0)

    def patch(self, activity: int, given: ActivityIn) -> dict[str, Any]:
        """Change the given fields; raises UnknownActivityError or UnknownContactError."""
        there = self.get(activity)
        whole = ActivityIn.model_validate({f: there[f] for f in _FIELDS})
        changed = self._assigned(given).model_dump(exclude_unset=True)
        cells = whole.model_copy(update=changed).model_dump()
        with transaction(self._db):
            self._db.execute(_UPDATE, (*(cells[f] for f in _FIELDS), self._now() // 1_000_000, activity))
        return self.get(activity)

    def delete(self, activity: int) -> None:
        """Take an entry away; raises UnknownActivityError."""
        with transaction(self._db):
            if not self._db.execute("DELETE FROM activities WHERE id = ?", (activity,)).rowcount:
                raise UnknownActivityError(activity)

    def get(self, activity: int) -> dict[str, Any]:
        row = self._db.execute("SELECT * FROM activities WHERE id = ?", (activity,)).fetchone()
        if row is None:
            raise UnknownActivityError(activity)
        return _shown(row)

    def of_call(self, call_id: str) -> list[dict[str, Any]]:
        """The entries of a call, oldest first, as far as the search index has got."""
        indexed = self._now() // 1_000_000 - self._faults.now.index_lag_s
        rows = self._db.execute(
            "SELECT * FROM activities WHERE call_id = ? AND created_at <= ? ORDER BY id", (call_id, indexed)
        )
        return [_shown(row) for row in rows]

    def page(self, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """Entries behind cursor `after`, in order of creation; the next cursor."""
        rows = self._db.execute("SELECT * FROM activities WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall()
        return [_shown(row) for row in rows], rows[-1]["id"] if len(rows) == limit else None

    def history(self, contact: str | None, page: int, size: int) -> tuple[list[dict[str, Any]], int]:
        """The journal of a contact (None: of everybody), newest call first; and how many entries in all."""
        who = ("%",) if contact is None else (contact,)
        where = "contact_id LIKE ?" if contact is None else "contact_id = ?"
        total = self._db.execute(f"SELECT count(*) FROM activities WHERE {where}", who).fetchone()[0]  # noqa: S608
        rows = self._db.execute(
            f"SELECT * FROM activities WHERE {where} ORDER BY started_at DESC, id DESC LIMIT ? OFFSET ?",  # noqa: S608
            (*who, size, page * size),
        )
        return [_shown(row) for row in rows], total

    def _assigned(self, given: ActivityIn) -> ActivityIn:
        """With the contact that a merged one is part of now; raises UnknownContactError for one that is not there."""
        if not given.contact_id:
            return given
        try:
            self._contacts.get(given.contact_id)
        except UnknownContactError:
            survivor = self._contacts.survivor(given.contact_id)
            if survivor is None:
                raise
            given.contact_id = survivor
        return given


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    cells = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a sqlite3.Row iterates values
    return {**cells, "created_at": iso(row["created_at"]), "updated_at": iso(row["updated_at"])}
