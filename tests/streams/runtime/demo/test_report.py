"""What a person and a script see at the end of the demo."""

import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from streams.runtime.demo import centre
from streams.runtime.demo.centre import Plan, prepare, truth_lines
from streams.runtime.demo.judge import Verdict
from streams.runtime.demo.latency import quantile
from streams.runtime.demo.report import Answer, Delays, as_json, show
from streams.runtime.errors import Fatal

DELAYS = Delays(ring_p50=0.012, ring_p99=0.15, journal_p50=2.5, journal_p99=None)
ANSWERS = [
    Answer(title="peak hours", sql="", rows=[{"hour_of_day": h, "calls": 1.25, "who": None} for h in range(9)]),
    Answer(title="who called", sql="", rows=[{"name": "[red]Bo[/x]\x1b[2J"}]),
    Answer(title="empty", sql="", rows=[]),
]


def verdict(**differing: str) -> Verdict:
    matches = {"matched": 6, "ambiguous": 2, "none": 1}
    return Verdict(
        happened=9, in_warehouse=9, in_journal=8, matches=matches, outcomes={"answered": 9}, differing=differing
    )


def shown(found: Verdict) -> str:
    out = io.StringIO()
    show(Console(file=out, width=120), found, DELAYS, ANSWERS)
    return out.getvalue()


def row(text: str, what: str) -> str:
    return next(line for line in text.splitlines() if what in line).split("│")[-2].strip()


def test_the_counts_and_delays_are_where_a_person_looks() -> None:
    """Each beside its words."""
    text = shown(verdict())
    assert row(text, "calls that happened") == "9"
    assert row(text, "entries in the CRM's journal") == "8"
    assert row(text, "customers recognised") == "6"
    assert row(text, "none guessed") == "2"
    assert row(text, "unknown to the CRM") == "1"
    assert row(text, "ring → enriched") == "12 ms / 150 ms"
    assert row(text, "hang-up → journal") == "2500 ms / -"
    assert "All 9 calls arrived once" in text


def test_sample_answers_are_short_and_cannot_steer_the_terminal() -> None:
    """Names come from outside."""
    text = shown(verdict())
    assert "and 3 more" in text
    assert "1.2" in text
    assert "[red]Bo[/x]" in text
    assert "\x1b" not in text


def test_calls_that_differ_are_named_with_the_reason() -> None:
    """The first twenty; a script gets all."""
    many = verdict(**{f"main:{n}": "not in the journal" for n in range(25)})
    text = shown(many)
    assert "25 calls differ:" in text
    assert text.count("not in the journal") == 20
    assert "and 5 more" in text
    assert "arrived once, and" not in text


def test_a_script_gets_everything() -> None:
    """One JSON object."""
    told: dict[str, Any] = orjson.loads(orjson.dumps(as_json(verdict(a="lost"), DELAYS, ANSWERS)))
    assert told["ok"] is False
    assert told["calls"]["differing"] == {"a": "lost"}
    assert told["delays_s"]["ring_p99"] == 0.15
    assert len(told["queries"]["peak hours"]) == 9


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, None), ([3.0], 0.99, 3.0), ([4.0, 1.0, 3.0, 2.0], 0.5, 3.0), ([1.0, 2.0, 3.0, 4.0], 0.99, 4.0)],
)
def test_a_quantile_is_a_value_that_was_measured(values: list[float], share: float, found: float | None) -> None:
    """Of nothing there is none."""
    assert quantile(values, share) == found


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo makes its own folder anew each time, and only its own."""
    monkeypatch.setattr(centre, "free_port", lambda: 20_000)
    plan = Plan(calls=1, rate=1, seed=1)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(Fatal, match="not empty and not a former demo's"):
        prepare(tmp_path, plan)
    assert (tmp_path / "thesis.tex").exists()
    first = prepare(tmp_path / "demo", plan)
    (first.folder / "old").touch()
    assert not (prepare(tmp_path / "demo", plan).folder / "old").exists()


def test_a_line_of_the_truth_that_is_half_written_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator writes while the demo reads."""
    monkeypatch.setattr(centre, "free_port", lambda: 20_000)
    made = prepare(tmp_path / "demo", Plan(calls=1, rate=1, seed=1, pbxs=("a", "b")))
    made.truth("a").write_bytes(b'{"uniqueid":"1"}\n{"uniq')
    assert list(truth_lines(made)) == [("a", {"uniqueid": "1"})]
