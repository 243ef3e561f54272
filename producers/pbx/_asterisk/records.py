"""What the adapters of Asterisk's records have in common: a file or a table that grows, and rows with a printed time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, SecretStr

from producers import database, feeds
from producers.adapter import Feed, Frame, event_id
from producers.pbx._asterisk import zone as zones
from producers.pbx._asterisk.channels import Facts, Site
from producers.pbx._asterisk.zone import Zone
from schemas.events import CallEvent
from streams.runtime.errors import Fatal, Reject


def _name(text: str) -> str:
    if not database.is_name(text):
        raise ValueError("a name has letters, digits and _ only; a table may have its schema before a dot")
    return text


Name = Annotated[str, AfterValidator(_name)]
"""Of a table or a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Keys of every adapter of records."""

    of: str = ""
    """Name of the [pbx] section whose calls these are, so that records and events meet; its number plan and agents hold
    here too, unless they are given. Empty: this section itself."""
    zone: Zone = ""
    """IANA zone of printed times; empty: measured from the uniqueids, which begin with a UTC second."""
    backfill: bool = False
    """At the very first start, read what the source already holds."""
    database: str = ""
    """Read a table instead of the file: sqlite:////var/lib/asterisk/master.db, postgresql://user@host:5432/name or
    mysql://user@host:3306/name. The user needs SELECT on the table and nothing else."""
    password: SecretStr | None = None
    """The database user's password; from the environment or password_file."""
    database_tls: bool = False
    """Speak TLS with the database."""
    database_ca: str = ""
    """File with the CA certificates to trust there; empty: the system's."""
    table: Name
    """The table, where a database is configured; may be schema.table."""
    key: Name
    """Its column that rises: a number that the database gives, or a time."""
    overlap: float = 300.0
    """How far below the highest row late ones are looked for: in seconds when the key is a time, else in numbers."""


def feed(config: Source, path: Path) -> Feed:
    """The file, or the table where a database is configured. Raises Fatal on a URL that cannot be used."""
    if not config.database:
        return feeds.follow(path, from_start=config.backfill)
    if config.overlap <= 0:
        raise Fatal("overlap: more than 0, or a row that comes late is never read")
    return feeds.table(_opening(config), key=config.key, overlap=config.overlap, from_start=config.backfill)


def newest(config: Source) -> Any:
    """The table's highest key, None when it is empty. Raises Retry or Fatal when it cannot be read."""
    table = _opening(config)()
    try:
        return table.newest()
    finally:
        table.close()


def _opening(config: Source) -> Callable[[], database.Table]:
    tls = feeds.tls(config.database_ca) if config.database_tls else None
    password = config.password.get_secret_value() if config.password else ""
    target = database.target(config.database, password, tls)
    return partial(database.Table, target, table=config.table, key=config.key)


def moment(frame: Frame, context: Site, text: str, *uniqueids: str) -> tuple[int, str]:
    """(µs UTC, precision) of a row's time; Reject when it has none, or one that cannot be told: an hour off is worse."""
    ahead = frame.facts["ahead"] if frame.facts else ""
    local = zones.of(context.config.zone, ahead, text, uniqueids)
    at = zones.moment(text, local or UTC, zones.created(*uniqueids))
    if at is None:
        raise Reject(f"its time is no time: {text[:40]!r}")
    if local is None and zones.is_local(text):
        raise Reject("the zone of its time is not known yet, and no uniqueid tells it: set zone")
    return at


def events(frame: Frame, context: Site, at: tuple[int, str], found: Iterable[Facts]) -> Iterator[CallEvent]:
    """Events of one row. Their ids come from its bytes alone, whoever reads it, wherever and when."""
    for index, facts in enumerate(found):
        yield CallEvent(
            event_id=event_id(context.tenant, context.pbx, frame.raw, frame.ordinal, index),
            tenant=context.tenant,
            pbx=context.pbx,
            merge_key=context.merge_key,
            ts=at[0],
            ts_precision=at[1],
            received_at=frame.received_at,
            seq=frame.seq,
            **facts | {"synthetic": True},
        )
