"""Rules for every test: which may open sockets, and how far a property test goes."""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.services"]

_MAY_OPEN_SOCKETS = ("integration", "real", "chaos")

# Time limits per example would fail on a busy machine, so none; in CI the same examples every time.
settings.register_profile(
    "local", max_examples=60, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test that says it talks to real parts open sockets: one marker is enough."""
    for item in items:
        if any(item.get_closest_marker(name) for name in _MAY_OPEN_SOCKETS):
            item.add_marker(pytest.mark.enable_socket)
