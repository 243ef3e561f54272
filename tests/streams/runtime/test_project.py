"""The project's own order: strictness is on, nothing is orphaned, the docs name what there is."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from streams.runtime import reference

ROOT = Path(reference.__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = ("producers", "streams", "schemas", "sinks", "tests")
SOURCES = [p for room in ROOMS for p in (ROOT / room).rglob("*.py")]
TESTS = [p for p in SOURCES if p.name.startswith("test_") or p.name.endswith("_laws.py")]


def test_strictness_is_on() -> None:
    """A misspelt switch would be off without anybody noticing."""
    tool = PYPROJECT["tool"]
    assert tool["ruff"]["lint"]["select"] == ["ALL"]
    assert tool["mypy"]["strict"] is True
    assert set(tool["mypy"]["packages"]) == set(ROOMS)
    assert {"--strict-markers", "--strict-config", "--disable-socket"} <= set(tool["pytest"]["ini_options"]["addopts"])
    assert tool["pytest"]["ini_options"]["filterwarnings"][0] == "error"
    assert tool["importlinter"]["contracts"][0]["layers"] == ["producers | sinks", "streams", "schemas"]


def test_every_ignore_has_a_reason() -> None:
    """In pyproject.toml each ignored rule stands with a comment."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("[tool.ruff.lint]")[1].split("ignore = [")[1].split("\n]")[0]
    assert [line for line in block.splitlines() if line.strip() and "#" not in line] == []


def test_every_dependency_has_a_reason() -> None:
    """What comes in says why, in its line."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("\ndependencies = [")[1].split("\n]")[0]
    assert [line for line in block.splitlines() if line.strip() and "#" not in line] == []


def test_the_lock_has_hashes_and_no_address() -> None:
    """It installs the same everywhere, from whatever registry a site uses."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    pins = re.findall(r"^[a-z0-9][a-z0-9._-]*==", lock, re.MULTILINE)
    assert len(pins) > 30
    assert lock.count("--hash=sha256:") >= len(pins)


def test_every_folder_of_tests_is_a_package_and_deploy_has_no_python() -> None:
    """Two test files of the same name must not collide; deploy is read by other tools."""
    folders = {p.parent for p in (ROOT / "tests").rglob("*.py")}
    assert [str(f) for f in folders if not (f / "__init__.py").exists()] == []
    assert list((ROOT / "deploy").rglob("*.py")) == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_stop_at_three_hundred_lines(file: Path) -> None:
    """A longer one holds two ideas."""
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("file", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_are_the_fields_own(file: Path) -> None:
    """No room for whatever fits nowhere."""
    assert not {"utils", "helpers", "manager", "base", "common_utils"} & set(
        file.relative_to(ROOT).with_suffix("").parts
    )


@pytest.mark.parametrize("file", TESTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_test_has_a_sentence(file: Path) -> None:
    """It says why anybody would care."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if f.name.startswith("test_") and not ast.get_docstring(f)] == []


@pytest.mark.parametrize(
    "file",
    [p for p in SOURCES if "tests" not in p.parts and p.name != "clock.py"],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_time_and_chance_arrive_as_arguments(file: Path) -> None:
    """Only the clock reads the machine's time, and nobody rolls hidden dice."""
    text = file.read_text(encoding="utf-8")
    assert not re.search(
        r"\btime\.(time|time_ns|monotonic|sleep)\(|datetime\.(now|utcnow)\(|\brandom\.(random|choice|uniform)\(", text
    )


def test_the_reference_has_every_key() -> None:
    """`python -m streams.runtime.reference > deploy/config/reference.toml` makes it so."""
    file = ROOT / "deploy/config/reference.toml"
    assert file.read_text(encoding="utf-8") == reference.reference()
    tomllib.loads(file.read_text(encoding="utf-8"))


def test_every_key_is_explained() -> None:
    """A key without a sentence is a riddle."""
    undocumented = [
        f"{section}.{name}.{key}"
        for section, name, kind in reference.connectors()
        for key, _ in reference._defaults(kind)
        if not reference.docs(kind).get(key)
    ]
    assert undocumented == []


def test_every_command_is_in_the_readme_and_has_help() -> None:
    """What cannot be found is not there."""
    from streams.runtime.cli import app  # noqa: PLC0415 - loads every command, which other tests here do not need

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path, command in _commands(get_command(app), "trunkline"):
        assert command.help, path
        assert path in readme, path


def _commands(command: Any, path: str) -> list[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if not inner:
        return [(path, command)]
    return [found for name, c in inner.items() for found in _commands(c, f"{path} {name}")]
