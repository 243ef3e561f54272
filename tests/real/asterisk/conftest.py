"""The benches as fixtures: built and started by the first test that asks, stopped after the last."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.real.asterisk import evening as evenings
from tests.real.asterisk.bench import Bench
from tests.real.asterisk.evening import Evening
from tests.real.asterisk.folder import VERSIONS, asterisk_folder
from tests.real.asterisk.road import Arrived, Road, running
from tests.support.debian import UnavailableError

FolderOf = Callable[[str], Path]


@pytest.fixture(scope="session")
def folder_of(pytestconfig: pytest.Config) -> FolderOf:
    """The folder that holds an Asterisk of that version; skips, with the reason, where it cannot be built."""
    manager = pytestconfig.pluginmanager
    terminal, capture = manager.getplugin("terminalreporter"), manager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(line)

    def build(version: str) -> Path:
        try:
            return asterisk_folder(say, version)
        except UnavailableError as reason:
            pytest.skip(f"no Asterisk {version} here: {reason}")

    return build


@pytest.fixture(scope="session")
def folder(folder_of: FolderOf) -> Path:
    """The folder of the version that everything but the scenarios runs on."""
    return folder_of("16")


@pytest.fixture(scope="session")
def asterisk(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A PBX of its own with carrier, customers and telephones around it, shared by the session."""
    with _bench(folder, tmp_path_factory.mktemp("asterisk")) as bench:
        yield bench


@contextmanager
def _bench(folder: Path, home: Path) -> Iterator[Bench]:
    bench = Bench(folder=folder, home=home)
    try:
        bench.start()
        yield bench
    finally:
        bench.stop()


@pytest.fixture(scope="module")
def road(asterisk: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """Everything from that PBX to the warehouse and the CRM, of the module's own: what is in it, the module has played."""
    with running(asterisk, tmp_path_factory.mktemp("road")) as road:
        yield road


Followed = tuple[Evening, Arrived]


@pytest.fixture(scope="session")
def followed(asterisk: Bench, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """Every story on that PBX, and what stood in the warehouse and in the CRM at the end of the evening."""
    with running(asterisk, tmp_path_factory.mktemp("evening")) as road:
        evening = evenings.play(asterisk)
        return evening, road.arrived(evening.truths.values())


@pytest.fixture(scope="session")
def evening_of(
    request: pytest.FixtureRequest, folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Evening]:
    """Every story on an Asterisk of that version, played once however many tests ask."""

    @cache
    def play(version: str) -> Evening:
        if version == "16":
            followed: Followed = request.getfixturevalue("followed")
            return followed[0]
        with _bench(folder_of(version), tmp_path_factory.mktemp(f"asterisk-{version}")) as bench:
            return evenings.play(bench)

    return play


@pytest.fixture(scope="session", params=VERSIONS)
def evening(request: pytest.FixtureRequest, evening_of: Callable[[str], Evening]) -> Evening:
    """The evening on each version of Asterisk."""
    version: str = request.param
    return evening_of(version)
