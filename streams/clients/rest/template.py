"""Text with {names} in it, filled so that no value can become anything but a value; and paths into JSON. Pure.

`{{` and `}}` stand for the braces themselves. In a path each value is one segment, quoted; a body is built of values.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from string import Formatter
from typing import Any
from urllib.parse import quote

from streams.runtime.errors import Reject

Values = Mapping[str, str | int | None]
_NAME = re.compile(r"[a-z_]+")


@lru_cache(maxsize=4096)
def parts(text: str) -> tuple[tuple[str, str], ...]:
    """(literal, name) pairs, a name empty where only literal text follows; ValueError where the text is no template."""
    done = []
    for literal, name, spec, conversion in Formatter().parse(text):
        if name is not None and (spec or conversion or not _NAME.fullmatch(name)):
            raise ValueError(f"{{{name}}}: only a name in small letters stands in braces; {{{{ is a brace itself")
        done.append((literal, name or ""))
    return tuple(done)


def names(template: Any) -> Iterator[str]:
    """Every name that a template asks for: a text, or tables and lists of them."""
    match template:
        case str():
            yield from (name for _, name in parts(template) if name)
        case Mapping():
            for value in template.values():
                yield from names(value)
        case list():
            for value in template:
                yield from names(value)


def text(template: str, values: Values) -> str:
    """The text with its names filled; a value that there is none of is empty."""
    return "".join(literal + ("" if not name else _said(values.get(name))) for literal, name in parts(template))


def path(template: str, values: Values) -> str:
    """The path with each value quoted. Reject where one would change which resource is meant: empty, "." or ".."."""
    done = []
    for segment in _segments(template):
        said = [(literal, _said(values.get(name)) if name else None) for literal, name in segment]
        filled = "".join(literal + quote(value or "", safe="") for literal, value in said)
        if any(value == "" for _, value in said) or (filled in {".", ".."}):
            raise Reject("an id cannot stand in a path: it is empty, or dots only")
        done.append(filled)
    return "/".join(done)


@lru_cache(maxsize=4096)
def _segments(template: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The parts of each segment, their literal text quoted."""
    return tuple(
        tuple((quote(literal, safe=":@!$&'()*+,;=~%"), name) for literal, name in parts(segment))
        for segment in template.split("/")
    )


def query(templates: Mapping[str, str], values: Values) -> dict[str, str]:
    """Parameters; one that asks for a value that there is none of (None) is left out."""
    return {
        key: text(template, values)
        for key, template in templates.items()
        if all(values.get(name) is not None for name in names(template))
    }


def body(template: Any, values: Values) -> Any:
    """JSON, built as values: a text that is one name alone becomes that value with its type."""
    match template:
        case str():
            found = parts(template)
            alone = len(found) == 1 and found[0][0] == "" and found[0][1]
            return values.get(alone) if alone else text(template, values)
        case Mapping():
            return {key: body(value, values) for key, value in template.items()}
        case list():
            return [body(value, values) for value in template]
        case _:
            return template


def _said(value: str | int | None) -> str:
    return "" if value is None else str(value)


def select(found: Any, where: str) -> list[Any]:
    """What stands at a dotted path: none, one, or with `[]` behind a step every item of a list there. "" is all of it.

    A step is a key, or a place in a list counted from 0.
    """
    many = [found]
    for step in where.split(".") if where else ():
        name, each = step.removesuffix("[]"), step.endswith("[]")
        many = [inner for one in many for inner in _step(one, name)]
        if each:
            many = [item for one in many if isinstance(one, list) for item in one]
    return many


def _step(found: Any, name: str) -> Sequence[Any]:
    if not name:
        return (found,)
    if isinstance(found, Mapping) and name in found:
        return (found[name],)
    if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
        return (found[int(name)],)
    return ()


def first(found: Any, where: str) -> Any:
    """The first that stands at a path, or None."""
    there = select(found, where)
    return there[0] if there else None


def put(tree: dict[str, Any], where: str, value: Any) -> None:
    """Set the value at a dotted path of keys, making the tables on the way."""
    *way, last = where.split(".")
    for step in way:
        tree = tree.setdefault(step, {})
    tree[last] = value
