"""What `make new-adapter` and `make new-sink` write: modules that import, and a first case that fails until filled."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from producers.adapter import Adapter
from sinks.crm.connector import Connector
from tests.support import scaffold
from tests.support.scaffold import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for room in ("producers/pbx", "sinks/crm"):
        (tmp_path / room).mkdir(parents=True)
    return tmp_path


def imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[file.stem]
    return module


@pytest.mark.parametrize(("kind", "value"), [("adapter", Adapter), ("sink", Connector)])
def test_what_is_written_is_a_connector_and_an_empty_case(root: Path, kind: str, value: type) -> None:
    """It imports at once, and the laws find a recording that is missing."""
    module, *fixtures = scaffold.scaffold(root, kind, "my_pbx")
    assert [type(found) for found in vars(imported(module)).values() if isinstance(found, value)] == [value]
    assert len(fixtures) == 2
    assert all(file.read_bytes() == b"" for file in fixtures)
    assert all("my_pbx" in file.relative_to(root).parts for file in fixtures)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "1a", "a-b", "a b", "a.b", "a\n"])
def test_a_name_that_is_no_module_is_refused(root: Path, name: str) -> None:
    """It would be a path, or could not be imported."""
    with pytest.raises(ValueError, match="lower-case letters"):
        scaffold.scaffold(root, "adapter", name)
    assert not [p for p in root.rglob("*") if p.is_file()]


def test_a_second_time_is_refused_and_changes_nothing(root: Path) -> None:
    """Somebody's work is in it."""
    module, *_ = scaffold.scaffold(root, "adapter", "mine")
    module.write_text("work", encoding="utf-8")
    with pytest.raises(ValueError, match="is there already"):
        scaffold.scaffold(root, "adapter", "mine")
    assert module.read_text(encoding="utf-8") == "work"


def test_a_fixture_folder_that_is_there_is_kept(root: Path) -> None:
    """Recordings may come before the code."""
    case = root / "tests/producers/pbx/mine/answered_inbound"
    case.mkdir(parents=True)
    (case / "frames.txt").write_text("recorded", encoding="utf-8")
    scaffold.scaffold(root, "adapter", "mine")
    assert (case / "frames.txt").read_text(encoding="utf-8") == "recorded"


def test_the_rooms_it_writes_to_are_there() -> None:
    """A moved room would take the new file with it."""
    for module, cases, *_ in scaffold._CASES.values():
        assert (ROOT / module).is_dir()
        assert (ROOT / cases).is_dir()
