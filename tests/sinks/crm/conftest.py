"""Fixtures of the journal's integration tests."""

from tests.support.crm import cluster, crm, sandbox

__all__ = ["cluster", "crm", "sandbox"]
