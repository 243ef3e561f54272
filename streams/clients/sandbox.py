"""The sandbox CRM: what its section has beside the keys of every mapped CRM."""

from dataclasses import dataclass

from streams.clients.rest.session import Access

MAPPING = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Access):
    """Keys of a CRM with `connector = "sandbox"`."""

    url: str = ""
    """http(s)://host:port; empty: the sandbox that `trunkline up` starts."""
    port: int = 8069
    """Port of that sandbox on the loopback; 0: any free one."""
