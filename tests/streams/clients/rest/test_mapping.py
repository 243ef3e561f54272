"""A mapping that cannot work is told with the key that is wrong."""

import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from sinks.crm.journal import FIELDS
from streams.clients.rest import template
from streams.clients.rest.load import load, shipped
from streams.clients.rest.mapping import JournalField, Mapping
from streams.clients.rest.session import Config
from streams.runtime.errors import Fatal
from streams.runtime.validation import validated
from tests.streams.clients.rest import example


def file(folder: Path, text: str) -> str:
    made = folder / "crm.toml"
    made.write_text(text, encoding="utf-8")
    return str(made)


def test_the_fields_are_those_of_the_journal() -> None:
    """No mapping can name another, or miss one that there is."""
    assert get_args(JournalField) == FIELDS


def test_every_mapping_that_comes_with_the_project_can_be_read() -> None:
    """By its name."""
    assert "sandbox" in shipped()
    assert all(isinstance(load(name), Mapping) for name in shipped())


def test_the_guides_mapping_can_be_read(tmp_path: Path) -> None:
    """By its file."""
    assert load(file(tmp_path, example.text())).auth.header == "x-api-key"


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        ("journal.find.pth", "/x", "journal.find.pth: there is no such key"),
        ("journal.put.path", "no/slash", "journal.put.path: String should match"),
        ("journal.put.path", "/a?b=c", "journal.put.path: String should match"),
        ("journal.put.body", {"a": ["{call_idd}"]}, "journal: put: there is no {call_idd} here; there are: call_id,"),
        ("journal.patch.path", "/v2/calls", "journal: patch: it says nowhere {external_id}"),
        ("journal.confirm.query", {"q": "{number}"}, "journal: confirm: there is no {number} here"),
        ("journal.confirm.contains", {"a": "{number}"}, "journal: confirm: there is no {number} here"),
        ("journal.confirm.query", {"q": "{call_id.x}"}, "journal.confirm: {call_id.x}: only a name in small letters"),
        (
            "journal.confirm.query",
            {"q": "{call_id}", "p": "{cursor}"},
            "journal.confirm: pages and {cursor} come together",
        ),
        ("journal.find.pages", {"kind": "token"}, "journal.find.pages: pages: kind token needs `next`"),
        ("journal.find.pages", {"kind": "offset", "next": "x"}, "journal.find.pages: pages: kind offset has no `next`"),
        ("journal.find.pages", {"kind": "number", "first": "x"}, "journal.find.pages: pages: first is no number"),
        ("journal.fields.subjekt", "x", "journal.fields.subjekt.[key]: Input should be 'contact_id'"),
        (
            "journal.fields.direction",
            {"to": "d", "values": {"a": "x", "b": "x"}},
            "journal.fields.direction: values: two",
        ),
        (
            "journal.fields.duration",
            {"to": "d", "type": "float"},
            "journal.fields.duration.type: Input should be 'text'",
        ),
        ("errors", [{"then": "retry"}], "errors.0: a rule without status, code or header"),
        ("errors", [{"status": ["4x"], "then": "retry"}], "errors.0.status.0: String should match"),
        ("errors", [{"status": [400], "then": "shrug"}], "errors.0.then: Input should be 'ok'"),
        ("code", "", "the file: errors: a rule goes by a code, and `code` does not say"),
        ("contacts.get.path", "/v2/people", "contacts: get: it says nowhere {contact_id}"),
        ("contacts.mark", {"path": "/m", "token": "t", "time": "t"}, "contacts: mark and changes come together"),
        ("auth.header", "a b", "auth.header: String should match"),
    ],
)
def test_a_wrong_key_is_told(tmp_path: Path, where: str, value: Any, told: str) -> None:
    """With its whole path in the file."""
    tree = tomllib.loads(example.text())
    template.put(tree, where, value)
    with pytest.raises(ValueError, match=r".+") as raised:
        load(file(tmp_path, _toml(tree)))
    assert told in str(raised.value)
    assert str(raised.value).startswith("crm.toml: ")


@pytest.mark.parametrize("missing", ["find", "put", "patch", "drop", "confirm", "fields"])
def test_what_is_missing_is_told(tmp_path: Path, missing: str) -> None:
    """Every verb of the journal is needed."""
    tree = tomllib.loads(example.text())
    del tree["journal"][missing]
    with pytest.raises(ValueError, match=rf"journal\.{missing}: Field required"):
        load(file(tmp_path, _toml(tree)))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "nothing",
            "crm.main.mapping: 'nothing' is no file (*.toml), and those that come with the project are: sandbox",
        ),
        ("/nowhere/x.toml", "crm.main.mapping: cannot read /nowhere/x.toml: filenotfounderror"),
        ("../sandbox", "is no file"),
    ],
)
def test_the_section_tells_a_mapping_that_is_not_there(name: str, told: str) -> None:
    """Before anything is started."""
    with pytest.raises(Fatal) as raised:
        validated(Config, {"mapping": name}, "crm.main")
    assert told in str(raised.value)


def test_a_file_that_is_no_toml_is_told(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(ValueError, match=r"crm\.toml is not TOML"):
        load(file(tmp_path, "a = "))


def _toml(value: Any) -> str:
    """Enough of TOML for the cases above."""
    return "\n".join(f"{_key(key)} = {_inline(one)}" for key, one in value.items())


def _key(key: str) -> str:
    return f'"{key}"'


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'
