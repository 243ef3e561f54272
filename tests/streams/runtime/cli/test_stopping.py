"""`trunkline up` is ended while it still starts: nothing is left behind."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from streams.embedded.jars import default_cache, kafka_jars
from streams.runtime.clock import SystemClock

pytestmark = pytest.mark.integration


def until(seen: Callable[[], bool]) -> None:
    for _ in range(600):
        if seen():
            return
        SystemClock().sleep(0.1)
    raise TimeoutError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_ended_during_its_start_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, say: Callable[[str], None]
) -> None:
    """A person changes their mind, or the machine goes down."""
    kafka_jars(default_cache(), say)
    # Whoever runs in the background ignores SIGINT, and so would `up`: what is handled is not inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config = tmp_path / "trunkline.toml"
    text = f'data_dir = "{tmp_path / "data"}"\n[kafka]\nport = 0\nheap_mb = 256\n[clickhouse]\nport = 0\n'
    config.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "streams.runtime.cli", "up", f"--config={config}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        seen: list[psutil.Process] = []
        try:
            until((tmp_path / "data/logs/kafka.log").exists)
            seen = psutil.Process(up.pid).children(recursive=True)
            up.send_signal(number)
            out, _ = up.communicate(timeout=60)
        finally:
            up.kill()
    assert up.returncode not in (0, -number)
    assert "Traceback" not in out
    assert seen
    until(lambda: not [child for child in seen if child.is_running() and child.status() != psutil.STATUS_ZOMBIE])
    assert "up: Kafka" not in out
