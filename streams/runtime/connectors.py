"""The connectors that a configuration names, and their own sections checked before anything is started.

They live in the layers above, which this one must not know: they are found by name.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from streams.runtime import plugins
from streams.runtime.config import Crm, Pbx, Settings, connector_config
from streams.runtime.errors import Fatal

SECTIONS = {
    "pbx": ("producers.pbx", "producers.adapter", "Adapter"),
    "crm": ("sinks.crm", "sinks.crm.connector", "Connector"),
}
"""Package of the connectors of each kind of section, and where the type of their values is."""

_TAKEN = {"clickhouse", "kafka", "logs", "secrets", "slots"}
"""Folders in the data directory, and roles, that are there already."""


def kind(section: str) -> type[Any]:
    """The type of the connectors of `pbx` or `crm`."""
    _, module, name = SECTIONS[section]
    found: type[Any] = getattr(import_module(module), name)
    return found


def load(section: str, name: str) -> Any:
    """A connector of `pbx` or `crm`; Fatal when there is none of that name."""
    return plugins.load(SECTIONS[section][0], name, kind(section))


def configured(settings: Settings, section: str, name: str) -> Any:
    """The validated `Config` of [section.name]; Fatal names each wrong key and the fix."""
    where = f"{section}.{name}"
    own: Pbx | Crm = settings.pbx[name] if section == "pbx" else settings.crm[name]
    chosen = "adapter" if isinstance(own, Pbx) else "connector"
    try:
        connector = load(section, getattr(own, chosen))
    except Fatal as e:
        raise Fatal(f"{where}.{chosen}: {e}") from None
    config = connector_config(connector.config, own, where)
    if section == "pbx":
        connector.feed(config)  # chooses a transport, and reads its certificates; opens nothing
    return config


def faults(settings: Settings) -> Iterator[tuple[str, str]]:
    """(section, what is wrong with it and the fix) for every section of a connector that cannot work."""
    for section, names in (("pbx", settings.pbx), ("crm", settings.crm)):
        for name in names:
            where = f"{section}.{name}"
            if name in _TAKEN or (section == "crm" and name in settings.pbx):
                yield where, f"{where}: the name {name} is taken; choose another"
            try:
                configured(settings, section, name)
            except Fatal as e:
                yield where, str(e)
