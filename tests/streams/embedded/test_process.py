"""Children are waited for, have one owner per folder, and never outlive their parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from streams.embedded.process import Child, claim, free_port
from streams.runtime.clock import ManualClock, SystemClock
from streams.runtime.errors import Fatal

_SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
_PARENT = """
import pathlib, sys, time
from streams.embedded.clickhouse import EmbeddedClickHouse
child = EmbeddedClickHouse(pathlib.Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_start_waits_for_the_answer(tmp_path: Path) -> None:
    """Start returns at the first answer, and stop leaves no process."""
    answers = iter([False, False, True])
    child = Child(_SLEEP, log=tmp_path / "log", answers=lambda: next(answers), clock=ManualClock())
    child.start()
    pid = child.pid
    assert pid is not None
    child.stop()
    assert (child.pid, psutil.pid_exists(pid)) == (None, False)


def test_a_child_that_ends_says_why(tmp_path: Path) -> None:
    """The end of its log is part of the error."""
    command = [sys.executable, "-c", "raise SystemExit('no licence')"]
    child = Child(command, log=tmp_path / "log", answers=lambda: False)
    with pytest.raises(Fatal, match="no licence"):
        child.start()


def test_a_mute_child_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """After the wait the child is killed and the error says how long it was waited for."""
    child = Child(_SLEEP, log=tmp_path / "log", answers=lambda: False, clock=ManualClock())
    with pytest.raises(Fatal, match="did not answer within 5 s"):
        child.start(wait=5)
    assert child.pid is None


def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    """A child that ignores SIGTERM is gone all the same."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('here', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    child = Child([sys.executable, "-c", code], log=log, answers=lambda: log.stat().st_size > 0)
    child.start()
    child.stop(wait=0.2)
    assert child.pid is None


def test_environment_is_added(tmp_path: Path) -> None:
    """What is given beside the environment reaches the child, and the rest of it too."""
    code = "import os, time; print(os.environ['MINE'], 'PATH' in os.environ, flush=True); time.sleep(60)"
    log = tmp_path / "log"
    command = [sys.executable, "-c", code]
    with Child(command, log=log, answers=lambda: log.stat().st_size > 0, environ={"MINE": "yes"}):
        assert log.read_text() == "yes True\n"


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    """A second owner is refused with the process id of the first; when that is gone, however, the folder is free."""
    code = f"""
import pathlib, time
from streams.embedded.process import claim
claim(pathlib.Path({str(tmp_path)!r}))
print("claimed", flush=True)
time.sleep(60)
"""
    log = tmp_path / "log"
    child = Child([sys.executable, "-c", code], log=log, answers=lambda: log.stat().st_size > 0)
    child.start()
    with pytest.raises(Fatal, match=f"in use by process {child.pid}"):
        claim(tmp_path, wait=1, clock=ManualClock())
    child.kill()
    claim(tmp_path, wait=0, clock=ManualClock())


@pytest.mark.integration
def test_free_ports_are_outside_the_ephemeral_range() -> None:
    """A port that clients' own connections may be given is never handed out."""
    assert all(20_000 <= free_port() < 32_768 for _ in range(50))


@pytest.mark.integration
def test_child_ends_with_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent, which can clean up nothing, leaves no orphan."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as told:
        child = psutil.Process(int(told.readline()))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    clock = SystemClock()
    for _ in range(200):
        if not child.is_running():
            break
        clock.sleep(0.05)
    assert not child.is_running()
