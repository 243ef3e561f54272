"""Which streams there are."""

import threading
from pathlib import Path

import pytest

from streams import run
from streams.runtime.clock import ManualClock
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal


def test_an_unknown_stream_is_told_with_those_that_exist(tmp_path: Path) -> None:
    """A typing error on the command line ends with the right names."""
    with pytest.raises(Fatal, match="no stream 'enrihc': the streams are enrich, fold, agents"):
        run.run("enrihc", Settings(data_dir=tmp_path), ManualClock(), threading.Event())


@pytest.mark.parametrize("name", run.STAGES)
def test_every_stream_keeps_to_the_manifest_and_the_prefix(name: str) -> None:
    """It reads and writes topics that exist, under the set-up's own prefix, and is opened without a broker."""
    settings = Settings.model_validate({"kafka": {"topic_prefix": "x-"}})
    stage = run.STAGES[name](settings, ManualClock())
    assert (stage.name, stage.source, stage.target) in {
        ("enrich", "x-call-events", "x-call-events-enriched"),
        ("fold", "x-call-events-enriched", "x-calls"),
        ("agents", "x-call-events-enriched", "x-agent-states"),
    }
