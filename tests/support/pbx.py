"""A manager interface that says exactly what a test tells it, on a thread: logins, answers, frames, hang-ups.

`python -m tests.support.pbx FRAMES COUNT` floods the first reader with that many recorded events (a child for the bench).
"""

import hashlib
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from streams.clients.ami import END, parse
from streams.runtime.clock import SystemClock

SECRET = "open sesame"
GREETING = b"Asterisk Call Manager/5.0.2\r\n"
_STAMP = re.compile(rb"\r\nTimestamp: [0-9.]+")
_CLOCK = SystemClock()


def message(**fields: str) -> bytes:
    """One message; a key's underscores are its dashes."""
    return "".join([f"{key.replace('_', '-')}: {value}\r\n" for key, value in fields.items()]).encode() + b"\r\n"


def channel(uniqueid: str, *, linkedid: str = "", name: str = "PJSIP/trunk-00000001", **more: str) -> bytes:
    """The lines of a channel snapshot, without an end."""
    fields = {
        "Channel": name,
        "ChannelState": "6",
        "CallerIDNum": "+32470123401",
        "ConnectedLineNum": "<unknown>",
        "Context": "from-trunk",
        "Exten": "025550101",
        "Uniqueid": uniqueid,
        "Linkedid": linkedid or uniqueid,
        **more,
    }
    return "".join([f"{key}: {value}\r\n" for key, value in fields.items()]).encode()


def event(name: str, at: int, body: bytes) -> bytes:
    """An event as broadcast at `at` µs."""
    return b"Event: %b\r\nPrivilege: call,all\r\nTimestamp: %d.%06d\r\n%b\r\n" % (
        name.encode(),
        at // 10**6,
        at % 10**6,
        body,
    )


def recorded(path: Path) -> list[bytes]:
    """The messages of a recording, each with its end."""
    return [frame.lstrip(b"\r\n") + END for frame in path.read_bytes().split(END) if frame.strip()]


