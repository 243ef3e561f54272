"""What a person sees at the end of the demo, and what a script gets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.runtime.demo.judge import Verdict
from streams.runtime.logs import printable

_MOST_SHOWN = 20
_MOST_ROWS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Median and 99th percentile in seconds; None where nothing was measured."""

    ring_p50: float | None
    ring_p99: float | None
    journal_p50: float | None
    journal_p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A sample query of the warehouse with its rows."""

    title: str
    sql: str
    rows: Sequence[Mapping[str, Any]]


def as_json(verdict: Verdict, delays: Delays, answers: Sequence[Answer]) -> dict[str, Any]:
    return {
        "ok": not verdict.differing,
        "calls": asdict(verdict),
        "delays_s": asdict(delays),
        "queries": {a.title: list(a.rows) for a in answers},
    }


def show(console: Console, verdict: Verdict, delays: Delays, answers: Sequence[Answer]) -> None:
    """The tables of the end, and one sentence whether every call arrived."""
    counts = Table(title="One call, one record, one entry", show_header=False)
    for what, count in (
        ("calls that happened (the simulator's truth)", verdict.happened),
        ("calls in calls_latest (ClickHouse)", verdict.in_warehouse),
        ("entries in the CRM's journal", verdict.in_journal),
        ("customers recognised", verdict.matches.get("matched", 0)),
        ("several customers share the number, none guessed", verdict.matches.get("ambiguous", 0)),
        ("unknown to the CRM", verdict.matches.get("none", 0)),
        ("number withheld", verdict.matches.get("hidden", 0)),
        ("calls inside the house", verdict.matches.get("internal", 0)),
        ("agents' breaks and returns that happened", verdict.breaks),
        ("of these in agent_states, to the microsecond", verdict.breaks_told),
    ):
        counts.add_row(what, str(count))
    counts.add_section()
    counts.add_row("ring → enriched, p50 / p99", f"{_ms(delays.ring_p50)} / {_ms(delays.ring_p99)}")
    counts.add_row("hang-up → journal, p50 / p99", f"{_ms(delays.journal_p50)} / {_ms(delays.journal_p99)}")
    console.print(counts)
    for answer in answers:
        console.print(_answer(answer))
    if not verdict.differing:
        console.print(f"[bold green]All {verdict.happened} calls arrived once, and as they happened.[/]")
        return
    console.print(f"[bold red]{len(verdict.differing)} calls differ:[/]")
    for call_id, reason in list(verdict.differing.items())[:_MOST_SHOWN]:
        console.print(printable(f"  {call_id}: {reason}"), markup=False, highlight=False)
    if len(verdict.differing) > _MOST_SHOWN:
        console.print(f"  … and {len(verdict.differing) - _MOST_SHOWN} more; --json shows all")


def _answer(answer: Answer) -> Table:
    table = Table(title=answer.title)
    for column in answer.rows[0] if answer.rows else ["nothing"]:
        table.add_column(column.replace("_", " "))
    for row in answer.rows[:_MOST_ROWS]:
        table.add_row(
            *(
                "" if v is None else f"{v:.1f}" if isinstance(v, float) else Text(printable(str(v)))
                for v in row.values()
            )
        )
    if (more := len(answer.rows) - _MOST_ROWS) > 0:
        table.caption = f"and {more} more"
    return table


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
