"""Small lists of the sandbox: notes that people keep on a contact, and the registered webhooks."""

import sqlite3
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

from streams.embedded.crm.hooks import HookIn
from streams.embedded.crm.store import Now, iso


class NoteIn(BaseModel):
    """A note on a contact."""

    model_config = ConfigDict(extra="forbid")
    author: Annotated[str, StringConstraints(max_length=200)] = ""
    text: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class Notebook:
    """Notes and hooks, each a row."""

    def __init__(self, db: sqlite3.Connection, now: Now) -> None:
        self._db, self._now = db, now

    def add(self, contact: str, note: NoteIn) -> dict[str, Any]:
        at = self._now() // 1_000_000
        cells = (contact, at, note.author, note.text)
        done = self._db.execute("INSERT INTO notes(contact, at, author, text) VALUES(?, ?, ?, ?)", cells)
        return {"id": done.lastrowid, "at": iso(at), **note.model_dump()}

    def of(self, contact: str) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT * FROM notes WHERE contact = ? ORDER BY at DESC, id DESC", (contact,))
        return [{"id": r["id"], "at": iso(r["at"]), "author": r["author"], "text": r["text"]} for r in rows]

    def add_hook(self, hook: HookIn) -> int:
        done = self._db.execute("INSERT INTO hooks(url, secret) VALUES(?, ?)", (hook.url, hook.secret))
        return done.lastrowid or 0

    def hooks(self) -> list[dict[str, Any]]:
        """Registered hooks; a secret is never shown again."""
        return [
            {"id": row["id"], "url": row["url"]} for row in self._db.execute("SELECT id, url FROM hooks ORDER BY id")
        ]

    def delete_hook(self, hook: int) -> None:
        self._db.execute("DELETE FROM hooks WHERE id = ?", (hook,))
        self._db.execute("DELETE FROM deliveries WHERE hook = ?", (hook,))
