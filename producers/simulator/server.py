"""The simulated PBX as a server: sockets on one side, the player and the clock on the other."""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence

from producers.simulator.answers import QUESTIONS
from producers.simulator.clicks import EFFECTS
from producers.simulator.faults import Faults
from producers.simulator.frames import Frame, fields_block
from producers.simulator.message import Message
from producers.simulator.player import Player
from producers.simulator.script import MICRO
from producers.simulator.session import Gate, Session
from streams.runtime.clock import Clock

TICK_S = 0.002
"""The longest that a frame waits beyond its moment for others to be sent with."""
IDLE_S = 0.5
BATCH = 512
"""Frames that are played before the sockets get a turn."""
FAREWELL_S = 5.0
"""How long clients may take to read the last bytes."""
CHUNK = 64 << 10


class Server:
    """Speaks AMI to any number of clients; every one of them is sent the same bytes."""

    def __init__(
        self, player: Player, gate: Gate, clock: Clock, *, faults: Faults | None = None, seed: int = 0
    ) -> None:
        self.player = player
        self.sent = 0
        """Frames for clients (the dialplan's not counted), whether there were any clients or not."""
        self.latest = 0
        """The longest that the playing ever was behind its plan, in µs."""
        self._gate = gate
        self._clock = clock
        self._faults = faults or Faults()
        self._rng = random.Random(f"challenges {seed}")  # noqa: S311 - play, not secrecy
        self.clients: set[Session] = set()
        """Connections that are open, logged in or not."""
        self._server: asyncio.Server | None = None
        self._wake = asyncio.Event()

    @property
    def now(self) -> int:
        """µs since the opening."""
        return self._clock.now() - self.player.exchange.opening

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Open the door; returns the port (that of the machine's choice for 0)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, host, port, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def play(self, *, until: float | None = None, to_the_end: bool = False) -> None:
        """Play on until that many seconds after the opening, or (`to_the_end`) until the last call is over."""
        end = None if until is None else round(until * MICRO)
        while end is None or self.now < end:
            due = self.player.due
            if due is None and to_the_end and not self._faults.pending:
                return
            self.turn()
            await self._pause(end)

    def turn(self) -> None:
        """Play and send what is due, `BATCH` frames or a few more at most."""
        due = self.player.due
        if due is not None:
            self.latest = max(self.latest, self.now - due)
        self._send(self.player.advance(self.now, BATCH))

    async def hold(self) -> None:
        """Open the centre only now that a client has logged in: it sees every call from its beginning."""
        await self._entered()
        self.player.exchange.open((self._clock.now() // MICRO + 1) * MICRO)

    async def _entered(self) -> None:
        while not any(session.entered for session in self.clients):
            await self._clock.pause(TICK_S)

    async def flood(self, chunks: Sequence[bytes]) -> None:
        """Once a client has logged in, send the chunks as fast as the clients take them; masks do not narrow them."""
        await self._entered()
        for chunk in chunks:
            for session in [each for each in self.clients if each.entered]:
                session.write(chunk)
                await session.room()

    def render(self, events: int) -> list[bytes]:
        """Play at once, in a time of its own, until there are that many events and their calls are over."""
        chunks: list[bytes] = []
        parts: list[bytes] = []
        while self.player.due is not None:
            frames = self.player.advance(1 << 62, BATCH)
            usual = [frame.wire for frame in frames if frame.privilege != "dialplan"]
            self.sent += len(usual)
            parts += usual
            if self.sent >= events:
                self.player.stop()
            if sum(map(len, parts)) >= CHUNK:
                chunks.append(b"".join(parts))
                parts = []
        return [*chunks, b"".join(parts)]

    def shut_down(self) -> None:
        """`core stop now`: all calls end, and every client is told, late frames included."""
        self._send(self.player.shut_down(self.now))
        while self._faults.due is not None:
            self._send((), self._faults.due)

    async def crash(self) -> None:
        """The process dies: sockets break in mid-call and nobody answers."""
        self.player.crash(self.now)
        for session in list(self.clients):
            session.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def close(self) -> None:
        """Hang up on every client, giving it a moment to read the rest, and stop listening."""
        if self._server is not None:
            self._server.close()
        for session in list(self.clients):
            session.close()
        end = self._clock.monotonic() + FAREWELL_S
        while self.clients and self._clock.monotonic() < end:
            await self._clock.pause(TICK_S)
        for session in list(self.clients):
            session.abort()

    async def _pause(self, end: int | None) -> None:
        moments = [each for each in (self.player.due, self._faults.due, end) if each is not None]
        seconds = min(max(0.0, (min(moments, default=1 << 62) - self.now) / MICRO), IDLE_S)
        if seconds == 0.0:
            await asyncio.sleep(0)
            return
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), max(seconds, TICK_S))
        except TimeoutError:
            return

    def _session(self) -> Session:
        session = Session(
            self._gate,
            challenge=str(self._rng.randrange(10**8, 10**9)),
            act=self._act,
            booted=self._booted,
            gone=self.clients.discard,
        )
        self.clients.add(session)
        return session

    def _send(self, frames: Sequence[Frame], now: int | None = None) -> None:
        told = self._faults.pass_on(frames, self.now if now is None else now)
        if not told:
            return
        usual = [frame.wire for frame in told if frame.privilege != "dialplan"]
        self.sent += len(usual)
        whole = b"".join(usual)
        for session in list(self.clients):
            session.deliver(told, whole)

    def _booted(self) -> bytes:
        uptime = str(max(0, self._clock.now() - self.player.exchange.booted) // MICRO)
        told = (("Event", "FullyBooted"), ("Privilege", "system,all"), ("Uptime", uptime), ("LastReload", uptime))
        return fields_block((*told, ("Status", "Fully Booted"))).encode() + b"\r\n"

    def _act(self, message: Message, write: Callable[[bytes], object]) -> None:
        at = self._clock.now()
        if message.action in QUESTIONS:
            write(QUESTIONS[message.action](self.player.exchange, message, at))
        elif message.action in EFFECTS:
            reply, frames = EFFECTS[message.action](self.player, message, self.now)
            write(reply)
            self._send(frames)
            self._wake.set()
        elif message.action == "ping":
            write(message.answer("Success", ("Ping", "Pong"), ("Timestamp", f"{at // MICRO}.{at % MICRO:06d}")))
        elif message.action == "command":
            write(message.error("Command not available in this PBX"))
        else:
            known = "Use Action: ListCommands to show available commands."
            write(message.error(f"Invalid/unknown command: {message['action']}. {known}"))
