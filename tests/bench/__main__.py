"""`make bench`: each stage's events per second and CPU per event, beside the raw limits of the same run, and the aims.

Ratios count: broker, engine and program share one machine, so an absolute figure says as much of it as of us.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from streams.embedded.clickhouse import EmbeddedClickHouse
from streams.embedded.jars import default_cache
from streams.embedded.kafka import EmbeddedKafka
from tests.bench import agents, ami, clickhouse, fold, pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a figure should reach, at least or (`most`) at most."""

    bench: str
    figure: str
    value: float
    most: bool = False

    def reached(self, figures: dict[str, dict[str, float]]) -> bool:
        got = figures[self.bench][self.figure]
        return got <= self.value if self.most else got >= self.value


AIMS = (
    Aim(bench="AMI adapter", figure="cpu_us_per_event", value=100, most=True),
    Aim(bench="enrich", figure="enrich_share", value=0.5),
    Aim(bench="enrich", figure="enrich_p99_ms", value=150, most=True),
    Aim(bench="fold", figure="fold_events_per_s", value=30_000),
    Aim(bench="agents", figure="agents_events_per_s", value=30_000),
    Aim(bench="ClickHouse sink", figure="sink_of_raw_insert", value=0.8),
)


def main(
    only: Annotated[str, typer.Option(help="Only the bench whose name has this in it.")] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Measure every stage on the embedded Kafka and ClickHouse, on this machine."""
    console = Console(stderr=True)
    figures: dict[str, dict[str, float]] = {}
    with parts(console) as (kafka, url):
        benches: dict[str, Callable[[], dict[str, float]]] = {
            "AMI adapter": lambda: ami.bench(kafka),
            "enrich": lambda: pipeline.bench(kafka),
            "fold": fold.bench,
            "agents": agents.bench,
            "ClickHouse sink": lambda: clickhouse.bench(kafka, url),
        }
        for name, bench in benches.items():
            if only.lower() in name.lower():
                with console.status(name):
                    figures[name] = bench()
    if json:
        typer.echo(orjson.dumps(figures))
        return
    for name, found in figures.items():
        Console().print(table(name, found))
    for aim in AIMS:
        if aim.bench in figures:
            sign = "≤" if aim.most else "≥"
            word = "reached" if aim.reached(figures) else "NOT reached"
            typer.echo(f"{aim.bench}: {aim.figure} {sign} {aim.value:g}: {word}")


def table(name: str, figures: dict[str, float]) -> Table:
    shown = Table(title=name, show_header=False)
    for figure, value in figures.items():
        shown.add_row(figure.replace("_", " "), f"{value:,.0f}" if value >= 100 else f"{value:.2f}")
    return shown


@contextmanager
def parts(console: Console) -> Iterator[tuple[str, str]]:
    """A broker and an engine of the bench's own: bootstrap address and URL."""
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name:
        folder = Path(name)
        kafka = EmbeddedKafka(folder / "kafka", cache=default_cache(), progress=console.print)
        with kafka, EmbeddedClickHouse(folder / "clickhouse") as engine:
            yield kafka.bootstrap, engine.url


if __name__ == "__main__":
    typer.run(main)
