"""Fixtures of the contact feed's integration tests."""

from tests.support.crm import cluster, crm, sandbox

__all__ = ["cluster", "crm", "sandbox"]
