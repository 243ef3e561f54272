"""The server on the loopback, with clients that know nothing of it but the protocol."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import which

import pytest

from producers.simulator.faults import Faults
from producers.simulator.server import Server
from producers.simulator.session import Gate
from streams.runtime.clock import SystemClock
from tests.producers.simulator.centre import Played, build, frames_of, head

pytestmark = pytest.mark.integration

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


def fast(calls: int) -> Played:
    """That many calls within a second or two."""
    return build(4, calls=calls, rate=100.0, speed=100.0, agents=30)


def test_clients_are_sent_the_same_bytes_and_the_truth_comes_out() -> None:
    """Two clients hear the same stream to the byte, and every leg of every call in it begins and ends."""
    played = fast(40)

    async def test(site: Site) -> None:
        server = site.server
        clients = await site.hear(2)
        await server.play(to_the_end=True)
        server.shut_down()
        await site.finish(*clients)
        assert clients[0].events() == clients[1].events()
        told = [head(frame) for frame in clients[0].events()]
        assert told[-1]["Event"] == "Shutdown"
        born = [each["Uniqueid"] for each in told if each["Event"] == "Newchannel"]
        assert sorted(born) == sorted(each["Uniqueid"] for each in told if each["Event"] == "Hangup")
        assert {truth["uniqueid"] for truth in played.closed.values()} <= set(born)
        assert len(played.closed) == 40
        assert server.sent == len(told)

    serve(played, test)


def test_a_conversation_in_mid_run() -> None:
    """Ping, lists, a click-to-call, an unknown action and a hang-up are answered while calls go on."""
    played = build(4, calls=None, rate=30.0, speed=20.0, agents=60)

    async def test(site: Site) -> None:
        server = site.server
        play = asyncio.create_task(server.play())
        client = await site.connect()
        await client.until(b"Event: BridgeEnter")
        client.writer.write(b"Action: Ping\r\nActionID: p\r\n\r\nAction: CoreShowChannels\r\nActionID: c\r\n\r\n")
        pong = head(await client.until(b"ActionID: p\r\n"))
        assert pong["Ping"] == "Pong"
        assert float(pong["Timestamp"]) > 1.7e9
        await client.until(b"CoreShowChannelsComplete")
        channels = [head(f) for f in frames_of(client.stream) if f.startswith(b"Event: CoreShowChannel\r\n")]
        name = channels[0]["Channel"]
        client.writer.write(f"Action: Hangup\r\nActionID: h\r\nChannel: {name}\r\n\r\n".encode())
        assert head(await client.until(b"ActionID: h\r\n"))["Response"] == "Success"
        await client.until(b"Event: Hangup\r\nPrivilege: call,all\r\n")
        client.writer.write(b"Action: Command\r\nCommand: core stop now\r\n\r\nAction: Fly\r\n\r\n")
        assert b"Error" in await client.until(b"Command not available")
        assert b"Error" in await client.until(b"Invalid/unknown command: Fly")
        free = next(
            a for a in played.centre.staff.agents if played.player.centre.diary.free(a, server.now, server.now + 10**9)
        )
        click = (
            f"Action: Originate\r\nActionID: o\r\nChannel: {free.device}\r\nContext: internal\r\nExten: 0261910004\r\n"
        )
        client.writer.write(click.encode() + b"Priority: 1\r\nAsync: true\r\nChannelId: own-1\r\n\r\n")
        assert b"Success" in await client.until(b"ActionID: o\r\n")
        assert head(await client.until(b"Event: OriginateResponse"))["Uniqueid"] == "own-1"
        play.cancel()
        await asyncio.gather(play, return_exceptions=True)

    serve(played, test)


def test_a_slow_client_is_cut_off_and_the_others_are_not() -> None:
    """Who does not read loses the connection once the kernel's buffers are full; who reads gets everything."""
    played = build(4, calls=600, rate=1000.0, speed=500.0, agents=60)

    async def test(site: Site) -> None:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", site.port))
            slow.sendall(LOGIN)
            (good,) = await site.hear(1)
            reading = asyncio.create_task(good.rest())
            assert len(site.server.clients) == 2
            await site.server.play(to_the_end=True)
            assert len(site.server.clients) == 1
            await asyncio.gather(site.server.close(), reading)
            assert len(good.events()) == site.server.sent

    serve(played, test, gate=Gate(user="trunkline", secret="s3cret", buffer_bytes=64 << 10))


