"""Which processes a configuration means, in which order, and that no secret is on their command lines."""

from pathlib import Path

import pytest

from streams.embedded import roles
from streams.runtime.config import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(roles, "free_port", lambda: 20_000)
    tree = {
        "data_dir": tmp_path,
        "clickhouse": {"password": "hush"},
        "pbx": {"main": {"adapter": "asterisk_ami", "secret": "hush"}, "branch": {"adapter": "asterisk_cdr"}},
        "crm": {"crm": {"connector": "sandbox", "url": "http://127.0.0.1:8069", "token": "hush"}},
        "streams": {"fold": {"workers": 2}},
    }
    return Settings.model_validate(tree)


def test_readers_come_before_writers(settings: Settings, tmp_path: Path) -> None:
    """The first event already finds its way."""
    config = tmp_path / "trunkline.toml"
    found = [*roles.components(settings, config), *roles.adapters(settings, config)]
    assert [role.name for role in found] == [
        *("sink.clickhouse", "sink.crm"),
        *("stream.fold", "stream.fold.1", "stream.agents", "stream.enrich", "producer.crm"),
        *("producer.main", "producer.branch"),
    ]


@pytest.mark.parametrize(
    ("kafka", "clickhouse", "names"),
    [(True, True, ["kafka", "clickhouse"]), (False, True, ["clickhouse"]), (False, False, [])],
)
def test_only_what_has_no_address_is_embedded(
    settings: Settings, kafka: bool, clickhouse: bool, names: list[str]
) -> None:
    """A broker that is there is used."""
    assert [role.name for role in roles.embedded(settings, kafka=kafka, clickhouse=clickhouse)] == names


def test_no_secret_is_an_argument(settings: Settings, tmp_path: Path) -> None:
    """Every user of the machine reads command lines."""
    found = [
        *roles.embedded(settings, kafka=True, clickhouse=True),
        *roles.sandboxes(settings, ["crm"]),
        *roles.components(settings, tmp_path / "c"),
        *roles.adapters(settings, tmp_path / "c"),
    ]
    assert len(found) == 12
    for role in found:
        assert "hush" not in " ".join(role.child._command), role.name
        assert "hush" not in str(role.child._environ), role.name
