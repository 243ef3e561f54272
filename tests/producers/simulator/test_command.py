import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from producers.simulator.command import SECRET, app
from streams.runtime.clock import SystemClock

RUN = "from producers.simulator.command import app; app()"
CLOCK = SystemClock()


def test_without_a_secret_it_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret comes from a file or the environment, never from the command line."""
    monkeypatch.delenv(SECRET, raising=False)
    result = CliRunner().invoke(app, ["asterisk"])
    assert result.exit_code == 2
    assert SECRET in result.output
    assert "--secret " not in CliRunner().invoke(app, ["asterisk", "--help"]).output


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--agents", "1"], "agents"),
        (["--contacts", "99999"], "customers"),
        (["--mix", "hodl=1"], "hodl"),
        (["--mix", "hold=much"], "much"),
        (["--rate", "0"], "rate"),
        (["--zone", "Mars/Base"], "Mars"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, options: list[str], word: str) -> None:
    """What cannot be played is refused at once, with the value and what would do."""
    monkeypatch.setenv(SECRET, "s3cret")
    result = CliRunner().invoke(app, ["asterisk", "--port", "0", "--calls", "0", "--exit", *options])
    assert result.exit_code == 2
    assert word in result.output


def start(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    """The command as its own process; returns once it has written its port."""
    files = [f"--{name}={tmp_path / name}" for name in ("truth", "ready-file", "contacts-out", "cdr-file")]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "asterisk", "--port", "0", *files, *options],
        env={**os.environ, SECRET: "s3cret"},
        stdout=subprocess.PIPE,
        text=True,
    )
    end = CLOCK.monotonic() + 30
    while not (tmp_path / "ready-file").exists():
        assert process.poll() is None
        assert CLOCK.monotonic() < end
        CLOCK.sleep(0.05)
    return process


def truths(tmp_path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in (tmp_path / "truth").read_bytes().splitlines()]


@pytest.mark.integration
def test_it_plays_writes_and_leaves(tmp_path: Path) -> None:
    """So many calls, then the end: port, contacts, truth and records are in their files."""
    process = start(tmp_path, "--calls", "20", "--exit", "--rate", "100", "--speed", "100", "--contacts", "30")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    port = int((tmp_path / "ready-file").read_text())
    assert f"listening 127.0.0.1 {port}\n" in output
    assert "played 20 calls" in output
    assert len((tmp_path / "contacts-out").read_bytes().splitlines()) == 30
    assert [truth["open"] for truth in truths(tmp_path)].count(False) == 20
    assert len((tmp_path / "cdr-file").read_bytes().splitlines()) >= 20


@pytest.mark.integration
def test_a_stop_from_outside_closes_the_truth(tmp_path: Path) -> None:
    """SIGTERM is a clean stop of the PBX: running calls are hung up, and the truth says why."""
    process = start(tmp_path, "--rate", "50", "--speed", "2")
    end = CLOCK.monotonic() + 30
    while len(truths(tmp_path)) < 20 and CLOCK.monotonic() < end:
        CLOCK.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    told = truths(tmp_path)
    assert {t["number"] for t in told if t["open"]} == {t["number"] for t in told if not t["open"]}
    assert "shutdown" in {t["fate"] for t in told}
