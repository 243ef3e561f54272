"""One AMI client's connection: greeting, login, what it wants to hear, and how much may wait for it."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from producers.simulator.answers import VERSION
from producers.simulator.filters import Filters
from producers.simulator.frames import Frame
from producers.simulator.message import LIMIT, Message, split

CLASSES = frozenset(
    [
        "system",
        "call",
        "log",
        "verbose",
        "command",
        "agent",
        "user",
        "config",
        "dtmf",
        "reporting",
        "cdr",
        "dialplan",
        "originate",
    ]
)

USUAL = CLASSES - {"dialplan"}
"""What the manager's user may read, unless the dialplan's flood is wanted too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Who may log in, and what Asterisk does with those who may not or do not read."""

    user: str
    secret: str = field(repr=False)
    failure_delay: float = 1.0
    """Seconds until a failed login is answered, and the connection closed."""
    buffer_bytes: int = 8 << 20
    """A client with more than this unread is cut off, as `writetimeout` does."""
    read: frozenset[str] = USUAL


class Session(asyncio.Protocol):
    """`act` is handed the actions of a client that is logged in, and where to write the answer; `challenge` is this session's MD5 challenge."""

    def __init__(
        self,
        gate: Gate,
        *,
        challenge: str,
        act: Callable[[Message, Callable[[bytes], object]], object],
        booted: Callable[[], bytes],
        gone: Callable[["Session"], object],
    ) -> None:
        self._gate = gate
        self._challenge = challenge
        self._act = act
        self._booted = booted
        self._gone = gone
        self._buffer = b""
        self._silent = False
        self._filters = Filters()
        self.mask = gate.read
        self.entered = False
        self.transport: asyncio.Transport | None = None
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("AMI needs a stream")
        self.transport = transport
        self.write(f"Asterisk Call Manager/{VERSION}\r\n".encode())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._room.set()
        self._gone(self)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def room(self) -> None:
        """Wait until the socket has taken most of what was written, or the client is gone."""
        await self._room.wait()

    def data_received(self, data: bytes) -> None:
        messages, self._buffer = split(self._buffer + data)
        for message in messages:
            if not self._silent:
                self._handle(message)
        if len(self._buffer) > LIMIT:
            self.close()

    def write(self, data: bytes) -> None:
        """Send; a client that has left more unread than the gate allows is cut off."""
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.write(data)
        if self.transport.get_write_buffer_size() > self._gate.buffer_bytes:
            self.transport.abort()

    def close(self) -> None:
        self._silent = True
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Break the connection, whatever is still unsent."""
        self._silent = True
        if self.transport is not None:
            self.transport.abort()

    def deliver(self, frames: Sequence[Frame], whole: bytes) -> None:
        """Send the frames that this client wants; `whole` is the wire of all but the dialplan's, joined once for all."""
        if not self.entered or not self.mask:
            return
        if self.mask == USUAL and not self._filters:
            self.write(whole)
            return
        wanted = [frame.wire for frame in frames if self._wants(frame)]
        if wanted:
            self.write(b"".join(wanted))

    def _wants(self, frame: Frame) -> bool:
        return frame.event == "Shutdown" or (frame.privilege in self.mask and self._filters.passes(frame))

    def _handle(self, message: Message) -> None:
        if not message.action:
            self.write(message.error("Missing action in request"))
        elif message.action == "logoff":
            self.write(message.answer("Goodbye", ("Message", "Thanks for all the fish.")))
            self.close()
        elif message.action == "challenge":
            self._offer_challenge(message)
        elif message.action == "login":
            self._login(message)
        elif not self.entered:
            self.write(message.error("Permission denied"))
        elif message.action == "events":
            self._listen(message)
        elif message.action == "filter":
            self._filter(message)
        else:
            self._act(message, self.write)

    def _offer_challenge(self, message: Message) -> None:
        if message.get("authtype", "").upper() == "MD5":
            self.write(message.answer("Success", ("Challenge", self._challenge)))
        else:
            self.write(message.error("Must specify AuthType"))

    def _login(self, message: Message) -> None:
        if self.entered:
            self.write(message.success("Already authenticated"))
            return
        if not self._knows(message):
            self._silent = True
            asyncio.get_running_loop().call_later(self._gate.failure_delay, self._refuse, message)
            return
        self.entered = True
        if message.get("events"):
            self._set_mask(message["events"])
        self.write(message.success("Authentication accepted"))
        if "system" in self.mask:
            self.write(self._booted())

    def _refuse(self, message: Message) -> None:
        self.write(message.error("Authentication failed"))
        self.close()

    def _knows(self, message: Message) -> bool:
        known = hmac.compare_digest(message.get("username", "").encode(), self._gate.user.encode())
        if message.get("authtype", "").upper() == "MD5":
            digest = hashlib.md5((self._challenge + self._gate.secret).encode(), usedforsecurity=False).hexdigest()
            return known and hmac.compare_digest(message.get("key", "").encode(), digest.encode())
        return known and hmac.compare_digest(message.get("secret", "").encode(), self._gate.secret.encode())

    def _set_mask(self, text: str) -> None:
        asked = {part.strip().lower() for part in text.split(",")}
        if asked & {"on", "yes", "true", "1", "all"}:
            self.mask = self._gate.read
        elif asked & {"off", "no", "false", "0", "none"}:
            self.mask = frozenset()
        else:
            self.mask = self._gate.read & asked

    def _listen(self, message: Message) -> None:
        self._set_mask(message.get("eventmask", ""))
        self.write(message.answer("Success", ("Events", "On" if self.mask else "Off")))

    def _filter(self, message: Message) -> None:
        if message.get("operation", "").lower() != "add":
            self.write(message.error("Unknown operation"))
            return
        if self._filters.add(message.get("filter", "")):
            self.write(message.success("Success"))
        else:
            self.write(message.error("Filter did not compile.  Check the syntax of the filter given."))
