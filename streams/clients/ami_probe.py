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
    md5: bool = True
    """Log in by challenge, so that the secret itself is not sent."""


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

    Raises Retry when no manager interface answers at the address, Fatal when the login is refused.
    """
    where = f"{door.host}:{door.port}"
    try:
        with socket.create_connection((door.host, door.port), timeout=5) as raw:
            if door.tls is None:
                return _converse(raw, door, list(actions), clock, seconds)
            with door.tls.wrap_socket(raw, server_hostname=door.host) as wire:
                return _converse(wire, door, list(actions), clock, seconds)
    except ssl.SSLError as e:
        raise Retry(f"{where} does not speak TLS as configured ({e.reason or e})") from e
    except OSError as e:
        raise Retry(f"nothing answers at {where} ({e.strerror or e})") from e


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

    client.login(door.username, door.secret, entered, md5=door.md5)
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
    if login is None:
        raise Retry(f"{door.host}:{door.port} does not answer as a manager interface within {seconds:.0f} s")
    if not login.ok:
        raise Fatal(f"{door.host}:{door.port} refuses user {door.username!r} ({login.message}): compare manager.conf")
    return Heard(
        greeting=client.greeting, answers=answers, events=tuple(events), skew_s=_skew(answers.get("Ping"), sent)
    )


def _skew(ping: Answer | None, sent: Mapping[str, int]) -> float | None:
    try:
        return float(ping.fields["timestamp"]) - sent["Ping"] / 1e6 if ping else None
    except (KeyError, ValueError):
        return None
