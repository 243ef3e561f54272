"""Lasting names for the workers of one machine: a worker that was killed is succeeded by the next that starts."""

import fcntl
import os
import secrets
from pathlib import Path

from streams.runtime.errors import Fatal

_MOST = 1000


def claim(folder: Path, role: str) -> str:
    """The name of the first slot of `role` that no living process holds; it is this process's until it ends.

    A slot is a file that is locked by its owner (the system frees it, however the owner ends) and holds a random name,
    so that folders of several machines, or containers that begin with an empty one, never share a name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(_MOST):
        handle = os.open(folder / f"{role}-{number}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        name = os.pread(handle, 64, 0).decode()
        if not name:
            name = secrets.token_hex(6)
            os.pwrite(handle, name.encode(), 0)
        return name  # the handle stays open, and with it the lock
    raise Fatal(f"{folder} has {_MOST} workers of {role} already")