def test_a_crash_breaks_the_connection_and_the_pbx_comes_back_younger() -> None:
    """No goodbye at a crash; after the start the same port answers, with a small Uptime and no channels."""
    played = build(4, calls=None, rate=30.0, speed=20.0, agents=60)

    async def test(site: Site) -> None:
        server = site.server
        client = await site.connect()
        await server.play(until=1.2)
        await asyncio.gather(server.crash(), client.rest())
        assert b"Shutdown" not in client.stream
        with pytest.raises(ConnectionRefusedError):
            await site.connect()
        server.player.boot(server.now)
        assert await server.listen("127.0.0.1", site.port) == site.port
        again = await site.connect()
        assert int(head(await again.until(b"FullyBooted"))["Uptime"]) == 0
        again.writer.write(b"Action: CoreShowChannels\r\n\r\n")
        assert head(await again.until(b"CoreShowChannelsComplete"))["ListItems"] == "0"

    serve(played, test)


def test_a_flood_is_whole_and_has_its_truth() -> None:
    """At least as many events as asked for, every call in them over, sent once a client is there."""
    played = build(4, calls=None, rate=50.0, speed=20.0, agents=60)

    async def test(site: Site) -> None:
        server = site.server
        chunks = server.render(3000)
        sending = asyncio.create_task(server.flood(chunks))
        client = await site.connect()
        await sending
        await site.finish(client)
        events = client.events()
        assert len(events) == len({*events})
        assert 3000 <= len(events) == server.sent
        assert len(played.closed) == played.player.finished > 50
        told = [head(frame) for frame in events]
        assert sum(e["Event"] == "Newchannel" for e in told) == sum(e["Event"] == "Hangup" for e in told)

    serve(played, test)


def test_a_centre_that_waits_opens_with_its_first_client() -> None:
    """Nothing is played before somebody has logged in, and whoever that is sees every call from its beginning."""
    played = fast(10)

    async def test(site: Site) -> None:
        opened = asyncio.create_task(site.server.hold())
        await asyncio.sleep(0.05)
        assert not opened.done()
        (client,) = await site.hear(1)
        await opened
        await site.server.play(to_the_end=True)
        await site.finish(client)
        assert len(client.events()) == site.server.sent
        assert head(client.events()[0])["Event"] == "Newchannel"

    serve(played, test)


def test_faults_reach_every_client_alike() -> None:
    """Lost, doubled and late frames are the PBX's fault, not the client's: all clients hear the same."""
    played = fast(30)
    faults = Faults(lose=0.1, duplicate=0.1, reorder=0.1, reorder_max=0.2)

    async def test(site: Site) -> None:
        server = site.server
        clients = await site.hear(2)
        await server.play(to_the_end=True)
        await site.finish(*clients)
        assert clients[0].events() == clients[1].events()
        assert len(clients[0].events()) == server.sent
        assert faults.lost > 0
        assert not faults.pending

    serve(played, test, faults=faults)


@pytest.mark.skipif(which("openssl") is None, reason="openssl makes the certificate of this test, and is not here")
def test_tls(tmp_path: Path) -> None:
    """With a certificate the port speaks TLS and nothing else changes."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost", "-out", str(cert), "-keyout", str(key)]
    subprocess.run(["openssl", *make, *names], check=True, capture_output=True, timeout=30)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(cert, key)

    async def test(site: Site) -> None:
        await site.server.close()
        site.port = await site.server.listen("127.0.0.1", 0, ours)
        client = await site.connect(ssl.create_default_context(cafile=str(cert)))
        assert client.greeting.startswith(b"Asterisk Call Manager/")
        await client.until(b"Authentication accepted")

    serve(fast(1), test)
