"""A session with Asterisk's manager interface for tests: a driver that knows nothing of the product's own client.

Framing (Asterisk, `main/manager.c`): one greeting line, then messages of `Key: Value` lines ended by CR LF, an empty
line closes a message.
"""

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from streams.runtime.clock import SystemClock

_END = b"\r\n\r\n"
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message as it came, with the time of its arrival (µs UTC)."""

    raw: bytes
    arrived: int

    def fields(self) -> dict[str, str]:
        """Keys as Asterisk spells them; of a repeated key the last value."""
        lines = self.raw.decode("utf-8", errors="replace").splitlines()
        return {key: value.removeprefix(" ") for key, _, value in (line.partition(":") for line in lines) if key}


class RefusedError(Exception):
    """The manager answered something else than Success."""


class Ami:
    """One logged-in session; a thread keeps every frame received, in order, in `frames`."""

    def __init__(self, *, host: str, port: int, username: str, secret: str, timeout: float = 5.0) -> None:
        """Log in; raises OSError when nobody listens, `RefusedError` on a wrong password."""
        self.frames: list[Frame] = []
        self.greeting = b""
        self._news = threading.Condition()
        self._ids = itertools.count(1)
        self._open = True
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, name=f"ami-{username}", daemon=True)
        self._reader.start()
        try:
            self.request("Login", {"Username": username, "Secret": secret}, timeout=timeout)
        except BaseException:
            self.close()
            raise

    def request(
        self, action: str, headers: Mapping[str, str | Iterable[str]] | None = None, *, timeout: float = 5.0
    ) -> dict[str, str]:
        """Send an action and return its response; raises `RefusedError` on an error, TimeoutError on silence."""
        action_id = f"driver-{next(self._ids)}"
        lines = [f"Action: {action}", f"ActionID: {action_id}"]
        for key, value in (headers or {}).items():
            lines += [f"{key}: {one}" for one in ([value] if isinstance(value, str) else value)]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a value with a line end would be another header")
        self._socket.sendall("\r\n".join(lines).encode() + _END)
        response = self.wait(lambda f: f.get("ActionID") == action_id and "Response" in f, timeout=timeout)
        if response["Response"] not in {"Success", "Goodbye"}:
            raise RefusedError(f"{action}: {response.get('Message', response['Response'])}")
        return response

    def wait(self, wanted: Callable[[dict[str, str]], bool], *, since: int = 0, timeout: float = 5.0) -> dict[str, str]:
        """Return the first frame from position `since` on that is wanted, waiting for it; raises TimeoutError."""
        deadline = _CLOCK.monotonic() + timeout
        position = since
        with self._news:
            while True:
                for frame in self.frames[position:]:
                    if wanted(fields := frame.fields()):
                        return fields
                position = len(self.frames)
                left = deadline - _CLOCK.monotonic()
                if left <= 0 or not self._open:
                    raise TimeoutError("the frame did not come" if self._open else "the session was closed")
                self._news.wait(left)

    def events(self, since: int = 0) -> list[dict[str, str]]:
        """Every event from position `since` on."""
        with self._news:
            frames = self.frames[since:]
        return [fields for fields in (frame.fields() for frame in frames) if "Event" in fields]

    def position(self) -> int:
        """How many frames have come: the `since` of what comes next."""
        with self._news:
            return len(self.frames)

    def close(self) -> None:
        """Close the socket and wait for the reader's end."""
        with contextlib.suppress(OSError):  # the other side may have been first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()

    def _read(self) -> None:
        buffer = b""
        while chunk := self._receive():
            buffer += chunk
            if not self.greeting:
                if b"\r\n" not in buffer:
                    continue
                self.greeting, _, buffer = buffer.partition(b"\r\n")
            *frames, buffer = buffer.split(_END)
            with self._news:
                self.frames += [Frame(raw=raw + _END, arrived=_CLOCK.now()) for raw in frames]
                self._news.notify_all()
        with self._news:
            self._open = False
            self._news.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
