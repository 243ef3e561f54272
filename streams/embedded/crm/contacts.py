"""Contacts of the sandbox: persons and companies, their numbers as people type them, deletes, merges, change feed."""

import random
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from streams.embedded.crm import hooks
from streams.embedded.crm.faults import Faults
from streams.embedded.crm.store import Now, iso, transaction

_TAIL = 8
Text = Annotated[str, StringConstraints(max_length=500)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class ContactIn(BaseModel):
    """A contact as a client sends it; in a PATCH only the given fields count."""

    model_config = ConfigDict(extra="forbid")
    id: Id | None = None
    kind: Literal["person", "company"] = "person"
    name: Text = ""
    company_id: Text = ""
    numbers: Annotated[list[Text], Field(max_length=50)] = []
    owner: Text = ""
    priority: int = 0
    segment: Text = ""


class UnknownContactError(LookupError):
    """There is no such contact, and none that it was merged into."""


def tail(number: str) -> str:
    """The last digits of a number however it is typed: what the search by telephone compares."""
    return "".join(c for c in number if c.isdecimal())[-_TAIL:]


class Contacts:
    """Every write is one transaction: the contact, its entry in the change feed, and the webhooks that it causes."""

    def __init__(self, db: sqlite3.Connection, now: Now, faults: Faults, rng: random.Random) -> None:
        self._db, self._now, self._faults, self._rng = db, now, faults, rng

    def put(self, many: Sequence[ContactIn], *, stamp: int) -> list[str]:
        """Create contacts, or replace those whose id exists; their time is `stamp` (s), whenever this commits."""
        with transaction(self._db):
            ids = [self._put(each, stamp) for each in many]
            self._changed(ids, "updated")
        return ids

    def patch(self, contact: str, given: ContactIn, *, stamp: int) -> None:
        """Change the given fields of a contact; raises UnknownContactError."""
        whole = ContactIn.model_validate({k: v for k, v in self.get(contact).items() if k in ContactIn.model_fields})
        with transaction(self._db):
            self._put(whole.model_copy(update={**given.model_dump(exclude_unset=True), "id": contact}), stamp)
            self._changed([contact], "updated")

    def delete(self, contact: str) -> None:
        """Take a contact away; its activities stay, with no contact. Raises UnknownContactError."""
        self.get(contact)
        with transaction(self._db):
            self._remove(contact)
            self._db.execute("UPDATE activities SET contact_id = '' WHERE contact_id = ?", (contact,))
            self._changed([contact], "deleted")

    def merge(self, contact: str, into: str, *, stamp: int) -> None:
        """Make `contact` part of `into`, which takes over its numbers, activities and notes."""
        gone, kept = self.get(contact), self.get(into)
        numbers = list(dict.fromkeys([*kept["numbers"], *gone["numbers"]]))
        with transaction(self._db):
            self._remove(contact)
            self._db.execute("INSERT OR REPLACE INTO merged VALUES(?, ?)", (contact, into))
            self._db.execute("UPDATE merged SET into_id = ? WHERE into_id = ?", (into, contact))
            self._db.execute("UPDATE activities SET contact_id = ? WHERE contact_id = ?", (into, contact))
            self._db.execute("UPDATE notes SET contact = ? WHERE contact = ?", (into, contact))
            self._numbers(into, numbers)
            self._db.execute("UPDATE contacts SET updated_at = ? WHERE id = ?", (stamp, into))
            self._changed([contact], "merged", into)
            self._changed([into], "updated")

    def get(self, contact: str) -> dict[str, Any]:
        """One contact as JSON; raises UnknownContactError."""
        row = self._db.execute("SELECT * FROM contacts WHERE id = ?", (contact,)).fetchone()
        if row is None:
            raise UnknownContactError(contact)
        return self._shown([row])[0]

    def survivor(self, contact: str) -> str | None:
        """What a merged contact is part of now."""
        row = self._db.execute("SELECT into_id FROM merged WHERE id = ?", (contact,)).fetchone()
        return str(row["into_id"]) if row else None

    def page(self, after: int, limit: int, since: int) -> tuple[list[dict[str, Any]], int | None]:
        """Contacts behind cursor `after` changed at or after `since` (s), in order of creation; the next cursor."""
        rows = self._db.execute(
            "SELECT * FROM contacts WHERE seq > ? AND updated_at >= ? ORDER BY seq LIMIT ?", (after, since, limit)
        ).fetchall()
        return self._shown(rows), rows[-1]["seq"] if len(rows) == limit else None

    def by_phone(self, number: str) -> list[dict[str, Any]]:
        """Contacts with a number that ends alike: as loose as in most CRMs."""
        rows = self._db.execute(
            "SELECT * FROM contacts WHERE id IN (SELECT contact FROM numbers WHERE tail = ?) ORDER BY seq LIMIT 100",
            (tail(number),),
        ).fetchall()
        return self._shown(rows)

    def search(self, text: str, page: int, size: int) -> tuple[list[dict[str, Any]], int]:
        """Contacts whose name holds the text or whose number ends with its digits, by name; and how many in all."""
        digits = tail(text)
        wanted = ("%" + _escaped(text.casefold()) + "%", digits if len(digits) > 3 else "-")  # noqa: PLR2004
        where = "folded(name) LIKE ? ESCAPE '\\' OR id IN (SELECT contact FROM numbers WHERE tail = ?)"
        total = self._db.execute(f"SELECT count(*) FROM contacts WHERE {where}", wanted).fetchone()[0]  # noqa: S608
        rows = self._db.execute(
            f"SELECT * FROM contacts WHERE {where} ORDER BY folded(name), seq LIMIT ? OFFSET ?",  # noqa: S608 - constant
            (*wanted, size, page * size),
        ).fetchall()
        return self._shown(rows), total

    def mark(self) -> int:
        """The token of now: changes behind it have not happened yet."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
        return row["seq"] if row else 0

    def changes(self, token: int, limit: int) -> dict[str, Any] | None:
        """What changed behind a token, the last state of each contact; None when the feed no longer reaches back."""
        if token < self.mark() - self._faults.now.changes_kept:
            return None
        rows = self._db.execute("SELECT * FROM changes WHERE seq > ? ORDER BY seq LIMIT ?", (token, limit)).fetchall()
        last = {row["contact"]: row for row in rows}
        gone = [{"id": r["contact"], "merged_into": r["into_id"]} for r in last.values() if r["kind"] != "updated"]
        updated = [s for r in last.values() if r["kind"] == "updated" for s in self._try(r["contact"])]
        return {
            "updated": updated,
            "gone": gone,
            "token": str(rows[-1]["seq"] if rows else token),
            "more": len(rows) == limit,
        }

    def _try(self, contact: str) -> list[dict[str, Any]]:
        try:
            return [self.get(contact)]
        except UnknownContactError:  # deleted since: a later entry says so
            return []

    def _put(self, c: ContactIn, stamp: int) -> str:
        contact = c.id or self._fresh()
        self._db.execute(
            "INSERT INTO contacts(id, kind, name, company_id, owner, priority, segment, created_at, updated_at)"
            " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET kind = excluded.kind,"
            " name = excluded.name, company_id = excluded.company_id, owner = excluded.owner,"
            " priority = excluded.priority, segment = excluded.segment, updated_at = excluded.updated_at",
            (contact, c.kind, c.name, c.company_id, c.owner, c.priority, c.segment, stamp, stamp),
        )
        self._db.execute("DELETE FROM merged WHERE id = ?", (contact,))
        self._numbers(contact, c.numbers)
        return contact

    def _fresh(self) -> str:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'contacts'").fetchone()
        return f"N{(row['seq'] if row else 0) + 1:06d}"

    def _numbers(self, contact: str, numbers: Iterable[str]) -> None:
        self._db.execute("DELETE FROM numbers WHERE contact = ?", (contact,))
        rows = [(contact, place, raw, tail(raw)) for place, raw in enumerate(numbers)]
        self._db.executemany("INSERT INTO numbers VALUES(?, ?, ?, ?)", rows)

    def _remove(self, contact: str) -> None:
        self._db.execute("DELETE FROM contacts WHERE id = ?", (contact,))
        self._db.execute("DELETE FROM numbers WHERE contact = ?", (contact,))

    def _changed(self, contacts: Iterable[str], kind: str, into: str = "") -> None:
        """The feed's entries and the webhooks; a lossy feed (a fault) forgets some of the former."""
        lost = self._faults.now.lost_changes
        kept = [(c, kind, into) for c in contacts if not lost or self._rng.random() >= lost]
        self._db.executemany("INSERT INTO changes(contact, kind, into_id) VALUES(?, ?, ?)", kept)
        self._db.execute("DELETE FROM changes WHERE seq <= ?", (self.mark() - self._faults.now.changes_kept,))
        for contact in contacts:
            hooks.enqueue(self._db, {"event": f"contact.{kind}", "id": contact, "merged_into": into}, self._now())

    def _shown(self, rows: Sequence[sqlite3.Row]) -> list[dict[str, Any]]:
        shown = []
        for row in rows:
            numbers = self._db.execute("SELECT raw FROM numbers WHERE contact = ? ORDER BY place", (row["id"],))
            cells = {name: row[name] for name in row.keys() if name != "seq"}  # noqa: SIM118 - a sqlite3.Row iterates values
            cells |= {"created_at": iso(row["created_at"]), "updated_at": iso(row["updated_at"])}
            shown.append({**cells, "numbers": [n["raw"] for n in numbers]})
        return shown


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