class Pbx:
    """`with Pbx() as pbx:` listens on `pbx.port`; every action received is in `pbx.actions`."""

    def __init__(
        self,
        *,
        secret: str = SECRET,
        tls: ssl.SSLContext | None = None,
        live: Sequence[bytes] = (),
        queued: Sequence[bytes] = (),
        clock: Callable[[], int] = _CLOCK.now,
        port: int = 0,
    ) -> None:
        self.actions: list[dict[str, str]] = []
        self.live = list(live)
        """Channel snapshots that CoreShowChannels tells."""
        self.queued = list(queued)
        self.startup = "10:00:00"
        self.during: list[bytes] = []
        """Events sent in the middle of the next CoreShowChannels."""
        self.denied: set[str] = set()
        self.silent = False
        """Answer nothing any more."""
        self._secret = secret
        self._tls = tls
        self._clock = clock
        self._readers: list[socket.socket] = []
        self._lock = threading.Condition()
        self._server = socket.create_server(("127.0.0.1", port))
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop()
        for thread in list(self._threads):
            thread.join(5)

    def send(self, *frames: bytes) -> None:
        """To everybody who is logged in."""
        with self._lock:
            for reader in self._readers:
                reader.sendall(b"".join(frames))

    def drop(self) -> None:
        """Hang up on everybody."""
        with self._lock:
            for reader in self._readers:
                with suppress(OSError):  # it left by itself
                    reader.shutdown(socket.SHUT_RDWR)
            self._readers.clear()

    def wait(self, action: str, count: int = 1, timeout: float = 20.0) -> None:
        """Until that action has come `count` times; raises TimeoutError."""
        with self._lock:
            if not self._lock.wait_for(lambda: sum(a["action"] == action for a in self.actions) >= count, timeout):
                raise TimeoutError(f"{action} did not come")

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, conn: socket.socket) -> None:
        try:
            with self._tls.wrap_socket(conn, server_side=True) if self._tls else conn as sock:
                sock.sendall(GREETING)
                for action in _messages(sock):
                    fields = parse(action)
                    with self._lock:
                        self.actions.append(fields)
                        if not self.silent:
                            sock.sendall(b"".join(self._answer(fields, sock)))
                        self._lock.notify_all()
                    if fields["action"] in ("Logoff", "Login") and sock not in self._readers:
                        return
        except OSError:
            return
        finally:
            with self._lock:
                self._forget(conn)

    def _forget(self, sock: socket.socket) -> None:
        if sock in self._readers:
            self._readers.remove(sock)

    def _answer(self, fields: dict[str, str], sock: socket.socket) -> Iterator[bytes]:
        action, own = fields["action"], fields.get("actionid", "")
        if action in self.denied:
            yield message(Response="Error", ActionID=own, Message="Permission denied")
        elif action == "Challenge":
            yield message(Response="Success", ActionID=own, Challenge="145769581")
        elif action == "Login":
            key = hashlib.md5(f"145769581{self._secret}".encode()).hexdigest()
            if fields.get("key") == key or fields.get("secret") == self._secret:
                self._readers.append(sock)
                yield message(Response="Success", ActionID=own, Message="Authentication accepted")
                yield message(Event="FullyBooted", Privilege="system,all", Uptime="3600", Status="Fully Booted")
            else:
                yield message(Response="Error", ActionID=own, Message="Authentication failed")
        elif action == "Ping":
            now = self._clock()
            stamp = f"{now // 10**6}.{now % 10**6:06d}"
            yield message(Response="Success", ActionID=own, Ping="Pong", Timestamp=stamp)
        elif action == "CoreStatus":
            yield message(Response="Success", ActionID=own, CoreStartupDate="2026-11-24", CoreStartupTime=self.startup)
        elif action in ("CoreShowChannels", "QueueStatus", "BridgeList"):
            yield from self._list(action, own)
        elif action == "Logoff":
            self._forget(sock)
            yield message(Response="Goodbye", ActionID=own)
        else:
            yield message(Response="Success", ActionID=own, Message="Success")

    def _list(self, action: str, own: str) -> Iterator[bytes]:
        rows = {"CoreShowChannels": self.live, "QueueStatus": self.queued}.get(action, [])
        name = {"CoreShowChannels": "CoreShowChannel", "QueueStatus": "QueueEntry"}.get(action, "")
        yield message(Response="Success", ActionID=own, EventList="start", Message="will follow")
        if action == "CoreShowChannels":
            yield from self.during
            self.during = []
        for row in rows:
            yield b"Event: %b\r\nActionID: %b\r\n%b\r\n" % (name.encode(), own.encode(), row)
        yield message(Event=f"{action}Complete", ActionID=own, EventList="Complete", ListItems=str(len(rows)))


def _messages(sock: socket.socket) -> Iterator[bytes]:
    rest = b""
    while data := sock.recv(65536):
        *found, rest = (rest + data).split(END)
        yield from found


def flood(path: Path, count: int) -> None:
    """Serve one reader: after its resync, `count` events as fast as it takes them, each with its own time."""
    frames = [f for f in recorded(path) if _STAMP.search(f)]
    with Pbx() as pbx:
        print(pbx.port, flush=True)  # noqa: T201 - the parent waits for it
        pbx.wait("BridgeList", timeout=60)
        begin = _CLOCK.now()
        block: list[bytes] = []
        for n in range(count):
            at = begin + n
            stamp = b"\r\nTimestamp: %d.%06d" % (at // 10**6, at % 10**6)
            block.append(_STAMP.sub(stamp, frames[n % len(frames)], count=1))
            if len(block) == 500:
                pbx.send(*block)
                block = []
        pbx.send(*block)
        pbx.wait("Logoff", timeout=300)


if __name__ == "__main__":
    flood(Path(sys.argv[1]), int(sys.argv[2]))
