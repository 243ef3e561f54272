"""Every adapter that there is, under every law."""

from pathlib import Path

import pytest

from streams.runtime import plugins
from tests.contracts import adapter_laws as laws

NAMES = plugins.names(laws.PACKAGE)
CASES = [pytest.param(name, case, id=f"{name}-{case.name}") for name in NAMES for case in laws.recordings(name)]
every_adapter = pytest.mark.parametrize("name", NAMES)
every_recording = pytest.mark.parametrize(("name", "case"), CASES)


def test_there_are_adapters() -> None:
    """The laws below run on something."""
    assert {"asterisk_ami", "asterisk_cdr"} <= set(NAMES)


@every_adapter
def test_has_recordings(name: str) -> None:
    """Each adapter has recordings."""
    laws.has_recordings(name)


@every_recording
def test_gives_exactly_its_events(name: str, case: Path) -> None:
    """Each recording gives exactly its events."""
    laws.gives_exactly_its_events(name, case)


@every_recording
def test_ids_are_stable(name: str, case: Path) -> None:
    """An event's id depends on what the source said and on nothing else."""
    laws.ids_are_stable(name, case)


@every_recording
def test_keeps_order(name: str, case: Path) -> None:
    """The order of the source is kept."""
    laws.keeps_order(name, case)


@every_recording
def test_speaks_the_contract(name: str, case: Path) -> None:
    """Every event is one that readers know."""
    laws.speaks_the_contract(name, case)


@every_adapter
def test_refuses_only(name: str) -> None:
    """Whatever comes in, the answer is events or a refusal."""
    laws.refuses_only(name)


@every_adapter
def test_documents_its_keys(name: str) -> None:
    """No key of a configuration is unexplained."""
    laws.documents_its_keys(name)
