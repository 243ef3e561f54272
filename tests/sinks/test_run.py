"""A name leads to its sink, or to the names that there are."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from sinks import run
from streams.runtime.clock import ManualClock
from streams.runtime.config import Crm, Settings
from streams.runtime.errors import Fatal

SETTINGS = Settings(crm={"front": Crm(connector="sandbox")})


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was run instead of a sink: its module and arguments."""
    calls: list[Any] = []

    def load(module: str) -> Any:
        return SimpleNamespace(run=lambda *args: calls.append((module, *args[:-3])))

    monkeypatch.setattr("sinks.run.import_module", load)
    return calls


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("clickhouse", ("sinks.clickhouse.sink",)),
        ("crm.front", ("sinks.crm.run", "front")),
        ("front", ("sinks.crm.run", "front")),
    ],
)
def test_a_name_leads_to_its_sink(name: str, call: tuple[str, ...], started: list[Any]) -> None:
    """A CRM by its name in the configuration, with or without the word before it."""
    run.run(name, SETTINGS, ManualClock(), threading.Event())
    assert started == [call]


def test_an_unknown_name_is_answered_with_those_there_are(started: list[Any]) -> None:
    """A typing error is seen at once."""
    with pytest.raises(Fatal, match=r"no sink 'clickhose'; this configuration has: clickhouse, crm\.front"):
        run.run("clickhose", SETTINGS, ManualClock(), threading.Event())
    assert started == []
