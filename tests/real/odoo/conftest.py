"""A real Odoo as fixtures: built and started by the first test that asks, stopped after the last."""

from collections.abc import Iterator

import pytest

from tests.real.odoo.folder import odoo_folder
from tests.real.odoo.instance import Instance
from tests.support.debian import UnavailableError


@pytest.fixture(scope="session")
def odoo(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An Odoo of its own, shared by the session; skips, with the reason, where none can be built."""
    manager = pytestconfig.pluginmanager
    terminal, capture = manager.getplugin("terminalreporter"), manager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(line)

    try:
        folder = odoo_folder(say)
    except UnavailableError as reason:
        pytest.skip(f"no Odoo here: {reason}")
    instance = Instance(folder=folder, home=tmp_path_factory.mktemp("odoo"))
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()
