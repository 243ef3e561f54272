"""Reading the warehouse: a client with the set-up's address, and rows with bound parameters only."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from streams.runtime.config import ClickHouse
from streams.runtime.errors import Fatal

logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())  # what it has to say is in its exceptions


def connect(settings: ClickHouse) -> Client:
    """A client of the configured server; Fatal tells what to do when it does not answer."""
    try:
        client = clickhouse_connect.get_client(
            dsn=settings.url,
            username=settings.user,
            password=settings.password.get_secret_value(),
            autogenerate_session_id=False,
        )
    except (DatabaseError, OperationalError) as e:
        away = isinstance(e, OperationalError) and e.__cause__ is not None
        reason = f"no answer: {type(e.__cause__).__name__}" if away else str(e).splitlines()[0][:200]
        raise Fatal(f"ClickHouse at {settings.url} does not let us in ({reason}); is it up? (`trunkline up`)") from None
    client.database = settings.database  # not before: it is made by the sink, perhaps later than this
    return client


def rows(client: Client, sql: str, parameters: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of one query in the set-up's database, by column name. Values go as bound parameters (`{name:Type}`)."""
    try:
        result = client.query(sql, parameters=dict(parameters or {}))
    except DatabaseError as e:
        raise Fatal(f"ClickHouse refused the query: {str(e).splitlines()[0][:300]}") from None
    for row in result.result_rows:
        yield dict(zip(result.column_names, row, strict=True))
