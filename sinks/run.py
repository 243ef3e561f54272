"""Which sink a name means: `clickhouse`, or a CRM as the configuration names it."""

import threading
from importlib import import_module

from streams.runtime.clock import Clock
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal

_CRM = "crm."


def run(name: str, settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Run one sink in this thread until `stop`; raises Fatal when a person is needed, or when nothing has that name."""
    crm = name.removeprefix(_CRM)
    if name == "clickhouse":
        import_module("sinks.clickhouse.sink").run(settings, clock, stop)
    elif crm in settings.crm:
        import_module("sinks.crm.run").run(crm, settings, clock, stop)
    else:
        names = ", ".join(["clickhouse", *(_CRM + each for each in settings.crm)])
        raise Fatal(f"no sink {name!r}; this configuration has: {names}")
