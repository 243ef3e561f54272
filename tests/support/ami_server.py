"""A manager interface whose answers a test decides: logs in, tells its clock, lists what a user may do.

Framing, the challenge and the answers as in Asterisk's main/manager.c.
"""

import contextlib
import hashlib
import socket
import threading
from dataclasses import dataclass
from typing import Self

from streams.runtime.clock import SystemClock

ALL = ("CoreShowChannels", "Filter", "Originate", "UserEvent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """What this PBX is like."""

    secret: str = "s3cret"
    may: tuple[str, ...] = ALL
    """Actions that ListCommands shows, as the user's rights allow them."""
    stamped: bool = True
    """timestampevents"""
    skew_s: float = 0.0
    mute: bool = False
    """Accepts connections and says nothing."""


class AmiServer:
    """Listens on a free port of the loopback while the context lasts."""

    def __init__(self, character: Character | None = None) -> None:
        self._character = character or Character()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.actions: list[str] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            with wire:
                self._talk(wire)

    def _talk(self, wire: socket.socket) -> None:
        if not self._character.mute:
            wire.sendall(b"Asterisk Call Manager/5.0.2\r\n")
        buffer = b""
        with contextlib.suppress(OSError):
            while data := wire.recv(65536):
                *frames, buffer = (buffer + data).split(b"\r\n\r\n")
                for frame in frames if not self._character.mute else []:
                    lines = [line.partition(": ") for line in frame.decode().split("\r\n")]
                    wire.sendall(self._answer({key: value for key, _, value in lines}))

    def _answer(self, asked: dict[str, str]) -> bytes:
        action, as_asked = asked["Action"], f"ActionID: {asked['ActionID']}\r\n"
        self.actions.append(action)
        ok, no = f"Response: Success\r\n{as_asked}", f"Response: Error\r\n{as_asked}Message: "
        now = SystemClock().now() / 1e6 + self._character.skew_s
        match action:
            case "Challenge":
                return f"{ok}Challenge: 4711\r\n\r\n".encode()
            case "Login":
                key = hashlib.md5(f"4711{self._character.secret}".encode(), usedforsecurity=False).hexdigest()
                booted = "Event: FullyBooted\r\nUptime: 5\r\n\r\n"
                right = asked.get("Key") == key
                return (f"{ok}\r\n{booted}" if right else f"{no}Authentication failed\r\n\r\n").encode()
            case "ListCommands":
                return (ok + "".join(f"{name}: what it does\r\n" for name in self._character.may) + "\r\n").encode()
            case "Ping":
                return f"{ok}Ping: Pong\r\nTimestamp: {now:.6f}\r\n\r\n".encode()
            case "UserEvent" if "UserEvent" in self._character.may:
                stamp = f"Timestamp: {now:.6f}\r\n" if self._character.stamped else ""
                return f"{ok}\r\nEvent: UserEvent\r\n{stamp}UserEvent: {asked['UserEvent']}\r\n\r\n".encode()
        return f"{no}Permission denied\r\n\r\n".encode()
