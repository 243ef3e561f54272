"""The server on the loopback, with clients that know nothing of it but the protocol."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path
from shutil import which

import pytest

from producers.simulator.faults import Faults, Loss
from producers.simulator.session import Gate
from tests.producers.simulator.centre import build, frames_of, head
from tests.producers.simulator.site import LOGIN, Site, fast, serve

pytestmark = pytest.mark.integration


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
    loss = Loss(chance=0.1)
    played = fast(30, loss)
    faults = Faults(duplicate=0.1, reorder=0.1, reorder_max=0.2)

    async def test(site: Site) -> None:
        server = site.server
        clients = await site.hear(2)
        await server.play(to_the_end=True)
        await site.finish(*clients)
        assert clients[0].events() == clients[1].events()
        assert len(clients[0].events()) == server.sent
        assert 0 not in (loss.count, faults.doubled, faults.delayed)
        assert not faults.pending

    serve(played, test, faults=faults)


def test_a_clean_stop_waits_for_no_late_frame() -> None:
    """Frames that are held back are sent before the PBX is gone, whenever they were due."""

    async def test(site: Site) -> None:
        client = (await site.hear(1))[0]
        play = asyncio.create_task(site.server.play())
        await client.until(b"Event: Newchannel")
        play.cancel()
        site.server.shut_down()
        await site.finish(client)
        told = [head(frame)["Event"] for frame in client.events()]
        assert len(told) == site.server.sent
        assert told.count("Newchannel") == told.count("Hangup") > 0

    serve(build(4, calls=None, rate=50.0), test, faults=Faults(reorder=0.5, reorder_max=3600.0))


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
