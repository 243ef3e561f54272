"""One short conversation with an Asterisk's manager interface: log in, ask, listen a moment, leave."""

import secrets
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.clients.ami import Answer, Client, parse
from streams.runtime.clock import Clock
from streams.runtime.errors import Fatal, Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the manager interface is and how to get in."""

    host: str
    port: int
    username: str
    secret: str
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    greeting: str
    answers: Mapping[str, Answer]
    """By action name."""
    events: tuple[Mapping[str, str], ...]
    skew_s: float | None
    """The PBX's clock minus ours, by the answer to Ping; None when it tells no time (before Asterisk 1.8)."""


def listen(door: Door, actions: Iterable[Mapping[str, str]], clock: Clock, *, seconds: float = 3.0) -> Heard:
    """Log in, send the actions, and return what came within the time.

    Raises Retry when nobody answers at the address, Fatal when the login is refused.
    """
    try:
        raw = socket.create_connection((door.host, door.port), timeout=5)
    except OSError as e:
        raise Retry(f"nothing answers at {door.host}:{door.port} ({e.strerror or e})") from e
    with door.tls.wrap_socket(raw, server_hostname=door.host) if door.tls else raw as wire:
        return _converse(wire, door, list(actions), clock, seconds)


def _converse(wire: socket.socket, door: Door, actions: list[Mapping[str, str]], clock: Clock, seconds: float) -> Heard:
    client = Client(mark=f"probe-{secrets.token_hex(4)}")
    answers: dict[str, Answer] = {}
    events: list[Mapping[str, str]] = []
    sent: dict[str, int] = {}

    def entered(answer: Answer) -> None:
        answers["Login"] = answer
        if not answer.ok:
            return
        for action in actions:
            name, fields = action["Action"], {k: v for k, v in action.items() if k != "Action"}
            client.ask(name, fields, lambda a, name=name: answers.__setitem__(name, a))  # type: ignore[misc]
        sent["Ping"] = clock.now()
        client.ask("Ping", {}, lambda a: answers.__setitem__("Ping", a))

    client.login(door.username, door.secret, entered)
    end = clock.monotonic() + seconds
    wire.settimeout(0.2)
    while clock.monotonic() < end:
        if out := client.outgoing(clock.monotonic()):
            wire.sendall(out)
        try:
            data = wire.recv(65536)
        except TimeoutError:
            continue
        events += [parse(frame) for frame in client.receive(data)]
        if not data:
            break
    login = answers.get("Login")
    if login is None or not login.ok:
        told = login.message if login else "no answer"
        raise Fatal(f"{door.host}:{door.port} refuses user {door.username!r} ({told}): compare manager.conf")
    return Heard(
        greeting=client.greeting, answers=answers, events=tuple(events), skew_s=_skew(answers.get("Ping"), sent)
    )


def _skew(ping: Answer | None, sent: Mapping[str, int]) -> float | None:
    try:
        return float(ping.fields["timestamp"]) - sent["Ping"] / 1e6 if ping else None
    except (KeyError, ValueError):
        return None
