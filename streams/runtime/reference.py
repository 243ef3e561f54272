"""`deploy/config/reference.toml`, rendered from the settings' own docstrings: every key is documented once, in the code.

python -m streams.runtime.reference > deploy/config/reference.toml
"""

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from streams.runtime import config, plugins
from streams.runtime.connectors import SECTIONS, kind, load

_HEAD = """\
# Every key of Trunkline's configuration with its default and its meaning.
# Each can be set from the environment: [kafka] bootstrap is TRUNKLINE_KAFKA__BOOTSTRAP, [pbx.main] host is
# TRUNKLINE_PBX__MAIN__HOST. A secret never stands in this file: it comes from the environment, or from the file that
# the key with _file at its end names. Keys that are commented out have no default.
"""
_SECTIONS: dict[str, type[BaseModel]] = {
    "kafka": config.Kafka,
    "clickhouse": config.ClickHouse,
    "streams.enrich": config.Enrich,
    "streams.fold": config.Fold,
    "streams.agents": config.Agents,
    "logs": config.Logs,
    "metrics": config.Metrics,
}


def reference() -> str:
    """The file as it should be."""
    return _HEAD + "\n".join(_sections()) + "\n"


def docs(of: type) -> dict[str, str]:
    """The docstring under each field of a class, on one line; inherited fields too."""
    found: dict[str, str] = {}
    for parent in reversed([c for c in of.__mro__ if c not in (object, BaseModel)]):
        last = ""
        for node in ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0].body:  # type: ignore[attr-defined]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                last = node.target.id
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
                found[last] = " ".join(str(node.value.value).split())
                last = ""
    return found


def connectors() -> Iterator[tuple[str, str, Any]]:
    """(kind of section, connector's name, its Config) of every connector there is."""
    for section, (package, _, _) in SECTIONS.items():
        for name in plugins.known(package, kind(section)):
            yield section, name, load(section, name).config


def _sections() -> Iterator[str]:
    yield from _section("", config.Settings)
    for name, own in _SECTIONS.items():
        yield from _section(name, own)
    for section, name, own in connectors():
        yield f'\n# One such section for each {section.upper()}; "{name}" is a name of your choice.\n[{section}.{name}]'
        yield f'{"adapter" if section == "pbx" else "connector"} = "{name}"'
        yield from _keys(own)
        if section == "pbx":
            yield from _keys(config.Pbx, "agents")
            yield from _section(f"pbx.{name}.numbers", config.Numbers)


def _section(name: str, kind: type) -> Iterator[str]:
    if name:
        yield f"\n[{name}]"
    yield from _keys(kind)


def _keys(kind: type, *only: str) -> Iterator[str]:
    explained, hints = docs(kind), get_type_hints(kind)
    for key, default in _defaults(kind):
        hint = hints[key]
        if _is_section(hint) or (only and key not in only):
            continue
        yield from textwrap.wrap(explained.get(key, ""), 116, initial_indent="# ", subsequent_indent="# ")
        if hint in (SecretStr, SecretStr | None):
            yield f'#{key}_file = "/run/secrets/{key}"'
        elif default is None or default is MISSING:
            yield f"#{key} ="
        else:
            yield f"{key} = {toml(default)}"


def _is_section(hint: Any) -> bool:
    """Whether the key is a section of its own, or sections by name."""
    inner = get_args(hint)[-1] if get_origin(hint) is dict else hint
    return isinstance(inner, type) and issubclass(inner, BaseModel)


def _defaults(kind: type) -> Iterator[tuple[str, Any]]:
    if is_dataclass(kind):
        for f in fields(kind):
            if f.init:
                yield f.name, f.default if f.default_factory is MISSING else f.default_factory()
    elif issubclass(kind, BaseModel):
        for key, info in kind.model_fields.items():
            yield key, MISSING if info.default is PydanticUndefined else info.default


def toml(value: Any) -> str:
    """A value as TOML writes it; whatever a text holds, it stays one text."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    if isinstance(value, str) and "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"  # a regular expression stays readable
    text = json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")  # the one character that JSON takes as it is and TOML does not


if __name__ == "__main__":
    sys.stdout.write(reference())
