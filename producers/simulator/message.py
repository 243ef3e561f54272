"""What an AMI client sends: actions of `Key: Value` lines, ended by an empty line."""

from collections.abc import Iterable

from producers.simulator.frames import fields_block

LIMIT = 64 * 1024
"""More bytes than this without an empty line are no action."""


class Message(dict[str, str]):
    """The headers of one action by lower-case name; a repeated header keeps its first value, as Asterisk reads it."""

    @property
    def action(self) -> str:
        return self.get("action", "").lower()

    def answer(self, response: str, *fields: tuple[str, str]) -> bytes:
        """A response with the client's ActionID, ended."""
        return self.block(("Response", response), *fields)

    def block(self, first: tuple[str, str], *fields: tuple[str, str]) -> bytes:
        """`first`, the ActionID when there is one, the fields, and the empty line."""
        told = [first]
        if self.get("actionid"):
            told.append(("ActionID", self["actionid"]))
        return fields_block((*told, *fields)).encode() + b"\r\n"

    def success(self, text: str) -> bytes:
        return self.answer("Success", ("Message", text))

    def error(self, text: str) -> bytes:
        return self.answer("Error", ("Message", text))

    def item(self, event: str, block: str) -> bytes:
        """An event that is part of the answer; `block` is its ready lines. It has no Privilege line."""
        return self.block(("Event", event))[:-2] + block.encode() + b"\r\n"

    def listing(self, text: str, complete: str, items: Iterable[bytes], tail: str = "") -> bytes:
        """A list as Asterisk sends it: start, its items, and `complete` with their number and the `tail` lines."""
        told = list(items)
        start = self.answer("Success", ("EventList", "start"), ("Message", text))
        counted = fields_block((("EventList", "Complete"), ("ListItems", str(len(told)))))
        return start + b"".join(told) + self.item(complete, counted + tail)


def split(buffer: bytes) -> tuple[list[Message], bytes]:
    """The whole actions in the bytes, and the rest. Values can hold no line end: they are made of lines."""
    *whole, rest = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"").split(b"\n\n")
    return [message for message in map(_parse, whole) if message], rest


def _parse(raw: bytes) -> Message:
    message = Message()
    for text in raw.decode(errors="replace").split("\n"):
        name, found, value = text.partition(":")
        if found:
            message.setdefault(name.strip().lower(), value.strip())
    return message
