"""Child processes that answer on a port: started, waited for, stopped, never left behind."""

import ctypes
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import typer

from streams.runtime.clock import Clock, SystemClock
from streams.runtime.errors import Fatal

LOOPBACK = "127.0.0.1"
SYSTEM_CLOCK = SystemClock()

SUPERVISED = "TRUNKLINE_SUPERVISED"
"""Set for children that shall end with their parent."""

_PR_SET_PDEATHSIG = 1
_POLL = 0.1
_LOG_TAIL = 2000


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the thread that started this process ends; survives `exec`. Linux only.

    The wish is kept for the *thread*, not the process (prctl(2)): start children from a thread that lives as long as
    they shall.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def claim(data_dir: Path, *, wait: float = 30.0, clock: Clock = SYSTEM_CLOCK) -> None:
    """Make this process, and what it execs, the one owner of `data_dir` until it ends, however it ends.

    A former owner that is still shutting down gets `wait` seconds; then `Fatal`.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    handle = os.open(data_dir / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(handle, True)  # the lock lives in the open file, so exec keeps it
    deadline = clock.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() >= deadline:
                owner = os.pread(handle, 32, 0).decode(errors="replace")
                raise Fatal(f"{data_dir} is in use by process {owner}: stop it, or choose another folder") from None
            clock.sleep(_POLL)
        else:
            os.truncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
            return


def run(main: Callable[..., None]) -> None:
    """Run a command line; what is `Fatal` is told in its own words, without a trace."""
    try:
        typer.run(main)
    except Fatal as error:
        sys.exit(str(error))


def free_port() -> int:
    """Return a loopback port that nobody listens on, below the ephemeral range.

    A client that knocks on a closed port of the ephemeral range may be given that very port as its own and connect to
    itself; a server that restarts could then not have it back.
    """
    for _ in range(100):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise Fatal("no free port between 20000 and 32000 on the loopback: name one")


def listens(port: int) -> bool:
    """Tell whether anybody accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


class Child:
    """One server process. `start` returns when it answers; `with` stops it at the end.

    Its output is appended to `log`; `environ` is set beside this process's environment; `port` is the one it will listen
    on, which nobody may have before. Ctrl-C does not reach it (own session): the parent decides when it stops. If it asks
    `die_with_parent`, it ends with the parent even when that is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        answers: Callable[[], bool],
        port: int | None = None,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._command = command
        self._environ = environ
        self._cwd = cwd
        self._log = log
        self._answers = answers
        self._port = port
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process else None

    def start(self, *, wait: float = 90.0) -> None:
        """Start and return once it answers; `Fatal` with the end of its log if it ends or stays mute for `wait` seconds."""
        if self.pid is not None:
            return
        if self._port and listens(self._port):
            raise Fatal(
                f"port {self._port} on the loopback is taken by another program: stop it, or choose another port"
            )
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:  # what a crash said stays readable after the restart
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self._environ is None else {**os.environ, **self._environ},
                cwd=self._cwd,
                start_new_session=True,
            )
        deadline = self._clock.monotonic() + wait
        while not self._answers():
            code = self._process.poll()
            if code is not None or self._clock.monotonic() >= deadline:
                self.kill()
                what = f"ended with code {code}" if code is not None else f"did not answer within {wait:.0f} s"
                tail = self._log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
                raise Fatal(f"{self._log.stem} {what}; the end of {self._log}:\n{tail}")
            self._clock.sleep(_POLL)

    def stop(self, *, wait: float = 30.0) -> None:
        """Stop cleanly (SIGTERM); after `wait` seconds by SIGKILL, which loses nothing that was acknowledged."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(wait)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
