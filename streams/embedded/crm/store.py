"""The sandbox's one SQLite file: an acknowledged write survives SIGKILL (WAL, synced at every commit)."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS contacts(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
    company_id TEXT NOT NULL, owner TEXT NOT NULL, priority INTEGER NOT NULL, segment TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS contacts_name ON contacts(name);
CREATE TABLE IF NOT EXISTS numbers(
    contact TEXT NOT NULL, place INTEGER NOT NULL, raw TEXT NOT NULL, tail TEXT NOT NULL,
    PRIMARY KEY(contact, place)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS numbers_tail ON numbers(tail);
CREATE TABLE IF NOT EXISTS merged(id TEXT PRIMARY KEY, into_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, contact TEXT NOT NULL, kind TEXT NOT NULL, into_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS activities(
    id INTEGER PRIMARY KEY AUTOINCREMENT, call_id TEXT NOT NULL, contact_id TEXT NOT NULL, subject TEXT NOT NULL,
    direction TEXT NOT NULL, started_at TEXT NOT NULL, duration INTEGER, customer_number TEXT NOT NULL,
    customer_name TEXT NOT NULL, participants TEXT NOT NULL, result TEXT NOT NULL, queue TEXT NOT NULL,
    did TEXT NOT NULL, recording TEXT NOT NULL, candidates TEXT NOT NULL, notes TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS activities_call ON activities(call_id);
CREATE INDEX IF NOT EXISTS activities_contact ON activities(contact_id, started_at);
CREATE TABLE IF NOT EXISTS notes(
    id INTEGER PRIMARY KEY AUTOINCREMENT, contact TEXT NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL,
    text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hooks(id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL, secret TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries(
    id INTEGER PRIMARY KEY AUTOINCREMENT, hook INTEGER NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL,
    due INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS settings(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def connect(file: Path) -> sqlite3.Connection:
    """The database, made if missing; rows read by column name. One thread uses it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(file, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.create_function("folded", 1, lambda text: str(text).casefold(), deterministic=True)
    db.executescript(_SCHEMA)
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, on disk when it returns."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def iso(seconds: int) -> str:
    """A time as the API tells it: UTC, whole seconds, as most CRMs do."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> int:
    """A time as the API is told it; raises ValueError."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


Now = Callable[[], int]
"""Microseconds since the epoch."""
