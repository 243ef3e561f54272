"""A simulated PBX on the loopback, and clients that know nothing of it but the protocol."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from producers.simulator.faults import Faults, Loss
from producers.simulator.server import Server
from producers.simulator.session import Gate
from streams.runtime.clock import SystemClock
from tests.producers.simulator.centre import Played, build, frames_of

LOGIN = b"Action: Login\r\nUsername: trunkline\r\nSecret: s3cret\r\n\r\n"
PATIENCE_S = 30.0
GATE = Gate(user="trunkline", secret="s3cret", failure_delay=0.05)


class Client:
    """One connection; everything that has arrived is in `stream`, the greeting apart."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = b""
        self.stream = b""

    async def until(self, text: bytes) -> bytes:
        """Read on to the end of the first frame that has the text and was not read before; returns that frame."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame = await self.reader.readuntil(b"\r\n\r\n")
                self.stream += frame
                if text in frame:
                    return frame

    async def rest(self) -> None:
        """Read to the end of the connection, however it ends."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                self.stream += await self.reader.read()
            except ConnectionResetError:
                return

    def events(self) -> list[bytes]:
        """The frames that are events of calls: those with a Timestamp."""
        return [frame for frame in frames_of(self.stream) if b"\r\nTimestamp: " in frame and frame.startswith(b"Event")]


class Site:
    """A server that listens since now, and its clients, all of which are closed in the end."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = 0
        self.clients: list[Client] = []

    async def connect(self, tls: ssl.SSLContext | None = None) -> Client:
        """A client that has asked to log in."""
        name = "localhost" if tls else None
        streams = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=name, limit=1 << 24)
        client = Client(*streams)
        self.clients.append(client)
        client.greeting = await client.reader.readuntil(b"\r\n")
        client.writer.write(LOGIN)
        return client

    async def hear(self, count: int) -> list[Client]:
        """So many clients that are logged in."""
        clients = [await self.connect() for _ in range(count)]
        for client in clients:
            await client.until(b"FullyBooted")
        return clients

    async def finish(self, *clients: Client) -> None:
        """Close the server; the clients read what is left."""
        await asyncio.gather(self.server.close(), *(client.rest() for client in clients))

    async def close(self) -> None:
        for client in self.clients:
            client.writer.close()
        await asyncio.gather(*(client.writer.wait_closed() for client in self.clients), return_exceptions=True)
        await self.server.close()


def serve(
    played: Played, test: Callable[[Site], Awaitable[None]], *, gate: Gate = GATE, faults: Faults | None = None
) -> None:
    """Run the test against a server on the loopback."""

    async def run() -> None:
        clock = SystemClock()
        played.player.exchange.opening = clock.now()
        played.player.exchange.boot(0)
        site = Site(Server(played.player, gate, clock, faults=faults))
        site.port = await site.server.listen("127.0.0.1", 0)
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                await test(site)
        finally:
            await site.close()

    asyncio.run(run())


def fast(calls: int, loss: Loss | None = None) -> Played:
    """That many calls within a second or two."""
    return build(4, calls=calls, rate=100.0, speed=100.0, agents=30, loss=loss)
