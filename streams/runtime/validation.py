"""A tree of settings as the values that it stands for; whatever is wrong in it is told with its key and the fix."""

import difflib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from streams.runtime.errors import Fatal

PREFIX = "TRUNKLINE_"
SECRETS = ("secret", "password", "sasl_password", "token", "api_key", "client_secret")
"""Keys that never stand in the file."""
C = TypeVar("C")


def way_in(path: str) -> str:
    """How a secret is given."""
    env = PREFIX + path.upper().replace(".", "__").replace("-", "_")
    return f"set {env}, or {path.rpartition('.')[2]}_file to a file that holds it"


def validated(kind: type[C], tree: Mapping[str, Any], where: str) -> C:
    errors: list[Any] = []
    if is_dataclass(kind):  # pydantic lets a plain dataclass ignore what it does not know; we do not
        unknown = set(tree) - {f.name for f in fields(kind)}
        errors = [{"type": "extra_forbidden", "loc": (key,)} for key in sorted(unknown)]
    try:
        value = TypeAdapter(kind).validate_python(_split_lists(kind, tree))
    except ValidationError as e:
        errors += e.errors()
    if errors:
        raise Fatal("\n".join(_explain(kind, error, where) for error in errors))
    return value


def _split_lists(kind: type, tree: Any) -> Any:
    """The environment has no lists: a comma-separated text stands for a tuple."""
    if not isinstance(tree, Mapping):
        return tree
    hints: dict[str, Any] = get_type_hints(kind)
    done: dict[str, Any] = {}
    for key, value in tree.items():
        hint = hints.get(key)
        if isinstance(value, str) and get_origin(hint) is tuple:
            done[key] = tuple(part.strip() for part in value.split(",") if part.strip())
        elif isinstance(hint, type) and issubclass(hint, BaseModel):
            done[key] = _split_lists(hint, value)
        elif get_origin(hint) is dict and isinstance(value, Mapping):
            done[key] = {k: _split_lists(get_args(hint)[1], v) for k, v in value.items()}
        else:
            done[key] = value
    return done


def _explain(kind: type, error: Any, where: str) -> str:
    path = [str(p) for p in error["loc"]] or ["these keys"]  # a check across keys has no place of its own
    name = where + ("." if where else "") + ".".join(path)
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        close = difflib.get_close_matches(path[-1], _keys(kind, path[:-1]), n=1)
        return f"{name}: there is no such key; " + (f"did you mean {close[0]}?" if close else "take it out")
    if error["type"] in ("missing", "missing_argument"):
        return f"{name}: is needed and missing; " + (way_in(name) if path[-1] in SECRETS else "add it")
    given = "" if path[-1] in SECRETS else f" (given: {error['input']!r})"
    return f"{name}: {error['msg'].lower().removeprefix('value error, ')}{given}; see reference.toml for what it takes"


def _keys(kind: Any, path: list[str]) -> list[str]:
    for step in path:
        hint = get_type_hints(kind).get(step) if isinstance(kind, type) else None
        kind = hint if hint is not None else getattr(kind, "__args__", (None, kind))[1]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return list(kind.model_fields)
    return [f.name for f in fields(kind)]
