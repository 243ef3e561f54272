"""Errors named after what the runtime does next."""


class Retry(Exception):  # noqa: N818 - a signal to the runtime, read as a verb
    """Nothing was done; the same call again, after `after` seconds (None: the runtime's own back-off), may succeed."""

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Reject(Exception):  # noqa: N818
    """This one record cannot be used, now or later: it goes to the dead letters with its bytes, the rest goes on."""


class Fatal(Exception):  # noqa: N818
    """A person is needed: the component stops, and the text says what to do."""
