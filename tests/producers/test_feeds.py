"""The TCP transport: when it tries again, and what it does with a connection that ends."""

import random
import socket
import threading
from collections.abc import Sequence
from itertools import pairwise

import pytest

from producers import feeds
from producers.adapter import Frame, Notice, Position, Reading
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal

pytestmark = pytest.mark.integration


class Nobody:
    """A conversation that never comes about."""

    def __init__(self) -> None:
        self.up = False
        self.position: Position = {}

    def receive(self, data: bytes) -> Sequence[Frame | Notice]:
        return []

    def outgoing(self) -> bytes:
        return b""

    def farewell(self) -> bytes:
        return b""

    def ended(self, reason: str) -> Sequence[Frame | Notice]:
        return []


class Greeted(Nobody):
    """A conversation that counts as up once anything was received."""

    def receive(self, data: bytes) -> Sequence[Frame | Notice]:
        self.up = True
        return []


def attempts(port: int, conversation: type[Nobody], seconds: float) -> list[float]:
    """When a connection was tried, in seconds of a clock that passes by sleeping only."""
    clock, stop = ManualClock(), threading.Event()
    reading = Reading(pbx="main", clock=clock, chance=random.Random(3), stop=stop, position={})
    tried: list[float] = []

    def talk(_: Reading) -> Nobody:
        tried.append(clock.monotonic())
        return conversation()

    for _batch in feeds.tcp("127.0.0.1", port, talk=talk)(reading):
        if clock.monotonic() > seconds:
            stop.set()
    return tried


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_refused_connection_is_tried_ever_more_rarely() -> None:
    """1 s, doubling to 60 s, each shortened by chance to no less than half, so that many clients do not come at once."""
    tried = attempts(closed_port(), Nobody, 400)
    waits = [b - a for a, b in pairwise(tried)]
    assert len(waits) >= 8
    for n, wait in enumerate(waits):
        longest = min(60.0, 2.0**n)
        assert longest / 2 <= wait <= longest + 2 * feeds.TURN
    assert len({round(wait / min(60.0, 2.0**n), 2) for n, wait in enumerate(waits)}) > 3


def test_a_connection_that_was_up_is_tried_again_soon() -> None:
    """Whoever was connected begins anew with the shortest wait."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            for _ in range(6):
                conn, _ = server.accept()
                conn.sendall(b"hello")
                conn.close()
            server.close()

        thread = threading.Thread(target=greet)
        thread.start()
        tried = attempts(server.getsockname()[1], Greeted, 8)
        thread.join(10)
    assert len(tried) > 6
    assert all(b - a <= 1.0 + 2 * feeds.TURN for a, b in pairwise(tried[:7]))


def test_a_ca_file_that_is_none_is_named() -> None:
    """A wrong path is a person's to mend."""
    with pytest.raises(Fatal, match=r"tls_ca: /nonexistent"):
        feeds.tls("/nonexistent/ca.pem")
