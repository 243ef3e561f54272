"""`trunkline topics`: the manifest on the cluster."""

import typer
from rich.console import Console
from rich.table import Table

from schemas.topics import manifest
from streams.runtime import kafka
from streams.runtime import topics as manifest_on_cluster
from streams.runtime.cli.common import Config, settings

app = typer.Typer(help="The topics: what they are, and making a cluster so.", no_args_is_help=True)


@app.command("apply")
def apply(config: Config = None) -> None:
    """Create missing topics and mend their settings; nothing is ever shrunk or deleted."""
    loaded = settings(config)
    done = list(manifest_on_cluster.apply(kafka.admin(loaded.kafka), loaded.kafka))
    for line in done:
        typer.echo(line)
    typer.echo(f"{len(done)} changes; {len(manifest().topics)} topics are as the manifest says")


@app.command("list")
def show() -> None:
    """Every topic: what it carries, its key, how long it is kept, who writes and who reads it."""
    table = Table(title="topics")
    for column in ("topic", "record", "key", "partitions", "kept", "written by", "read by"):
        table.add_column(column)
    for topic in manifest().topics.values():
        days = f" {topic.retention_days} d" if topic.retention_days else ""
        kept = topic.cleanup + days
        row = (topic.name, topic.record, topic.key, str(topic.partitions), kept)
        table.add_row(*row, ", ".join(topic.writer), ", ".join(topic.readers))
    Console().print(table)
