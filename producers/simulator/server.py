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

BATCH = 512
"""Frames that are played before the sockets get a turn."""


class Server:
    """Speaks AMI to any number of clients; every one of them is sent the same bytes."""

    def __init__(
        self, player: Player, gate: Gate, clock: Clock, *, faults: Faults | None = None, seed: int = 0
    ) -> None:
        self.player = player
        self._gate = gate
        self._clock = clock
        self._faults = faults or Faults()
        self._rng = random.Random(f"challenges {seed}")  # noqa: S311 - play, not secrecy
        self._sessions: set[Session] = set()
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

    async def run(self, *, until_over: bool = True) -> None:
        """Play to the end of the plan; then return, or go on answering for ever."""
        while True:
            self._send(self.player.advance(self.now, BATCH))
            due = self.player.due
            if due is None and until_over and not self._faults.pending:
                return
            await self._pause(due)

    async def _pause(self, due: int | None) -> None:
        moments = [each for each in (due, self._faults.due) if each is not None]
        seconds = 0.5 if not moments else min(max(0.0, (min(moments) - self.now) / MICRO), 0.5)
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), max(seconds, TICK_S))
        except TimeoutError:
            return

    async def close(self) -> None:
        """Hang up on every client and stop listening."""
        for session in list(self._sessions):
            session.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _session(self) -> Session:
        session = Session(
            self._gate,
            challenge=str(self._rng.randrange(10**8, 10**9)),
            act=self._act,
            booted=self._booted,
            gone=self._sessions.discard,
        )
        self._sessions.add(session)
        return session

    def _send(self, frames: Sequence[Frame]) -> None:
        told = self._faults.pass_on(frames, self.now)
        if told:
            whole = b"".join([frame.wire for frame in told if frame.privilege != "dialplan"])
            for session in list(self._sessions):
                session.deliver(told, whole)

    def _booted(self) -> bytes:
        uptime = str(self.now // MICRO)
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
