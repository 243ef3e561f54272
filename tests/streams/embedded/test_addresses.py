"""Ports and secrets of the embedded parts: chosen once, kept, and the same for all who look at the same time."""

import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from streams.embedded import addresses
from streams.embedded.addresses import embedded_crms, resolved, secret
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal


def settings(folder: Path, **sections: Any) -> Settings:
    return Settings.model_validate({"data_dir": folder, **sections})


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What the machine gives as free ports: each one twice, as long as nobody listens on it."""
    given = (20_000 + n // 2 for n in count())
    monkeypatch.setattr(addresses, "free_port", lambda: next(given))
    return given


def test_what_has_an_address_keeps_it_and_needs_no_folder(tmp_path: Path) -> None:
    """On many machines nothing is embedded."""
    folder = tmp_path / "data"
    crm = {"crm": {"connector": "sandbox", "url": "http://c:1"}}
    found = resolved(settings(folder, kafka={"bootstrap": "b:1"}, clickhouse={"url": "http://h:2"}, crm=crm))
    assert (found.kafka.bootstrap, found.clickhouse.url) == ("b:1", "http://h:2")
    assert (found.crm["crm"].model_extra or {}) == {"url": "http://c:1"}
    assert not folder.exists()


def test_empty_addresses_are_the_embedded_parts_with_their_secrets(tmp_path: Path) -> None:
    """Clients find them, and are let in."""
    plain = settings(tmp_path, crm={"crm": {"connector": "sandbox", "country": "FR"}})
    found = resolved(plain)
    assert (found.kafka.bootstrap, found.clickhouse.url) == ("127.0.0.1:9092", "http://127.0.0.1:8123")
    assert found.clickhouse.password.get_secret_value() == (tmp_path / "secrets/clickhouse").read_text(encoding="ascii")
    own = found.crm["crm"].model_extra or {}
    assert (own["url"], own["country"]) == ("http://127.0.0.1:8069", "FR")
    assert own["token"].get_secret_value() == (tmp_path / "secrets/crm.crm").read_text(encoding="ascii")
    assert embedded_crms(plain) == ["crm"]


def test_a_port_that_the_machine_chose_is_kept_over_restarts(tmp_path: Path, ports: Iterator[int]) -> None:
    """A client that comes later, and a part that starts again, meet at the same port."""
    free = settings(tmp_path, kafka={"port": 0}, clickhouse={"port": 0})
    first, again = resolved(free), resolved(free)
    assert (first.kafka.port, first.clickhouse.port) == (again.kafka.port, again.clickhouse.port)
    assert first.kafka.port != first.clickhouse.port
    assert json.loads((tmp_path / "ports.json").read_text(encoding="ascii")) == {"kafka": 20_000, "clickhouse": 20_001}


def test_everybody_who_looks_first_at_the_same_time_sees_the_same(tmp_path: Path, ports: Iterator[int]) -> None:
    """`up` and a command in the next window begin together."""
    free = settings(tmp_path, kafka={"port": 0}, crm={"crm": {"connector": "sandbox", "port": 0}})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: resolved(free), range(16)))
    assert len({f.kafka.port for f in found}) == 1
    assert len({(f.crm["crm"].model_extra or {})["url"] for f in found}) == 1
    assert len({(f.crm["crm"].model_extra or {})["token"].get_secret_value() for f in found}) == 1


def test_a_secret_is_random_kept_and_for_its_owner_only(tmp_path: Path) -> None:
    """Nobody else on the machine reads it, also where files are made open by default."""
    first = secret(settings(tmp_path), "clickhouse")
    assert len(first.get_secret_value()) >= 32
    assert secret(settings(tmp_path), "clickhouse") == first
    assert secret(settings(tmp_path / "other"), "clickhouse") != first
    assert stat.S_IMODE((tmp_path / "secrets/clickhouse").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert [f.name for f in (tmp_path / "secrets").iterdir()] == ["clickhouse"]


@pytest.mark.parametrize("port", ["many", "-1", 70_000])
def test_a_port_that_is_none_is_told(tmp_path: Path, port: object) -> None:
    """It names the key."""
    with pytest.raises(Fatal, match=r"crm\.crm\.port"):
        resolved(settings(tmp_path, crm={"crm": {"connector": "sandbox", "port": port}}))
