"""Asterisk Manager Interface, sans I/O: framing, actions, and one logged-in client.

A message is lines `Key: Value`, closed by an empty line, all ends CR LF (main/manager.c). Keys vary in case between
versions and may repeat. Answers carry the ActionID of their action; events of the PBX come in between.
"""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

END = b"\r\n\r\n"
LIMIT = 64 * 1024
_UNSAFE = re.compile(r"[\r\n\0]")
_FOLLOWS_END = b"--END COMMAND--"


class Torn(bytes):
    """The beginning of a message that is longer than the limit; the rest of it was passed over."""

    __slots__ = ()


class Frames:
    """Bytes of one connection to messages, in any cut; a message is given without its closing empty line."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.greeting: str | None = None
        """The first line, such as `Asterisk Call Manager/5.0.2`; None until it has arrived."""
        self._limit = limit
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that these bytes complete. One above the limit arrives once, as `Torn`."""
        data = self._rest + data
        if self.greeting is None:
            line, end, data = data.partition(b"\r\n")
            if not end and len(line) <= self._limit:
                self._rest = line
                return []
            self.greeting = line[:200].decode("utf-8", "replace")
        *found, rest = data.split(END)
        if found and self._skipping:
            self._skipping = False
            del found[0]
        if self._skipping:
            rest = rest[-len(END) :]
        elif len(rest) > self._limit:
            found.append(rest)
            self._skipping = True
            rest = rest[-len(END) :]
        self._rest = rest
        frames = self._cleaned(found)
        if frames and _is_open_text(frames[-1]):
            self._rest = frames.pop() + END + rest
        return frames

    def _cleaned(self, found: list[bytes]) -> list[bytes]:
        frames: list[bytes] = []
        for frame in found:
            if frames and _is_open_text(frames[-1]) and not frame.startswith((b"Event: ", b"Response: ")):
                frames[-1] += END + frame
            elif len(frame) > self._limit:
                frames.append(Torn(frame[: self._limit]))
            elif frame.strip():
                frames.append(frame.lstrip(b"\r\n"))
        return frames


def _is_open_text(frame: bytes) -> bool:
    """Before Asterisk 14 an answer to `Command` is free text up to an end mark, and may hold an empty line."""
    return frame.startswith(b"Response: Follows") and _FOLLOWS_END not in frame


def parse(raw: bytes) -> dict[str, str]:
    """The fields of a message by lower-case key; of a repeated key the first value (`every` has them all)."""
    return {
        key.lower(): value[1:] if value[:1] == " " else value
        for key, colon, value in [line.partition(":") for line in raw.decode("utf-8", "replace").split("\r\n")[::-1]]
        if colon
    }


def every(raw: bytes, key: str) -> list[str]:
    """All values of a key that may repeat (`ChanVariable`, `Output`), in order."""
    parts = [line.partition(":") for line in raw.decode("utf-8", "replace").split("\r\n")]
    return [value.removeprefix(" ") for name, colon, value in parts if colon and name.lower() == key.lower()]


def encode(fields: Mapping[str, str]) -> bytes:
    """An action as it goes on the wire.

    Raises ValueError that names the field which holds a line break or NUL: Asterisk would read the rest of such a
    value as further fields, or as an action of its own.
    """
    for key, value in fields.items():
        if _UNSAFE.search(key) or ":" in key or _UNSAFE.search(value):
            raise ValueError(f"AMI field {_UNSAFE.sub(' ', key)!r} holds a line break, a NUL or a colon in its name")
    return "".join([f"{key}: {value}\r\n" for key, value in fields.items()]).encode() + b"\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for one action."""

    fields: Mapping[str, str]
    """The response, as `parse` gives it."""
    raw: bytes
    items: tuple[bytes, ...] = ()
    """The events of a list answer, without its closing one."""

    @property
    def ok(self) -> bool:
        return self.fields.get("response", "").lower() in ("success", "follows", "goodbye", "pong")

    @property
    def message(self) -> str:
        return self.fields.get("message", "")


