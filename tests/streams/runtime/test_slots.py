"""Lasting names of workers."""

import subprocess
import sys
from pathlib import Path

import pytest

from streams.runtime import slots
from streams.runtime.errors import Fatal

HOLD = "import sys; from pathlib import Path; from streams.runtime.slots import claim; print(claim(Path(sys.argv[1]), 'enrich'), flush=True); sys.stdin.read()"


def holder(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A process that holds a slot until it ends, and the name of its slot."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def test_a_killed_worker_is_succeeded_under_its_name(tmp_path: Path) -> None:
    """The next worker to start ends what the killed one left open, for it has its name."""
    first, name = holder(tmp_path)
    other, other_name = holder(tmp_path)
    end(first)
    successor, successor_name = holder(tmp_path)
    end(other)
    end(successor)
    assert successor_name == name != other_name


def test_workers_alive_never_share_a_name(tmp_path: Path) -> None:
    """Within a process and between roles too."""
    names = [slots.claim(tmp_path, role) for role in ("enrich", "enrich", "fold")]
    assert len(set(names)) == 3


def test_folders_never_share_a_name(tmp_path: Path) -> None:
    """Two machines number their workers alike and must not fence each other."""
    assert slots.claim(tmp_path / "a", "enrich") != slots.claim(tmp_path / "b", "enrich")


def test_too_many_workers_are_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something starts workers and forgets them: a person should look."""
    monkeypatch.setattr(slots, "_MOST", 1)
    slots.claim(tmp_path, "enrich")
    with pytest.raises(Fatal, match="1 workers of enrich already"):
        slots.claim(tmp_path, "enrich")
