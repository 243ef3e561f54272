"""Connectors are found by their file name: no registry to edit, no side effect of an import."""

import pkgutil
from importlib import import_module
from typing import TypeVar

from streams.runtime.errors import Fatal

T = TypeVar("T")


def names(package: str) -> list[str]:
    """The connectors of a package (`producers.pbx`, `sinks.crm`, …), without importing them."""
    return sorted(m.name for m in pkgutil.iter_modules(import_module(package).__path__) if not m.name.startswith("_"))


def load(package: str, name: str, kind: type[T]) -> T:
    """The single value of type `kind` in `package.name`.

    Raises Fatal when there is no such module, or when it does not hold exactly one such value.
    """
    if name not in names(package):
        raise Fatal(f"no connector {name!r} in {package}; there are: {', '.join(names(package))}")
    found = [v for v in vars(import_module(f"{package}.{name}")).values() if isinstance(v, kind)]
    if len(found) != 1:
        raise Fatal(f"{package}.{name} must hold exactly one {kind.__name__}, not {len(found)}")
    return found[0]
