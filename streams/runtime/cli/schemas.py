"""`trunkline schemas`: the contract, checked, shown, and pushed to a registry."""

import os
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from schemas.compatibility import conflicts
from schemas.topics import manifest
from streams.clients.registry import Registration, Registry
from streams.runtime.clock import SystemClock
from streams.runtime.errors import Fatal, Reject

app = typer.Typer(help="The Avro schemas of the topics.", no_args_is_help=True)


@app.command("check")
def check() -> None:
    """Check that every released version of every schema can read every other (FULL_TRANSITIVE)."""
    found = [line for schema in manifest().schemas.values() for line in conflicts(schema)]
    if found:
        raise Fatal("\n".join(found))
    versions = sum(len(schema.ids) for schema in manifest().schemas.values())
    typer.echo(f"{len(manifest().schemas)} schemas, {versions} released versions: all read each other")


@app.command("show")
def show(record: Annotated[str, typer.Argument(help="A record such as Call; none: all of them.")] = "") -> None:
    """The schemas and their numbers, or one schema as Avro JSON."""
    known = manifest().schemas
    if record:
        if record not in known:
            raise Reject(f"there is no record {record}; there are: {', '.join(known)}")
        typer.echo(known[record].text(), nl=False)
        return
    table = Table(title="schemas")
    for column in ("record", "version", "number on the wire", "topics"):
        table.add_column(column)
    for schema in known.values():
        topics = ", ".join(t.name for t in manifest().topics.values() if t.record == schema.record)
        for version, number in schema.ids:
            table.add_row(schema.record, str(version), str(number), topics)
    Console().print(table)


@app.command("push")
def push(
    url: Annotated[
        str,
        typer.Argument(
            envvar="TRUNKLINE_REGISTRY_URL", help="http://host:8081, or Apicurio's http://host:8080/apis/ccompat/v7."
        ),
    ],
) -> None:
    """Register every released version under its own number in a Confluent-compatible registry.

    Running it again changes nothing. User and password, where needed, come from TRUNKLINE_REGISTRY_USER and
    TRUNKLINE_REGISTRY_PASSWORD.
    """
    with httpx.Client(timeout=30, auth=_auth()) as http:
        for line in Registry(url, http).push(registrations(), SystemClock().now()):
            typer.echo(line)
    typer.echo("the registry has every version under its number")


def registrations() -> list[Registration]:
    """Every released version of the value of every topic, by the usual subject names (`<topic>-value`)."""
    schemas = manifest().schemas
    return [
        Registration(subject=f"{topic.name}-value", version=v, number=n, text=schemas[topic.record].text(v))
        for topic in manifest().topics.values()
        for v, n in schemas[topic.record].ids
    ]


def _auth() -> tuple[str, str] | None:
    user = os.environ.get("TRUNKLINE_REGISTRY_USER")
    return (user, os.environ.get("TRUNKLINE_REGISTRY_PASSWORD", "")) if user else None