Done = Callable[[Answer], None]


@dataclass(slots=True)
class _Question:
    done: Done
    listed: bool
    answer: Answer | None = None
    items: list[bytes] = field(default_factory=list)


class Client:
    """One connection: actions out, answers matched by ActionID, everything else handed on.

    `mark` begins every ActionID and must be unlike that of any other client of the same PBX. `per_second` bounds how
    fast actions leave; `outgoing` gives what may leave now.
    """

    def __init__(self, *, mark: str, per_second: float = 50.0) -> None:
        self._frames = Frames()
        self._mark = f"\r\nActionID: {mark}-".encode()
        self._prefix = mark
        self._count = 0
        self._open: dict[str, _Question] = {}
        self._waiting: deque[bytes] = deque()
        self._per_second = per_second
        self._allowance = per_second
        self._at: float | None = None

    @property
    def greeting(self) -> str:
        return self._frames.greeting or ""

    def ask(self, action: str, fields: Mapping[str, str], done: Done, *, listed: bool = False) -> str:
        """Queue an action and give its ActionID; `done` gets its answer, of a list once it is complete."""
        self._count += 1
        action_id = f"{self._prefix}-{self._count}"
        self._waiting.append(encode({"Action": action, "ActionID": action_id, **fields}))
        self._open[action_id] = _Question(done, listed)
        return action_id

    def login(self, username: str, secret: str, done: Done, *, events: str = "on", md5: bool = True) -> None:
        """Log in; `md5` sends a digest of a challenge instead of the secret itself."""

        def challenged(answer: Answer) -> None:
            if not answer.ok:
                done(answer)
                return
            key = hashlib.md5((answer.fields.get("challenge", "") + secret).encode(), usedforsecurity=False).hexdigest()
            self.ask("Login", {"AuthType": "MD5", "Username": username, "Key": key, "Events": events}, done)

        if md5:
            self.ask("Challenge", {"AuthType": "MD5"}, challenged)
        else:
            self.ask("Login", {"Username": username, "Secret": secret, "Events": events}, done)

    def outgoing(self, now: float) -> bytes:
        """The actions that may leave now, by a monotonic clock in seconds."""
        since = 0.0 if self._at is None else now - self._at
        self._at = now
        self._allowance = min(self._per_second, self._allowance + since * self._per_second)
        out = b""
        while self._waiting and self._allowance >= 1:
            self._allowance -= 1
            out += self._waiting.popleft()
        return out

    def receive(self, data: bytes) -> Iterator[bytes]:
        """The events in these bytes; answers go to whoever asked, each after the events that came before it."""
        for frame in self._frames.feed(data):
            if not self._answers(frame):
                yield frame

    def _answers(self, frame: bytes) -> bool:
        if frame.startswith(b"Response: "):
            self._response(frame)
            return True
        if self._mark not in frame or frame.startswith(b"Event: OriginateResponse"):
            return False
        fields = parse(frame)
        question = self._open.get(fields.get("actionid", ""))
        if question is None or question.answer is None:
            return True
        if fields.get("eventlist", "").lower() == "complete" or fields.get("event", "").endswith("Complete"):
            self._finish(fields["actionid"], question)
        else:
            question.items.append(frame)
        return True

    def _response(self, frame: bytes) -> None:
        fields = parse(frame)
        action_id = fields.get("actionid", "")
        if not action_id and len(self._open) == 1:  # a refused login does not always name its action
            action_id = next(iter(self._open))
        question = self._open.get(action_id)
        if question is None:
            return
        question.answer = Answer(fields=fields, raw=frame)
        if not question.listed or not question.answer.ok:
            self._finish(action_id, question)

    def _finish(self, action_id: str, question: _Question) -> None:
        del self._open[action_id]
        answer = question.answer
        assert answer is not None
        question.done(Answer(fields=answer.fields, raw=answer.raw, items=tuple(question.items)))
