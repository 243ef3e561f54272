"""Call detail records as Asterisk writes them: the `Cdr` event of cdr_manager and the line of cdr_csv (Master.csv)."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

MICRO = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record, times in µs UTC; `answered` None when nobody (and no application) answered."""

    src: str
    dst: str
    context: str
    caller: str
    channel: str
    peer: str
    application: str
    data: str
    started: int
    answered: int | None
    ended: int
    disposition: str
    uniqueid: str
    linkedid: str
    sequence: int
    userfield: str = ""

    @property
    def duration(self) -> int:
        return (self.ended - self.started) // MICRO

    @property
    def billsec(self) -> int:
        return 0 if self.answered is None else (self.ended - self.answered) // MICRO


def local(at: int | None, zone: tzinfo) -> str:
    """Local time to the second, as both backends print it; "" for never."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at // MICRO, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def event_fields(row: Row, zone: tzinfo) -> tuple[tuple[str, str], ...]:
    """cdr/cdr_manager.c: no linkedid among them."""
    return (
        ("AccountCode", ""),
        ("Source", row.src),
        ("Destination", row.dst),
        ("DestinationContext", row.context),
        ("CallerID", row.caller),
        ("Channel", row.channel),
        ("DestinationChannel", row.peer),
        ("LastApplication", row.application),
        ("LastData", row.data),
        ("StartTime", local(row.started, zone)),
        ("AnswerTime", local(row.answered, zone)),
        ("EndTime", local(row.ended, zone)),
        ("Duration", str(row.duration)),
        ("BillableSeconds", str(row.billsec)),
        ("Disposition", row.disposition),
        ("AMAFlags", "DOCUMENTATION"),
        ("UniqueID", row.uniqueid),
        ("UserField", row.userfield),
    )


def csv_line(row: Row, zone: tzinfo) -> bytes:
    """cdr/cdr_csv.c with loguniqueid, loguserfield and newcdrcolumns: 21 columns, an empty answer is bare nothing."""
    texts = ["", row.src, row.dst, row.context, row.caller, row.channel, row.peer, row.application, row.data]
    times = [local(row.started, zone), local(row.answered, zone), local(row.ended, zone)]
    columns = [_quoted(text) for text in texts]
    columns += [_quoted(time) if time else "" for time in times]
    columns += [str(row.duration), str(row.billsec), _quoted(row.disposition), _quoted("DOCUMENTATION")]
    columns += [_quoted(row.uniqueid), _quoted(row.userfield), _quoted(""), _quoted(row.linkedid), str(row.sequence)]
    return (",".join(columns) + "\n").encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
