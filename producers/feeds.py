"""Transports that adapters borrow: a TCP session that reconnects, a file and a table that are followed as they grow."""

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import structlog

from producers.adapter import Batch, Feed, Frame, Notice, Position, Reading
from producers.table import Follow, Rows
from producers.tail import Tail
from streams.runtime.errors import Fatal, Retry

TURN = 0.05
"""Longest wait for bytes before the runtime gets its turn, in seconds."""
FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
CONNECT_TIMEOUT = 10.0
SEND_TIMEOUT = 5.0
CHUNK = 256 * 1024

log = structlog.get_logger()


class Conversation(Protocol):
    """The protocol side of one connection, sans I/O. Its transport calls it from one thread."""

    @property
    def up(self) -> bool:
        """The source is being read: the login succeeded and source.up was given."""
        ...

    @property
    def position(self) -> Position:
        """Where reading goes on after everything that was given so far."""
        ...

    def receive(self, data: bytes) -> Sequence[Frame | Notice]:
        """What these bytes complete. Raises Fatal when a person is needed, Retry when the connection is of no use."""
        ...

    def outgoing(self) -> bytes:
        """What is to be sent now; called after every receive and at least every 100 ms. Raises Retry when dead."""
        ...

    def farewell(self) -> bytes:
        """The last bytes of a connection that we end."""
        ...

    def ended(self, reason: str) -> Sequence[Frame | Notice]:
        """What is still to be told when the connection is over, however it ended."""
        ...


def tls(ca_file: str = "", *, verify: bool = True) -> ssl.SSLContext:
    """A client's context; certificates are checked unless told otherwise. Raises Fatal when the CA file is no good."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as e:
        raise Fatal(f"tls_ca: {ca_file} holds no readable CA certificate ({type(e).__name__})") from e
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def tcp(host: str, port: int, *, talk: Callable[[Reading], Conversation], tls: ssl.SSLContext | None = None) -> Feed:
    """A session that is opened again whenever it ends, after 1 s, doubling to 60 s, with jitter."""

    def read(reading: Reading) -> Iterator[Batch]:
        delay = FIRST_DELAY
        position = reading.position
        while not reading.stop.is_set():
            conversation = talk(replace(reading, position=position))
            reason = "stopped"
            try:
                with _connected(host, port, tls) as sock:
                    yield from _converse(sock, conversation, reading)
            except (OSError, Retry) as e:
                reason = str(e) or type(e).__name__
                log.warning("connection to the PBX lost", pbx=reading.pbx, reason=reason)
            if conversation.up:
                delay = FIRST_DELAY
                position = conversation.position
                reading = replace(reading, lost=0)
            yield Batch(items=conversation.ended(reason), position=position)
            yield from _wait(reading, delay * reading.chance.uniform(0.5, 1.0))
            delay = min(LONGEST_DELAY, delay * 2)

    return read


def _connected(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if tls is None:
        return sock
    try:
        return tls.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as e:
        sock.close()
        raise Fatal(f"the certificate of {host} is not trusted ({e.verify_message}): set tls_ca to its CA") from e
    except BaseException:
        sock.close()
        raise


def _converse(sock: socket.socket, conversation: Conversation, reading: Reading) -> Iterator[Batch]:
    while not reading.stop.is_set():
        out = conversation.outgoing()
        if out:
            sock.settimeout(SEND_TIMEOUT)
            sock.sendall(out)
        sock.settimeout(TURN)
        try:
            data = sock.recv(CHUNK)
        except TimeoutError:
            yield Batch()
            continue
        if not data:
            raise Retry("the PBX closed the connection")
        yield Batch(items=conversation.receive(data), position=conversation.position)
    with suppress(OSError):
        sock.settimeout(1.0)
        sock.sendall(conversation.farewell())


def _wait(reading: Reading, seconds: float) -> Iterator[Batch]:
    until = reading.clock.monotonic() + seconds
    while reading.clock.monotonic() < until and not reading.clock.sleep(TURN, reading.stop):
        yield Batch()


def follow(path: Path, *, from_start: bool = False, poll: float = 0.5) -> Feed:
    """The lines of a file that grows, over its rotation by renaming or by copying and cutting (`tail -F`).

    `from_start`: at the very first start, when there is no position yet, read what the file already holds.
    """

    def read(reading: Reading) -> Iterator[Batch]:
        try:
            yield from _poll(Tail(path, reading, from_start=from_start), reading, poll)
        except PermissionError as e:
            raise Fatal(f"{path} may not be read: give this process's user the right to read it and its folder") from e

    return read


def _poll(tail: Tail, reading: Reading, seconds: float) -> Iterator[Batch]:
    quiet_until = reading.clock.monotonic()
    while not reading.stop.is_set():
        batch = Batch()
        if reading.clock.monotonic() >= quiet_until:
            batch = tail.next()
            if not batch.items:
                quiet_until = reading.clock.monotonic() + seconds
        yield batch
        if not batch.items:
            reading.clock.sleep(TURN, reading.stop)
    tail.close()


def table(
    connect: Callable[[], Rows], *, key: str, overlap: float, from_start: bool = False, poll: float = 1.0
) -> Feed:
    """The rows of a table that grows, in the order of their key, each once also when it came late.

    `key`: a column that rises: a number, or a time. `overlap`: how far below the highest row late ones are looked for,
    in numbers or seconds. `from_start`: as with `follow`. While the database is away it is asked again after 1 s,
    doubling to 60 s: nothing is lost, the rows stay where they are.
    """

    def read(reading: Reading) -> Iterator[Batch]:
        following = Follow(reading, key=key, overlap=overlap, from_start=from_start)
        delay = FIRST_DELAY
        rows: Rows | None = None
        try:
            while not reading.stop.is_set():
                try:
                    rows = rows or connect()
                    yield from following.turn(rows)
                    wait, delay = poll, FIRST_DELAY
                except Retry as e:
                    log.warning("the table cannot be read for now", pbx=reading.pbx, reason=str(e))
                    rows, wait = None, delay
                    delay = min(LONGEST_DELAY, delay * 2)
                yield from _wait(reading, wait)
        finally:
            if rows is not None:
                rows.close()

    return read
