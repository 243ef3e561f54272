"""The sandbox's application for each test."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.streams.embedded.crm.sandbox import App


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An empty sandbox."""
    sandbox = App(tmp_path)
    with closing(sandbox.db):
        yield sandbox
