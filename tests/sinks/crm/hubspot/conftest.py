"""The account that every test here starts with."""

import pytest

from tests.sinks.crm.hubspot.account import Far


@pytest.fixture
def far() -> Far:
    """HubSpot in memory."""
    return Far()
