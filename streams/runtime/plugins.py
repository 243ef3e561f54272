"""Connectors are found by their file name: no registry to edit, no side effect of an import."""

import pkgutil
from importlib import import_module
from typing import TypeVar

from streams.runtime.errors import Fatal

T = TypeVar("T")


def names(package: str) -> list[str]:
    """The modules of a package (`producers.pbx`, `sinks.crm`, …) that may be connectors, without importing them."""
    return sorted(m.name for m in pkgutil.iter_modules(import_module(package).__path__) if not m.name.startswith("_"))


def known(package: str, kind: type) -> list[str]:
    """The connectors of a package: its modules that hold a value of that type."""
    return [name for name in names(package) if _values(package, name, kind)]


def load(package: str, name: str, kind: type[T]) -> T:
    """The single value of type `kind` in `package.name`.

    Raises Fatal when there is no such module, or when it does not hold exactly one such value.
    """
    found = _values(package, name, kind) if name in names(package) else []
    if not found:
        raise Fatal(f"there is no connector {name!r}; there are: {', '.join(known(package, kind))}")
    if len(found) > 1:
        raise Fatal(f"{package}.{name} must hold exactly one {kind.__name__}, not {len(found)}")
    return found[0]


def _values(package: str, name: str, kind: type[T]) -> list[T]:
    return [value for value in vars(import_module(f"{package}.{name}")).values() if isinstance(value, kind)]
