"""The bench as a fixture: built and started by the first test that asks, stopped after the last."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.asterisk.bench import Bench
from tests.real.asterisk.folder import UnavailableError, asterisk_folder
from tests.real.asterisk.road import Road, running


@pytest.fixture(scope="session")
def folder(pytestconfig: pytest.Config) -> Path:
    """The folder that holds Asterisk; skips, with the reason, where it cannot be built."""
    manager = pytestconfig.pluginmanager
    terminal, capture = manager.getplugin("terminalreporter"), manager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(line)

    try:
        return asterisk_folder(say)
    except UnavailableError as reason:
        pytest.skip(f"no Asterisk here: {reason}")


@pytest.fixture(scope="session")
def asterisk(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A PBX of its own with carrier, customers and telephones around it, shared by the session."""
    bench = Bench(folder=folder, home=tmp_path_factory.mktemp("asterisk"))
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
