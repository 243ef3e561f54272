"""The wheel, not the work tree, is what people install: it must carry its data and work from any folder."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.runtime import reference

ROOT = Path(reference.__file__).parents[2]
ROOMS = ("producers", "streams", "schemas", "sinks")
Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make wheel` does."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Python with the wheel instead of the work tree, in another folder."""
    site, elsewhere = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
        environ = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=elsewhere, env=environ, check=False, capture_output=True, text=True, timeout=60
        )

    where = python("-c", "import streams; print(streams.__file__)").stdout
    assert where.startswith(str(site)), where
    return python


def test_every_file_of_the_rooms_is_in_it_and_nothing_else(wheel: Path) -> None:
    """Schemas, examples, topics, migrations, queries and templates are data that code reads."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    tree = {
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert packed == tree
    for kind in (".avsc", ".toml", ".json", ".sql", ".html", ".css"):
        assert any(name.endswith(kind) for name in packed), kind


def test_licence_and_command_are_in_it(wheel: Path) -> None:
    """What the licence asks for, and what a person types."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entries,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "trunkline = streams.runtime.cli:main" in archive.read(entries).decode()
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert [name for name in names if name.endswith("licenses/NOTICE")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("schemas", "check"), "all read each other"),
        (("schemas", "show", "Call"), '"name": "Call"'),
        (("topics", "list"), "call-events-enriched.dead"),
        (("simulate", "asterisk", "--help"), "truth"),
    ],
)
def test_commands_work_from_it(run: Run, arguments: tuple[str, ...], told: str) -> None:
    """Without the work tree."""
    done = run("-m", "streams.runtime.cli", *arguments)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout


def test_data_is_read_from_it(run: Run) -> None:
    """Migrations, sample reports, examples, connectors and pages."""
    program = """
from importlib.resources import files
from schemas.samples import samples
from schemas.topics import manifest
from sinks.clickhouse.migrate import migrations
from streams.runtime.reference import reference
print(len(migrations()), len(list(files("sinks").joinpath("clickhouse/queries").iterdir())))
print(all(samples(topic) for topic in manifest().topics))
print("[crm.sandbox]" in reference(), files("streams").joinpath("embedded/crm/templates/layout.html").is_file())
"""
    done = run("-c", program)
    kept = [str(len(list((ROOT / "sinks/clickhouse" / folder).glob("*.sql")))) for folder in ("migrations", "queries")]
    assert done.stdout.split() == [*kept, "True", "True", "True"], done.stderr
