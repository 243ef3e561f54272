"""Mappings from their files; one that cannot work is told with its key."""

import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from streams.clients.rest.mapping import Mapping

SHIPPED = Path(__file__).parent
"""Folder of the mappings that come with the project, each named after its CRM."""


@lru_cache
def load(name: str) -> Mapping:
    """A mapping by its file (*.toml), or one that comes with the project by its name; ValueError names every wrong key."""
    known = shipped()
    if not name.endswith(".toml") and name not in known:
        raise ValueError(f"{name!r} is no file (*.toml), and those that come with the project are: {', '.join(known)}")
    file = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    try:
        return Mapping.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as e:
        raise ValueError(f"cannot read {file}: {type(e).__name__}") from None
    except ValidationError as e:
        raise ValueError(f"{file.name}: {'; '.join(_faults(e))}") from None
    except ValueError as e:  # of TOML or of UTF-8
        raise ValueError(f"{file.name} is not TOML: {e}") from None


def shipped() -> list[str]:
    """Names of the mappings that come with the project."""
    return sorted(file.stem for file in SHIPPED.glob("*.toml"))


def _faults(e: ValidationError) -> Iterator[str]:
    for error in e.errors():
        key = ".".join(str(step) for step in error["loc"]) or "the file"
        told = (
            "there is no such key" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
        )
        yield f"{key}: {told}"
